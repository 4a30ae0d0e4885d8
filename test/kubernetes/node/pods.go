package node

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/retry"
	"k8s.io/klog/v2"
)

// Until something is wrong with the API server.
const requestTimeout = 30 * time.Second

// pods of this node, and their containers.
type pods struct {
	client    kubernetes.Interface
	directory string

	mutex      sync.Mutex
	known      map[types.UID]*corev1.Pod
	ending     map[types.UID]bool
	containers map[string]*container
}

func newPods(client kubernetes.Interface, directory string) *pods {
	return &pods{client: client, directory: directory, known: map[types.UID]*corev1.Pod{}, ending: map[types.UID]bool{}, containers: map[string]*container{}}
}

func (p *pods) follow(ctx context.Context) {
	factory := informers.NewSharedInformerFactory(p.client, 0)
	seen := func(object any) {
		if pod, ok := object.(*corev1.Pod); ok {
			p.seen(ctx, pod)
		}
	}
	handlers := cache.ResourceEventHandlerFuncs{
		AddFunc:    seen,
		UpdateFunc: func(_, object any) { seen(object) },
		// Deleted without grace: nobody asked this node.
		DeleteFunc: func(object any) {
			if pod, ok := object.(*corev1.Pod); ok {
				go p.end(ctx, pod, 0)
			}
		},
	}
	if _, err := factory.Core().V1().Pods().Informer().AddEventHandler(handlers); err != nil {
		panic(err)
	}
	factory.Start(ctx.Done())
}

func (p *pods) seen(ctx context.Context, pod *corev1.Pod) {
	switch {
	case pod.DeletionTimestamp != nil && pod.Spec.NodeName == Name:
		grace := int64(0)
		if pod.DeletionGracePeriodSeconds != nil {
			grace = *pod.DeletionGracePeriodSeconds
		}
		go p.end(ctx, pod, time.Duration(grace)*time.Second)
	case pod.DeletionTimestamp != nil:
	case pod.Spec.NodeName == "":
		go p.bind(ctx, pod)
	case pod.Spec.NodeName == Name:
		p.mutex.Lock()
		_, known := p.known[pod.UID]
		p.known[pod.UID] = pod
		p.mutex.Unlock()
		if !known && (pod.Status.Phase == "" || pod.Status.Phase == corev1.PodPending) {
			go p.run(ctx, pod)
		}
	}
}

// bind is all of a scheduler that is needed with one node.
func (p *pods) bind(ctx context.Context, pod *corev1.Pod) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	binding := &corev1.Binding{
		ObjectMeta: metav1.ObjectMeta{Name: pod.Name, Namespace: pod.Namespace, UID: pod.UID},
		Target:     corev1.ObjectReference{Kind: "Node", Name: Name},
	}
	if err := p.client.CoreV1().Pods(pod.Namespace).Bind(ctx, binding, metav1.CreateOptions{}); err != nil {
		klog.ErrorS(err, "pod is not bound", "pod", klog.KObj(pod))
	}
}

func (p *pods) run(ctx context.Context, pod *corev1.Pod) {
	var mine []*container
	for _, spec := range pod.Spec.Containers {
		started, err := p.start(pod, spec)
		if err != nil {
			klog.ErrorS(err, "container is not started", "pod", klog.KObj(pod), "container", spec.Name)
			continue
		}
		mine = append(mine, started)
	}
	p.report(ctx, pod, mine)
	for _, one := range mine {
		<-one.done
		if p.isEnding(pod.UID) {
			return
		}
		p.report(ctx, pod, mine)
	}
}

func (p *pods) start(pod *corev1.Pod, spec corev1.Container) (*container, error) {
	id := fmt.Sprintf("%s-%s", pod.UID, spec.Name)
	directory := filepath.Join(p.directory, id)
	if err := os.MkdirAll(directory, 0o700); err != nil {
		return nil, err
	}
	log, err := os.Create(directory + ".log")
	if err != nil {
		return nil, err
	}
	made := &container{
		id: id, pod: pod, spec: spec, directory: directory, log: log, done: make(chan struct{}),
		attached: map[io.Writer]string{}, partial: map[string][]byte{},
	}
	if err := made.start(); err != nil {
		// An image or command that cannot be started ends at once.
		fmt.Fprintf(log, "%s stderr F %v\n", time.Now().Format(time.RFC3339Nano), err)
		made.started, made.finished, made.code = time.Now(), time.Now(), 127
		close(made.done)
	}
	p.mutex.Lock()
	p.containers[id] = made
	p.mutex.Unlock()
	return made, nil
}

