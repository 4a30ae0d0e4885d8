// Package controller is a controller as people write them with client-go: an informer on ConfigMaps, leader election, and, while
// it leads, writes. It tells on standard output, as lines of JSON, what it saw and did; test/world/informers.test.ts compares that
// with what is true.
//
//	example-controller KUBECONFIG NAMESPACE IDENTITY
package controller

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/klog/v2"
)

const (
	label          = "controller=example"
	writeInterval  = 200 * time.Millisecond
	requestTimeout = 30 * time.Second
	// So many are kept; the oldest goes when one more is made.
	kept = 20
)

// line is what it tells; fields that do not apply are absent.
type line struct {
	Kind    string            `json:"kind"` // add, update, delete, leading, following, wrote, unknown, resting, store
	Name    string            `json:"name,omitempty"`
	Version string            `json:"version,omitempty"`
	Write   int               `json:"write,omitempty"`
	Time    int64             `json:"time"` // Unix, ms
	Error   string            `json:"error,omitempty"`
	Store   map[string]string `json:"store,omitempty"`
}

type reporter struct {
	mutex   sync.Mutex
	encoder *json.Encoder
}

func (r *reporter) tell(said line) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	said.Time = time.Now().UnixMilli()
	_ = r.encoder.Encode(said)
}

// Main gives leadership back and writes nothing more after SIGINT, which it tells; it returns after SIGTERM, when it has told its store.
func Main(arguments []string) error {
	if len(arguments) != 3 {
		return fmt.Errorf("arguments: KUBECONFIG NAMESPACE IDENTITY")
	}
	namespace, identity := arguments[1], arguments[2]
	config, err := clientcmd.BuildConfigFromFlags("", arguments[0])
	if err != nil {
		return err
	}
	config.QPS = -1
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	election, rest := signal.NotifyContext(ctx, syscall.SIGINT)
	defer rest()
	var writing sync.WaitGroup
	report := &reporter{encoder: json.NewEncoder(os.Stdout)}

	factory := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithNamespace(namespace),
		informers.WithTweakListOptions(func(options *metav1.ListOptions) { options.LabelSelector = label }))
	informer := factory.Core().V1().ConfigMaps().Informer()
	if _, err := informer.AddEventHandler(handlers(report)); err != nil {
		return err
	}
	factory.Start(ctx.Done())

	lock := &resourcelock.LeaseLock{
		LeaseMeta:  metav1.ObjectMeta{Name: "example", Namespace: namespace},
		Client:     client.CoordinationV1(),
		LockConfig: resourcelock.ResourceLockConfig{Identity: identity},
	}
	for election.Err() == nil {
		// The times are client-go's own defaults.
		leaderelection.RunOrDie(election, leaderelection.LeaderElectionConfig{
			Lock: lock, LeaseDuration: 15 * time.Second, RenewDeadline: 10 * time.Second, RetryPeriod: 2 * time.Second, ReleaseOnCancel: true,
			Callbacks: leaderelection.LeaderCallbacks{
				OnStartedLeading: func(ctx context.Context) {
					writing.Add(1)
					defer writing.Done()
					report.tell(line{Kind: "leading"})
					write(ctx, client, namespace, identity, report)
				},
				OnStoppedLeading: func() { report.tell(line{Kind: "following"}) },
			},
		})
	}
	writing.Wait()
	report.tell(line{Kind: "resting"})
	<-ctx.Done()
	store := map[string]string{}
	for _, object := range informer.GetStore().List() {
		found := object.(*corev1.ConfigMap)
		store[found.Name] = found.ResourceVersion
	}
	report.tell(line{Kind: "store", Store: store})
	return nil
}

func handlers(report *reporter) cache.ResourceEventHandler {
	tell := func(kind string, object any) {
		if unknown, ok := object.(cache.DeletedFinalStateUnknown); ok {
			object = unknown.Obj
		}
		found := object.(*corev1.ConfigMap)
		report.tell(line{Kind: kind, Name: found.Name, Version: found.ResourceVersion})
	}
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { tell("add", object) },
		UpdateFunc: func(_, object any) { tell("update", object) },
		DeleteFunc: func(object any) { tell("delete", object) },
	}
}

// write makes objects with names of the API server's choice: a request that is sent twice makes two. It repeats none itself:
// what failed may have been done. Each object is updated once; of what it made, the oldest are deleted.
func write(ctx context.Context, client kubernetes.Interface, namespace, identity string, report *reporter) {
	objects := client.CoreV1().ConfigMaps(namespace)
	attempt := func(number int, try func(context.Context) error) {
		// Not the context of leadership: a request that it ended would be one more that nobody knows of.
		ctx, cancel := context.WithTimeout(context.Background(), requestTimeout)
		defer cancel()
		if err := try(ctx); err != nil {
			klog.ErrorS(err, "write failed", "number", number)
			report.tell(line{Kind: "unknown", Write: number, Error: err.Error()})
		}
	}
	var made []string
	ticker := time.NewTicker(writeInterval)
	defer ticker.Stop()
	for number := 1; ; number++ {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		attempt(number, func(ctx context.Context) error {
			object := &corev1.ConfigMap{
				ObjectMeta: metav1.ObjectMeta{
					GenerateName: "write-", Labels: map[string]string{"controller": "example", "write": identity + "-" + strconv.Itoa(number)},
				},
				Data: map[string]string{"state": "made"},
			}
			created, err := objects.Create(ctx, object, metav1.CreateOptions{})
			if err != nil {
				return err
			}
			made = append(made, created.Name)
			report.tell(line{Kind: "wrote", Name: created.Name, Version: created.ResourceVersion, Write: number})
			created.Data["state"] = "updated"
			_, err = objects.Update(ctx, created, metav1.UpdateOptions{})
			return err
		})
		if len(made) > kept {
			oldest := made[0]
			made = made[1:]
			attempt(number, func(ctx context.Context) error { return objects.Delete(ctx, oldest, metav1.DeleteOptions{}) })
		}
	}
}
