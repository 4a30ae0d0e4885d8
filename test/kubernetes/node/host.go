package node

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	criapi "k8s.io/cri-api/pkg/apis"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/cri-client/pkg/logs"
	"k8s.io/klog/v2"
	"k8s.io/kubelet/pkg/cri/streaming"
	"k8s.io/kubelet/pkg/cri/streaming/portforward"
	"k8s.io/kubelet/pkg/cri/streaming/remotecommand"
	"net/http"

	"k8s.io/kubernetes/pkg/kubelet/server"
)

// host answers what the kubelet's server asks of the rest of a kubelet; statistics, which nobody asks for here, would panic.
type host struct {
	server.HostInterface
	pods     *pods
	streamer streaming.Server
}

func (h *host) SyncLoopHealthCheck(*http.Request) error { return nil }

func (h *host) ServeLogs(w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) }

func (h *host) GetPods() []*corev1.Pod { return h.pods.list() }

func (h *host) GetPodByName(namespace, name string) (*corev1.Pod, bool) {
	return h.pods.byName(namespace, name)
}

func (h *host) GetExec(_ context.Context, pod string, _ types.UID, container string, command []string, options remotecommand.Options) (*url.URL, error) {
	found, err := h.pods.container(pod, container)
	if err != nil {
		return nil, err
	}
	answer, err := h.streamer.GetExec(&runtimeapi.ExecRequest{
		ContainerId: found.id, Cmd: command,
		Stdin: options.Stdin, Stdout: options.Stdout, Stderr: options.Stderr, Tty: options.TTY,
	})
	if err != nil {
		return nil, err
	}
	return url.Parse(answer.Url)
}

func (h *host) GetAttach(_ context.Context, pod string, _ types.UID, container string, options remotecommand.Options) (*url.URL, error) {
	found, err := h.pods.container(pod, container)
	if err != nil {
		return nil, err
	}
	// A container's own terminal decides, as in the kubelet.
	answer, err := h.streamer.GetAttach(&runtimeapi.AttachRequest{
		ContainerId: found.id,
		Stdin:       options.Stdin, Stdout: options.Stdout, Stderr: options.Stderr && !found.spec.TTY, Tty: found.spec.TTY,
	})
	if err != nil {
		return nil, err
	}
	return url.Parse(answer.Url)
}

func (h *host) GetPortForward(_ context.Context, _, _ string, uid types.UID, options portforward.V4Options) (*url.URL, error) {
	answer, err := h.streamer.GetPortForward(&runtimeapi.PortForwardRequest{PodSandboxId: string(uid), Port: options.Ports})
	if err != nil {
		return nil, err
	}
	return url.Parse(answer.Url)
}

func (h *host) GetKubeletContainerLogs(ctx context.Context, pod, container string, options *corev1.PodLogOptions, stdout, stderr io.Writer) error {
	found, err := h.pods.container(pod, container)
	if err != nil {
		return err
	}
	logger := klog.FromContext(ctx)
	// As kuberuntime does.
	return logs.ReadLogs(ctx, &logger, found.log.Name(), found.id, logs.NewLogOptions(options, time.Now()), engine{pods: h.pods}, stdout, stderr)
}

// engine is what the reader of logs asks a container engine: whether a container still runs.
type engine struct {
	criapi.RuntimeService
	pods *pods
}

func (e engine) ContainerStatus(_ context.Context, id string, _ bool) (*runtimeapi.ContainerStatusResponse, error) {
	found := e.pods.byID(id)
	if found == nil {
		return nil, fmt.Errorf("no container %q", id)
	}
	state := runtimeapi.ContainerState_CONTAINER_RUNNING
	if found.ended() {
		state = runtimeapi.ContainerState_CONTAINER_EXITED
	}
	return &runtimeapi.ContainerStatusResponse{Status: &runtimeapi.ContainerStatus{Id: id, State: state}}, nil
}