// end is what a deletion asks of a kubelet: ends the processes, then removes the object.
func (p *pods) end(ctx context.Context, pod *corev1.Pod, grace time.Duration) {
	p.mutex.Lock()
	again := p.ending[pod.UID]
	p.ending[pod.UID] = true
	p.mutex.Unlock()
	if again {
		return
	}
	var mine []*container
	for _, spec := range pod.Spec.Containers {
		if one := p.byID(fmt.Sprintf("%s-%s", pod.UID, spec.Name)); one != nil {
			if !one.ended() {
				one.stop(grace)
			}
			mine = append(mine, one)
		}
	}
	if pod.DeletionTimestamp == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	none := int64(0)
	options := metav1.DeleteOptions{GracePeriodSeconds: &none, Preconditions: &metav1.Preconditions{UID: &pod.UID}}
	if err := p.client.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, options); err != nil {
		klog.ErrorS(err, "pod is not removed", "pod", klog.KObj(pod))
	}
}

func (p *pods) isEnding(uid types.UID) bool {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return p.ending[uid]
}

// report writes the pod's status.
func (p *pods) report(ctx context.Context, pod *corev1.Pod, containers []*container) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	err := retry.RetryOnConflict(retry.DefaultRetry, func() error {
		now, err := p.client.CoreV1().Pods(pod.Namespace).Get(ctx, pod.Name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		now.Status = status(now, containers)
		_, err = p.client.CoreV1().Pods(pod.Namespace).UpdateStatus(ctx, now, metav1.UpdateOptions{})
		return err
	})
	if err != nil {
		klog.ErrorS(err, "status of pod is not written", "pod", klog.KObj(pod))
	}
}

func status(pod *corev1.Pod, containers []*container) corev1.PodStatus {
	next := pod.Status
	ended, failed := 0, 0
	next.ContainerStatuses = nil
	for _, one := range containers {
		yes := !one.ended()
		state := corev1.ContainerStatus{
			Name: one.spec.Name, Image: one.spec.Image, ImageID: one.spec.Image, ContainerID: "processes://" + one.id, Ready: yes, Started: &yes,
		}
		if yes {
			state.State.Running = &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(one.started)}
		} else {
			ended++
			reason := "Completed"
			if one.code != 0 {
				failed++
				reason = "Error"
			}
			state.State.Terminated = &corev1.ContainerStateTerminated{
				ExitCode: int32(one.code), Reason: reason, ContainerID: "processes://" + one.id,
				StartedAt: metav1.NewTime(one.started), FinishedAt: metav1.NewTime(one.finished),
			}
		}
		next.ContainerStatuses = append(next.ContainerStatuses, state)
	}
	next.Phase = corev1.PodRunning
	if ended == len(containers) && pod.Spec.RestartPolicy != corev1.RestartPolicyAlways {
		next.Phase = corev1.PodSucceeded
		if failed > 0 {
			next.Phase = corev1.PodFailed
		}
	}
	next.HostIP, next.HostIPs = "127.0.0.1", []corev1.HostIP{{IP: "127.0.0.1"}}
	// Loopback is refused in EndpointSlices.
	next.PodIP, next.PodIPs = "10.0.0.1", []corev1.PodIP{{IP: "10.0.0.1"}}
	if next.StartTime == nil {
		now := metav1.Now()
		next.StartTime = &now
	}
	ready := corev1.ConditionTrue
	if ended > 0 {
		ready = corev1.ConditionFalse
	}
	next.Conditions = nil
	for _, kind := range []corev1.PodConditionType{corev1.PodScheduled, corev1.PodInitialized, corev1.ContainersReady, corev1.PodReady} {
		value := corev1.ConditionTrue
		if kind == corev1.ContainersReady || kind == corev1.PodReady {
			value = ready
		}
		next.Conditions = append(next.Conditions, corev1.PodCondition{Type: kind, Status: value, LastTransitionTime: metav1.Now()})
	}
	return next
}

func (p *pods) list() []*corev1.Pod {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	var all []*corev1.Pod
	for uid, pod := range p.known {
		if !p.ending[uid] {
			all = append(all, pod)
		}
	}
	return all
}

func (p *pods) byName(namespace, name string) (*corev1.Pod, bool) {
	for _, pod := range p.list() {
		if pod.Namespace == namespace && pod.Name == name {
			return pod, true
		}
	}
	return nil, false
}

func (p *pods) byID(id string) *container {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return p.containers[id]
}

// container of a pod by its full name, "name_namespace", as the kubelet's server says it.
func (p *pods) container(pod, name string) (*container, error) {
	podName, namespace, _ := strings.Cut(pod, "_")
	if found, ok := p.byName(namespace, podName); ok {
		if one := p.byID(fmt.Sprintf("%s-%s", found.UID, name)); one != nil {
			return one, nil
		}
	}
	return nil, fmt.Errorf("container not found (%q)", name)
}
