package pods

import (
	"context"
	"errors"
	"fmt"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/internal/kube"
)

const indexKey = "salvor.io/key"

// watcher is the one informer for all pods, fanned out to whoever follows one.
type watcher struct {
	informer cache.SharedIndexInformer

	mu   sync.Mutex
	subs map[types.NamespacedName]map[*subscription]struct{}
}

func newWatcher(client kubernetes.Interface) (*watcher, error) {
	w := &watcher{subs: map[types.NamespacedName]map[*subscription]struct{}{}}
	w.informer = cache.NewSharedIndexInformerWithOptions(podSource(client), &corev1.Pod{},
		cache.SharedIndexInformerOptions{ObjectDescription: "pods of phases", Indexers: cache.Indexers{indexKey: indexByKey}})
	if err := w.informer.SetTransform(slim); err != nil {
		return nil, fmt.Errorf("watch pods: %w", err)
	}
	_, err := w.informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { w.tell(o, false) },
		UpdateFunc: func(_, o any) { w.tell(o, false) },
		DeleteFunc: func(o any) { w.tell(o, true) },
	})
	if err != nil {
		return nil, fmt.Errorf("watch pods: %w", err)
	}
	return w, nil
}

// podSource lists and watches the pods of phases, and notices an etcd that went
// back.
func podSource(client kubernetes.Interface) cache.ListerWatcher {
	pods := client.CoreV1().Pods(metav1.NamespaceAll)
	ours := func(o metav1.ListOptions) metav1.ListOptions {
		o.LabelSelector = LabelRun
		return o
	}
	source := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			return pods.List(ctx, ours(o)) // the reflector tells expired and refused by type
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			return pods.Watch(ctx, ours(o)) // likewise
		},
	}
	return cache.ToListWatcherWithWatchListSemantics(kube.Rewindable(source, func(ctx context.Context) (string, error) {
		list, err := pods.List(ctx, ours(metav1.ListOptions{Limit: 1}))
		if err != nil {
			return "", err // likewise
		}
		return list.ResourceVersion, nil
	}), client)
}

// slim drops what nobody here reads and what is often the larger half of a pod.
func slim(o any) (any, error) {
	if pod, ok := o.(*corev1.Pod); ok {
		pod.ManagedFields = nil
	}
	return o, nil
}

func indexByKey(o any) ([]string, error) {
	pod, ok := o.(*corev1.Pod)
	if !ok {
		return nil, nil
	}
	id, err := identify(pod)
	if err != nil {
		return nil, nil //nolint:nilerr // not ours: in no index
	}
	return []string{id.Key.String()}, nil
}

// run watches until ctx ends and everything it started has ended.
func (w *watcher) run(ctx context.Context) {
	w.informer.RunWithContext(ctx)
}

// synced waits for the first list.
func (w *watcher) synced(ctx context.Context) error {
	if !cache.WaitForCacheSync(ctx.Done(), w.informer.HasSynced) {
		return fmt.Errorf("waiting for the list of pods: %w", context.Cause(ctx))
	}
	return nil
}

func (w *watcher) tell(o any, gone bool) {
	if unknown, ok := o.(cache.DeletedFinalStateUnknown); ok {
		o = unknown.Obj
	}
	pod, ok := o.(*corev1.Pod)
	if !ok {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for s := range w.subs[nameOf(pod)] {
		s.tell(pod, gone)
	}
}

// get returns the pod as the informer knows it, or nil.
func (w *watcher) get(name types.NamespacedName) *corev1.Pod {
	o, exists, err := w.informer.GetStore().GetByKey(name.String())
	if err != nil || !exists {
		return nil
	}
	pod, _ := o.(*corev1.Pod) // the store of a pod informer
	return pod
}

// byKey returns the pods of an attempt, whatever their namespace.
func (w *watcher) byKey(k event.Key) ([]*corev1.Pod, error) {
	objects, err := w.informer.GetIndexer().ByIndex(indexKey, k.String())
	if err != nil {
		return nil, fmt.Errorf("find the pods of %s: %w", k, err)
	}
	return asPods(objects), nil
}

func (w *watcher) all() []*corev1.Pod { return asPods(w.informer.GetStore().List()) }

func asPods(objects []any) []*corev1.Pod {
	pods := make([]*corev1.Pod, 0, len(objects))
	for _, o := range objects {
		if pod, ok := o.(*corev1.Pod); ok {
			pods = append(pods, pod)
		}
	}
	return pods
}

// subscribe has the subscription told of every change of the pod of that name,
// from now on. The caller ends it with unsubscribe.
func (w *watcher) subscribe(name types.NamespacedName) *subscription {
	s := &subscription{name: name, changed: make(chan struct{}, 1)}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.subs[name] == nil {
		w.subs[name] = map[*subscription]struct{}{}
	}
	w.subs[name][s] = struct{}{}
	return s
}

func (w *watcher) unsubscribe(s *subscription) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.subs[s.name], s)
	if len(w.subs[s.name]) == 0 {
		delete(w.subs, s.name)
	}
}

// followed reports whether somebody follows the pod of that name.
func (w *watcher) followed(name types.NamespacedName) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.subs[name]) > 0
}

// subscription holds the last state of one pod.
type subscription struct {
	name types.NamespacedName
	// changed has a token when the state changed since it was last taken.
	changed chan struct{}

	mu   sync.Mutex
	uid  types.UID
	pod  *corev1.Pod
	gone bool
	// told: the informer knows the pod.
	told bool
}

func (s *subscription) tell(pod *corev1.Pod, gone bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.uid != "" && pod.UID != s.uid {
		return // an earlier or a later pod of the same name
	}
	s.pod, s.gone, s.told = pod, gone, true
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// expect says which pod is meant. The informer may not have seen it yet, or may
// have seen more of it than the caller.
func (s *subscription) expect(pod *corev1.Pod) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.uid = pod.UID
	if s.pod == nil || s.pod.UID != pod.UID {
		s.pod, s.gone, s.told = pod, false, false
	}
}

func (s *subscription) last() (pod *corev1.Pod, gone bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pod, s.gone
}

// seen reports whether the informer has said anything about the pod.
func (s *subscription) seen() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.told
}

func nameOf(pod *corev1.Pod) types.NamespacedName {
	return types.NamespacedName{Namespace: pod.Namespace, Name: pod.Name}
}

var errForeign = errors.New("a pod of that name exists that is not Salvor's")
