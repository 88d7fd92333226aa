package object

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/rs/zerolog"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/utils/clock"
)

// Follower tells of changes to objects.
type Follower struct {
	Resource dynamic.ResourceInterface
	Clock    clock.Clock
	Log      zerolog.Logger
}

// Object calls check with the object of that name as it is now and after each
// change, nil while it does not exist, until check returns true or an error, or
// ctx ends; the error is then ctx's cause.
func (f Follower) Object(ctx context.Context, name string, check func(*unstructured.Unstructured) (bool, error)) error {
	named := metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector("metadata.name", name).String()}
	return f.List(ctx, named, func(items []*unstructured.Unstructured) (bool, error) {
		if len(items) == 0 {
			return check(nil)
		}
		return check(items[0])
	})
}

// List is Object for all objects that match a selector, ordered by namespace and
// name.
func (f Follower) List(ctx context.Context, selector metav1.ListOptions, check func([]*unstructured.Unstructured) (bool, error)) error {
	delays := newDelays()
	for {
		r := round{Follower: f, selector: selector, check: check}
		done, err := r.run(ctx)
		switch {
		case ctx.Err() != nil && !done:
			return context.Cause(ctx)
		case done || lasting(err):
			return err
		}
		if r.watched {
			delays = newDelays()
		}
		delay := delays.Step()
		f.Log.Debug().Err(err).Dur("delay", delay).Msg("watch ended, starting again")
		if err := sleep(ctx, f.Clock, delay); err != nil {
			return err
		}
	}
}

// round is one list and the watch from there.
type round struct {
	Follower
	selector metav1.ListOptions
	check    func([]*unstructured.Unstructured) (bool, error)
	watched  bool
	items    map[string]*unstructured.Unstructured
}

// run returns true when the caller has what it wants, or check failed.
func (r *round) run(ctx context.Context) (bool, error) {
	list, err := r.Resource.List(ctx, r.selector)
	if err != nil {
		return false, err
	}
	r.items = map[string]*unstructured.Unstructured{}
	for i := range list.Items {
		r.items[key(&list.Items[i])] = &list.Items[i]
	}
	if done, err := r.ask(); done || err != nil {
		return true, err
	}
	from := r.selector
	from.ResourceVersion = list.GetResourceVersion()
	from.AllowWatchBookmarks = true
	watcher, err := r.Resource.Watch(ctx, from)
	if err != nil {
		return false, err
	}
	defer watcher.Stop()
	r.watched = true
	for {
		select {
		case <-ctx.Done():
			return false, context.Cause(ctx)
		case change, open := <-watcher.ResultChan():
			if !open {
				return false, nil
			}
			if done, err := r.apply(change); done || err != nil {
				return done, err
			}
		}
	}
}

func (r *round) apply(change watch.Event) (bool, error) {
	object, ok := change.Object.(*unstructured.Unstructured)
	switch change.Type {
	case watch.Added, watch.Modified, watch.Deleted:
		if !ok {
			return false, fmt.Errorf("the watch sent %T", change.Object)
		}
	case watch.Bookmark:
		return false, nil
	case watch.Error:
		return false, apierrors.FromObject(change.Object)
	default:
		return false, fmt.Errorf("the watch sent an event of the unknown type %q", change.Type)
	}
	if change.Type == watch.Deleted {
		delete(r.items, key(object))
	} else {
		r.items[key(object)] = object
	}
	done, err := r.ask()
	return done || err != nil, err
}

func (r *round) ask() (bool, error) {
	names := slices.Sorted(maps.Keys(r.items))
	items := make([]*unstructured.Unstructured, 0, len(names))
	for _, name := range names {
		items = append(items, r.items[name])
	}
	return r.check(items)
}

func key(o *unstructured.Unstructured) string { return o.GetNamespace() + "/" + o.GetName() }

// lasting reports whether trying again cannot help.
func lasting(err error) bool {
	return apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err) || apierrors.IsNotFound(err) ||
		apierrors.IsMethodNotSupported(err) || apierrors.IsBadRequest(err) || apierrors.IsInvalid(err)
}

func newDelays() wait.Backoff {
	return wait.Backoff{Duration: 250 * time.Millisecond, Factor: 2, Jitter: 0.2, Steps: 6, Cap: 10 * time.Second}
}

func sleep(ctx context.Context, c clock.Clock, d time.Duration) error {
	timer := c.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C():
		return nil
	}
}
