// Package node is a node for tests without a container engine: the kubelet's own HTTP server (pkg/kubelet/server) and the
// streaming server that container engines use (k8s.io/kubelet/pkg/cri/streaming), with processes of this machine as
// containers. Images are not looked at; a container without a command does nothing until it is deleted. Pods that no
// scheduler has bound are bound to this node. A container is not started again when it ends.
//
//	node-double KUBECONFIG PORT CERTIFICATE KEY CLIENT_AUTHORITY DIRECTORY
package node

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/trace/noop"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/kubelet/pkg/cri/streaming"
	kubeletconfig "k8s.io/kubernetes/pkg/kubelet/apis/config"
	"k8s.io/kubernetes/pkg/kubelet/server"
)

// Name of the Node object, and of its host.
const Name = "node-double"

// Main does not return before it fails.
func Main(arguments []string) error {
	if len(arguments) != 6 {
		return fmt.Errorf("arguments: KUBECONFIG PORT CERTIFICATE KEY CLIENT_AUTHORITY DIRECTORY")
	}
	kubeconfig, certificate, key, authority, directory := arguments[0], arguments[2], arguments[3], arguments[4], arguments[5]
	port, err := strconv.Atoi(arguments[1])
	if err != nil {
		return err
	}
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	config.QPS, config.Burst = -1, 0
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	ctx := context.Background()
	pods := newPods(client, directory)
	if err := register(ctx, client, int32(port)); err != nil {
		return err
	}
	go pods.follow(ctx)

	// Containers' streams: on a port of its own, behind the kubelet's server, as with every container engine.
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	streams := streaming.DefaultConfig
	streams.BaseURL = &url.URL{Scheme: "http", Host: listener.Addr().String()}
	streamer, err := streaming.NewServer(streams, pods)
	if err != nil {
		return err
	}
	go func() { panic(http.Serve(listener, streamer)) }()

	// Whoever may ask runs commands on this machine: only the API server, by its certificate.
	clients := x509.NewCertPool()
	pem, err := os.ReadFile(authority)
	if err != nil {
		return err
	}
	clients.AppendCertsFromPEM(pem)
	tlsOptions := &server.TLSOptions{
		Config:   &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients},
		CertFile: certificate,
		KeyFile:  key,
	}
	settings := &kubeletconfig.KubeletConfiguration{Address: "127.0.0.1", Port: int32(port), EnableDebuggingHandlers: true}
	server.ListenAndServeKubeletServer(ctx, &host{pods: pods, streamer: streamer}, nil, nil, nil, settings, tlsOptions, nil, noop.NewTracerProvider())
	return nil
}

// register makes the Node object, which tells the API server where to ask.
func register(ctx context.Context, client kubernetes.Interface, port int32) error {
	labels := map[string]string{"kubernetes.io/hostname": Name, "kubernetes.io/os": "linux"}
	node, err := client.CoreV1().Nodes().Create(ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: Name, Labels: labels}}, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		node, err = client.CoreV1().Nodes().Get(ctx, Name, metav1.GetOptions{})
	}
	if err != nil {
		return err
	}
	now := metav1.NewTime(time.Now())
	resources := corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse("2"), corev1.ResourceMemory: resource.MustParse("2Gi"), corev1.ResourcePods: resource.MustParse("110"),
	}
	node.Status = corev1.NodeStatus{
		Capacity: resources, Allocatable: resources,
		Addresses:       []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "127.0.0.1"}},
		DaemonEndpoints: corev1.NodeDaemonEndpoints{KubeletEndpoint: corev1.DaemonEndpoint{Port: port}},
		NodeInfo:        corev1.NodeSystemInfo{KubeletVersion: "v1.35.4", OperatingSystem: "linux", Architecture: "amd64", ContainerRuntimeVersion: "processes://1"},
		Conditions:      []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "KubeletReady", LastHeartbeatTime: now, LastTransitionTime: now}},
	}
	node, err = client.CoreV1().Nodes().UpdateStatus(ctx, node, metav1.UpdateOptions{})
	if err != nil {
		return err
	}
	node.Spec.Taints = nil
	_, err = client.CoreV1().Nodes().Update(ctx, node, metav1.UpdateOptions{})
	return err
}
