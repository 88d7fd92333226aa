package actionset

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/rs/zerolog"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"

	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	salvor "github.com/salvor-io/salvor/api/salvor/v1alpha1"
	"github.com/salvor-io/salvor/bridge/status"
	"github.com/salvor-io/salvor/internal/kube"
)

// unfinished selects the ActionSets that have not ended.
const unfinished = "status.state!=complete,status.state!=failed"

// Watcher keeps the unfinished ActionSets of some namespaces, or of all, and
// beside them those that have the label salvor.LabelRetry, whatever their state.
type Watcher struct {
	clients    *kube.Clients
	log        zerolog.Logger
	namespaces []string
	// informers of unfinished ActionSets, by namespace.
	informers map[string]cache.SharedIndexInformer
	// asking are the informers of ActionSets that ask for a retry.
	asking map[string]cache.SharedIndexInformer
	// unfiltered is set once the API server has refused the selector.
	unfiltered atomic.Bool
	mu         sync.Mutex
	lastErr    error
}

// NewWatcher returns a watcher of the namespaces; none means all.
func NewWatcher(c *kube.Clients, log zerolog.Logger, namespaces []string) (*Watcher, error) {
	if len(namespaces) == 0 {
		namespaces = []string{metav1.NamespaceAll}
	}
	w := &Watcher{
		clients: c, log: log, namespaces: namespaces,
		informers: map[string]cache.SharedIndexInformer{}, asking: map[string]cache.SharedIndexInformer{},
	}
	for _, namespace := range namespaces {
		var errs [2]error
		w.informers[namespace], errs[0] = w.informer(w.listWatch(namespace, w.filtered), "unfinished ActionSets")
		w.asking[namespace], errs[1] = w.informer(w.listWatch(namespace, labelled), "ActionSets that ask for a retry")
		if err := errors.Join(errs[:]...); err != nil {
			return nil, fmt.Errorf("prepare the watch of ActionSets: %w", err)
		}
	}
	return w, nil
}

func (w *Watcher) informer(source *cache.ListWatch, what string) (cache.SharedIndexInformer, error) {
	informer := cache.NewSharedIndexInformerWithOptions(source, &kanister.ActionSet{}, cache.SharedIndexInformerOptions{ObjectDescription: what})
	return informer, errors.Join(
		informer.SetTransform(slim),
		informer.SetWatchErrorHandlerWithContext(func(_ context.Context, _ *cache.Reflector, err error) { w.failed(err) }),
	)
}

// Run watches until ctx ends, calling h for every change of an unfinished
// ActionSet and retry for every change of one that asks for a retry.
func (w *Watcher) Run(ctx context.Context, h, retry cache.ResourceEventHandler) error {
	var running sync.WaitGroup
	defer running.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for _, namespace := range w.namespaces {
		_, err := w.informers[namespace].AddEventHandler(h)
		_, errRetry := w.asking[namespace].AddEventHandler(retry)
		if err := errors.Join(err, errRetry); err != nil {
			return fmt.Errorf("watch ActionSets: %w", err)
		}
		running.Go(func() { w.informers[namespace].RunWithContext(ctx) })
		running.Go(func() { w.asking[namespace].RunWithContext(ctx) })
	}
	running.Wait()
	return nil
}

// Ready is nil once the ActionSets that were there have been read.
func (w *Watcher) Ready() error {
	for _, namespace := range w.namespaces {
		if w.informers[namespace].HasSynced() && w.asking[namespace].HasSynced() {
			continue
		}
		return w.notRead()
	}
	return nil
}

// WaitForSync waits until the ActionSets that were there have been read, or ctx
// ends.
func (w *Watcher) WaitForSync(ctx context.Context) bool {
	for _, namespace := range w.namespaces {
		if !cache.WaitForCacheSync(ctx.Done(), w.informers[namespace].HasSynced, w.asking[namespace].HasSynced) {
			return false
		}
	}
	return true
}

// Watches reports whether the namespace is one of the watched.
func (w *Watcher) Watches(namespace string) bool {
	return w.namespaces[0] == metav1.NamespaceAll || slices.Contains(w.namespaces, namespace)
}

// Lookup returns an ActionSet as it was last seen; callers do not change it.
// Finished ones are not found when the API server filters.
func (w *Watcher) Lookup(namespace, name string) (*kanister.ActionSet, bool) {
	return lookup(w.informers, namespace, name)
}

// Asking returns an ActionSet that has the label salvor.LabelRetry, in any state,
// as it was last seen; callers do not change it.
func (w *Watcher) Asking(namespace, name string) (*kanister.ActionSet, bool) {
	return lookup(w.asking, namespace, name)
}

