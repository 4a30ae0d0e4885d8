// Kubernetes in one program, for tests: it is etcd, kube-apiserver, kube-controller-manager, a node, or a controller
// as users write them, by the name that it is called by. One program instead of five, because they share most of
// their code: one link, one fifth of the disk.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"agent-gateway/test/kubernetes/controller"
	"agent-gateway/test/kubernetes/node"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllers "k8s.io/kubernetes/cmd/kube-controller-manager/app"
)

func main() {
	switch name := filepath.Base(os.Args[0]); name {
	case "etcd":
		etcdmain.Main(os.Args)
	case "kube-apiserver":
		os.Exit(cli.Run(apiserver.NewAPIServerCommand()))
	case "kube-controller-manager":
		os.Exit(cli.Run(controllers.NewControllerManagerCommand()))
	case "node-double":
		fail(node.Main(os.Args[1:]))
	case "example-controller":
		fail(controller.Main(os.Args[1:]))
	default:
		fail(fmt.Errorf("this program is not called %s", name))
	}
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
