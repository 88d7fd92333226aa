package trigger

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/rs/zerolog"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"

	salvor "github.com/salvor-io/salvor/api/salvor/v1alpha1"
	"github.com/salvor-io/salvor/internal/kube"
)

// Watcher keeps the ActionTriggers of some namespaces, or of all.
type Watcher struct {
	log        zerolog.Logger
	namespaces []string
	informers  []cache.SharedIndexInformer
	mu         sync.Mutex
	lastErr    error
}

// NewWatcher returns a watcher of the namespaces; none means all.
func NewWatcher(c *kube.Clients, log zerolog.Logger, namespaces []string) (*Watcher, error) {
	if len(namespaces) == 0 {
		namespaces = []string{metav1.NamespaceAll}
	}
	w := &Watcher{log: log, namespaces: namespaces}
	for _, namespace := range namespaces {
		client := c.ActionTriggers(namespace)
		source := &cache.ListWatch{
			ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
				list, err := client.List(ctx, o)
				if err != nil {
					return nil, err // the reflector tells expired and refused by type
				}
				return list, nil
			},
			WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
				return client.Watch(ctx, o) // the reflector tells expired and refused by type
			},
		}
		newest := func(ctx context.Context) (string, error) {
			list, err := client.List(ctx, metav1.ListOptions{Limit: 1})
			if err != nil {
				return "", err // the reflector tells refused by type
			}
			return list.ResourceVersion, nil
		}
		informer := cache.NewSharedIndexInformerWithOptions(kube.Rewindable(source, newest), &salvor.ActionTrigger{},
			cache.SharedIndexInformerOptions{
				ObjectDescription: "ActionTriggers", Indexers: cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc},
			})
		if err := errors.Join(
			informer.SetTransform(slim),
			informer.SetWatchErrorHandlerWithContext(func(_ context.Context, _ *cache.Reflector, err error) { w.failed(err) }),
		); err != nil {
			return nil, fmt.Errorf("prepare the watch of ActionTriggers: %w", err)
		}
		w.informers = append(w.informers, informer)
	}
	return w, nil
}

// Ready is nil once the ActionTriggers that were there have been read.
func (w *Watcher) Ready() error {
	for _, informer := range w.informers {
		if informer.HasSynced() {
			continue
		}
		return w.notRead()
	}
	return nil
}

// run watches until ctx ends, calling noticed as Notify does.
func (w *Watcher) run(ctx context.Context, noticed func(t *salvor.ActionTrigger, gone bool)) {
	var running sync.WaitGroup
	defer running.Wait()
	if err := w.Notify(noticed); err != nil {
		w.failed(err)
	}
	for _, informer := range w.informers {
		running.Go(func() { informer.RunWithContext(ctx) })
	}
}

// watches reports whether the namespace is one of the watched.
func (w *Watcher) watches(namespace string) bool {
	return w.namespaces[0] == metav1.NamespaceAll || slices.Contains(w.namespaces, namespace)
}

// lookup returns a trigger as it was last seen; callers do not change it.
func (w *Watcher) lookup(namespace, name string) (*salvor.ActionTrigger, bool) {
	for _, informer := range w.informers {
		found, exists, err := informer.GetStore().GetByKey(namespace + "/" + name)
		if err != nil || !exists {
			continue
		}
		if t, ok := found.(*salvor.ActionTrigger); ok {
			return t, true
		}
	}
	return nil, false
}

// WaitForSync waits until the triggers that were there have been read, or ctx ends.
func (w *Watcher) WaitForSync(ctx context.Context) bool {
	for _, informer := range w.informers {
		if !cache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
			return false
		}
	}
	return true
}

// All returns the triggers as they were last seen; callers do not change them.
func (w *Watcher) All() []*salvor.ActionTrigger { return w.In(metav1.NamespaceAll) }

// In is All of one namespace. Each event asks, and most are addressed to one of
// thousands, so they are found by an index.
func (w *Watcher) In(namespace string) []*salvor.ActionTrigger {
	var out []*salvor.ActionTrigger
	collect := func(obj any) {
		if t, ok := obj.(*salvor.ActionTrigger); ok {
			out = append(out, t)
		}
	}
	for _, informer := range w.informers {
		// It fails only for want of the index, which NewWatcher gives.
		_ = cache.ListAllByNamespace(informer.GetIndexer(), namespace, labels.Everything(), collect)
	}
	return out
}

func (w *Watcher) notRead() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.lastErr != nil {
		return fmt.Errorf("the ActionTriggers have not been read: %w", w.lastErr)
	}
	return errors.New("the ActionTriggers have not been read yet")
}

func (w *Watcher) failed(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lastErr = err
	w.log.Warn().Err(err).Msg("the watch of ActionTriggers broke; it is started again")
}

// slim drops what nobody reads before a trigger is kept.
func slim(obj any) (any, error) {
	if t, ok := obj.(*salvor.ActionTrigger); ok {
		t.ManagedFields = nil
		delete(t.Annotations, corev1.LastAppliedConfigAnnotation)
	}
	return obj, nil
}