func lookup(informers map[string]cache.SharedIndexInformer, namespace, name string) (*kanister.ActionSet, bool) {
	informer := informers[metav1.NamespaceAll]
	if informer == nil {
		informer = informers[namespace]
	}
	if informer == nil {
		return nil, false
	}
	found, exists, err := informer.GetStore().GetByKey(namespace + "/" + name)
	if err != nil || !exists {
		return nil, false
	}
	as, ok := found.(*kanister.ActionSet)
	return as, ok
}

// All returns the unfinished ActionSets; callers do not change them.
func (w *Watcher) All() []*kanister.ActionSet { return all(w.informers) }

// AllAsking returns the ActionSets that have the label salvor.LabelRetry; callers
// do not change them.
func (w *Watcher) AllAsking() []*kanister.ActionSet { return all(w.asking) }

func all(informers map[string]cache.SharedIndexInformer) []*kanister.ActionSet {
	var out []*kanister.ActionSet
	for _, informer := range informers {
		for _, found := range informer.GetStore().List() {
			if as, ok := found.(*kanister.ActionSet); ok {
				out = append(out, as)
			}
		}
	}
	return out
}

func (w *Watcher) listWatch(namespace string, filter func(metav1.ListOptions) metav1.ListOptions) *cache.ListWatch {
	client := w.clients.ActionSets(namespace)
	source := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			list, err := client.List(ctx, filter(o))
			if w.refused(err) {
				list, err = client.List(ctx, filter(o))
			}
			if err != nil {
				return nil, err // the reflector tells expired and refused by type
			}
			return list, nil
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			events, err := client.Watch(ctx, filter(o))
			if w.refused(err) {
				events, err = client.Watch(ctx, filter(o))
			}
			return events, err // the reflector tells expired and refused by type
		},
	}
	return kube.Rewindable(source, func(ctx context.Context) (string, error) {
		list, err := client.List(ctx, metav1.ListOptions{Limit: 1})
		if err != nil {
			return "", err // the reflector tells refused by type
		}
		return list.ResourceVersion, nil
	})
}

func labelled(o metav1.ListOptions) metav1.ListOptions {
	o.LabelSelector = salvor.LabelRetry
	return o
}

func (w *Watcher) filtered(o metav1.ListOptions) metav1.ListOptions {
	if !w.unfiltered.Load() {
		o.FieldSelector = unfinished
	}
	return o
}

// refused notes that the API server does not know the selector.
func (w *Watcher) refused(err error) bool {
	if !apierrors.IsBadRequest(err) || !strings.Contains(err.Error(), "field label") || w.unfiltered.Swap(true) {
		return false
	}
	w.log.Warn().Msg("the CRD of ActionSets has no selectable field .status.state, so finished ActionSets are watched too " +
		"and take memory; apply Salvor's CRDs to avoid that")
	return true
}

func (w *Watcher) notRead() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.lastErr != nil {
		return fmt.Errorf("the ActionSets have not been read: %w", w.lastErr)
	}
	return errors.New("the ActionSets have not been read yet")
}

func (w *Watcher) failed(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lastErr = err
	w.log.Warn().Err(err).Msg("the watch of ActionSets broke; it is started again")
}

// slim drops what nobody reads from an ActionSet before it is kept: field
// ownership but for our own mark, outputs, artifacts and, once it has ended, the
// spec and all of the status but what answers a request for a retry.
func slim(obj any) (any, error) {
	as, ok := obj.(*kanister.ActionSet)
	if !ok {
		return obj, nil
	}
	as.ManagedFields = slices.DeleteFunc(as.ManagedFields, func(f metav1.ManagedFieldsEntry) bool {
		return f.Manager != status.FieldManager
	})
	for i := range as.ManagedFields {
		as.ManagedFields[i].FieldsV1 = nil
	}
	delete(as.Annotations, corev1.LastAppliedConfigAnnotation)
	if as.Status == nil {
		return as, nil
	}
	if status.Terminal(as.Status.State) {
		as.Spec = nil
		as.Status = &kanister.ActionSetStatus{
			State: as.Status.State,
			Conditions: slices.DeleteFunc(as.Status.Conditions, func(c metav1.Condition) bool {
				return c.Type != status.ConditionRetried
			}),
		}
		return as, nil
	}
	for i := range as.Status.Actions {
		as.Status.Actions[i].Artifacts = nil
		for j := range as.Status.Actions[i].Phases {
			as.Status.Actions[i].Phases[j].Output = nil
		}
		if as.Status.Actions[i].DeferPhase != nil {
			as.Status.Actions[i].DeferPhase.Output = nil
		}
	}
	return as, nil
}

// ours reports whether Salvor has written the status of the ActionSet.
func ours(as *kanister.ActionSet) bool {
	return slices.ContainsFunc(as.ManagedFields, func(f metav1.ManagedFieldsEntry) bool {
		return f.Manager == status.FieldManager
	})
}

func state(as *kanister.ActionSet) kanister.State {
	if as.Status == nil {
		return ""
	}
	return as.Status.State
}
