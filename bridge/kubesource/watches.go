package kubesource

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"

	"github.com/salvor-io/salvor/internal/kube"
)

// target is what a watch is of. Triggers that ask for the same share it.
type target struct {
	namespace string
	resource  schema.GroupVersionResource
	// fields selects; of Kubernetes Events only.
	fields string
}

// rule is the RBAC rule that the watch needs, as one writes it in a Role.
func (t target) rule() string {
	return fmt.Sprintf(`{apiGroups: [%q], resources: [%q], verbs: ["list", "watch"]}`, t.resource.Group, t.resource.Resource)
}

// watching is one informer and those who wait for it.
type watching struct {
	target

	informer cache.SharedIndexInformer
	stop     context.CancelFunc
	mu       sync.Mutex
	users    map[key]bool
	fault    error
}

// failed is the fault that keeps the watch from going on, nil if none does.
func (w *watching) failed() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.fault
}

// watches are the informers that triggers ask for now.
type watches struct {
	// changed is called for each trigger whose watch has something new.
	changed func(key)
	// source of a target.
	source  func(target) (*cache.ListWatch, runtime.Object)
	mu      sync.Mutex
	all     map[target]*watching
	running sync.WaitGroup
}

// want makes the targets those that the trigger watches: watches are started for
// those that nobody had, and stopped that nobody has any more.
func (w *watches) want(ctx context.Context, k key, targets []target) ([]*watching, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []*watching
	for _, target := range targets {
		found := w.all[target]
		if found == nil {
			var err error
			if found, err = w.start(ctx, target, k); err != nil {
				return nil, err
			}
			w.all[target] = found
		}
		found.mu.Lock()
		found.users[k] = true
		found.mu.Unlock()
		out = append(out, found)
	}
	for target, one := range w.all {
		if slices.Contains(targets, target) {
			continue
		}
		one.mu.Lock()
		delete(one.users, k)
		unused := len(one.users) == 0
		one.mu.Unlock()
		if unused {
			one.stop()
			delete(w.all, target)
		}
	}
	return out, nil
}

func (w *watches) start(ctx context.Context, t target, first key) (*watching, error) {
	one := &watching{target: t, users: map[key]bool{first: true}}
	source, expected := w.source(t)
	one.informer = cache.NewSharedIndexInformerWithOptions(w.observed(one, source), expected,
		cache.SharedIndexInformerOptions{ObjectDescription: t.resource.Resource + " in " + t.namespace})
	if err := one.informer.SetTransform(slim); err != nil {
		return nil, fmt.Errorf("prepare the watch of %s: %w", t.resource.Resource, err)
	}
	if err := one.informer.SetWatchErrorHandlerWithContext(func(_ context.Context, _ *cache.Reflector, err error) { w.note(one, err) }); err != nil {
		return nil, fmt.Errorf("prepare the watch of %s: %w", t.resource.Resource, err)
	}
	handler, err := one.informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { w.tell(one) },
		UpdateFunc: func(was, is any) {
			if !sameAnnotations(was, is) {
				w.tell(one)
			}
		},
		// What is gone needs no haste, but is forgotten.
		DeleteFunc: func(any) { w.tell(one) },
	})
	if err != nil {
		return nil, fmt.Errorf("prepare the watch of %s: %w", t.resource.Resource, err)
	}
	ctx, one.stop = context.WithCancel(ctx)
	w.running.Go(func() { one.informer.RunWithContext(ctx) })
	w.running.Go(func() {
		if cache.WaitForCacheSync(ctx.Done(), handler.HasSynced) {
			w.tell(one)
		}
	})
	return one, nil
}

// observed notes when the source answers again.
func (w *watches) observed(one *watching, source *cache.ListWatch) *cache.ListWatch {
	list, follow := source.ListWithContextFunc, source.WatchFuncWithContext
	return &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			found, err := list(ctx, o)
			if err == nil {
				w.note(one, nil)
			}
			return found, err
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			events, err := follow(ctx, o)
			if err == nil {
				w.note(one, nil)
			}
			return events, err
		},
	}
}

// note keeps the fault of a watch, and tells its triggers if it has another one.
func (w *watches) note(one *watching, fault error) {
	one.mu.Lock()
	same := (fault == nil) == (one.fault == nil) && (fault == nil || fault.Error() == one.fault.Error())
	one.fault = fault
	one.mu.Unlock()
	if !same {
		w.tell(one)
	}
}

func (w *watches) tell(one *watching) {
	one.mu.Lock()
	users := slices.Collect(maps.Keys(one.users))
	one.mu.Unlock()
	for _, k := range users {
		w.changed(k)
	}
}

// sourceOf is the list and watch of a target: of Kubernetes Events whole, of anything
// else the metadata only.
func (c *Controller) sourceOf(t target) (*cache.ListWatch, runtime.Object) {
	if t.resource == events {
		client := c.Clients.Kube.CoreV1().Events(t.namespace)
		return kube.Rewindable(&cache.ListWatch{
			ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
				o.FieldSelector = t.fields
				return client.List(ctx, o) //nolint:wrapcheck // the reflector tells expired and refused by type
			},
			WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
				o.FieldSelector = t.fields
				return client.Watch(ctx, o) //nolint:wrapcheck // the reflector tells expired and refused by type
			},
		}, func(ctx context.Context) (string, error) {
			return newest(client.List(ctx, metav1.ListOptions{Limit: 1}))
		}), &corev1.Event{}
	}
	client := c.metadata.Resource(t.resource).Namespace(t.namespace)
	return kube.Rewindable(&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			return client.List(ctx, o) //nolint:wrapcheck // as above
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			return client.Watch(ctx, o) //nolint:wrapcheck // as above
		},
	}, func(ctx context.Context) (string, error) {
		return newest(client.List(ctx, metav1.ListOptions{Limit: 1}))
	}), &metav1.PartialObjectMetadata{}
}

func newest[L metav1.ListInterface](list L, err error) (string, error) {
	if err != nil {
		return "", err // the reflector tells refused by type
	}
	return list.GetResourceVersion(), nil
}

// slim drops what nobody reads.
func slim(obj any) (any, error) {
	if accessor, err := meta.Accessor(obj); err == nil {
		accessor.SetManagedFields(nil)
	}
	if o, ok := obj.(*metav1.PartialObjectMetadata); ok {
		delete(o.Annotations, corev1.LastAppliedConfigAnnotation)
		o.OwnerReferences, o.Finalizers = nil, nil
	}
	return obj, nil
}

func sameAnnotations(was, is any) bool {
	a, okA := was.(*metav1.PartialObjectMetadata)
	b, okB := is.(*metav1.PartialObjectMetadata)
	return okA && okB && a.UID == b.UID && maps.Equal(a.Annotations, b.Annotations)
}
