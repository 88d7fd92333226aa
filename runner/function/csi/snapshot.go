package csi

import (
	"context"
	"fmt"
	"regexp"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/runner/function"
	"github.com/salvor-io/salvor/runner/function/object"
)

// snapshot is the VolumeSnapshot that a call is about.
type snapshot struct {
	call            *function.Call
	api             dynamic.ResourceInterface
	name, namespace string
}

func newSnapshot(call *function.Call, name, namespace string) (*snapshot, error) {
	api, err := resourceOf(call, kindSnapshot, namespace)
	if err != nil {
		return nil, err
	}
	return &snapshot{call: call, api: api, name: name, namespace: namespace}, nil
}

// String names the snapshot in messages.
func (s *snapshot) String() string { return fmt.Sprintf("VolumeSnapshot %s/%s", s.namespace, s.name) }

// take makes the snapshot, unless the phase already has, and returns it once it can
// be used.
func (s *snapshot) take(ctx context.Context, o *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	if err := s.make(ctx, o); err != nil {
		return nil, s.failed(ctx, err, "make %s", s)
	}
	var made *unstructured.Unstructured
	err := s.follow(ctx, func(now *unstructured.Unstructured) (bool, error) {
		if now == nil {
			return false, function.Errorf(event.ReasonNotFound, "somebody deleted it")
		}
		made = now
		if usable(now) {
			return true, nil
		}
		if why := failure(now); why != "" {
			return false, fmt.Errorf("the storage system says: %s", why)
		}
		return false, nil
	})
	if err != nil {
		return nil, s.failed(ctx, err, "wait until %s can be used", s)
	}
	s.call.Log.Info().Stringer("snapshot", s).Msg("snapshot taken")
	return made, nil
}

// make creates the object, or finds that the phase has. One that the phase left
// broken, or that is being deleted, is removed first.
func (s *snapshot) make(ctx context.Context, o *unstructured.Unstructured) error {
	for {
		_, err := s.api.Create(ctx, o.DeepCopy(), metav1.CreateOptions{FieldManager: fieldManager})
		if !apierrors.IsAlreadyExists(err) {
			return err
		}
		exists := err
		found, err := s.api.Get(ctx, s.name, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err):
			continue // deleted in between
		case err != nil:
			return fmt.Errorf("it exists, but cannot be read: %w", err)
		case !ours(s.call, found):
			return fmt.Errorf("something else made it; delete it, or give another name: %w", exists)
		case found.GetDeletionTimestamp() == nil && (usable(found) || failure(found) == ""):
			return nil
		}
		s.call.Log.Info().Stringer("snapshot", s).Str("error", failure(found)).Msg("removing what an earlier attempt left")
		if err := s.remove(ctx, found); err != nil {
			return err
		}
	}
}

// remove deletes this one object and waits until it is gone.
func (s *snapshot) remove(ctx context.Context, o *unstructured.Unstructured) error {
	uid := o.GetUID()
	err := s.api.Delete(ctx, s.name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid}})
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) { // a conflict: already made anew
		return nil
	}
	if err != nil {
		return err
	}
	return s.follow(ctx, func(now *unstructured.Unstructured) (bool, error) {
		return now == nil || now.GetUID() != uid, nil
	})
}

func (s *snapshot) follow(ctx context.Context, check func(*unstructured.Unstructured) (bool, error)) error {
	return object.Follower{Resource: s.api, Clock: s.call.Clock, Log: s.call.Log}.Object(ctx, s.name, check)
}

// failed wraps an error; the end of ctx is told by its cause.
func (s *snapshot) failed(ctx context.Context, err error, format string, args ...any) error {
	return failed(ctx, err, format, args...)
}

func failed(ctx context.Context, err error, format string, args ...any) error {
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return function.FromAPI(err, format, args...)
}

// usable reports whether a claim can be made from the snapshot.
func usable(o *unstructured.Unstructured) bool {
	ready, _, err := unstructured.NestedBool(o.Object, "status", "readyToUse")
	return err == nil && ready && text(o, "status", "creationTime") != ""
}

// passing are errors after which the driver may still be at work, by the CSI
// specification, and conflicts between the controllers.
var passing = regexp.MustCompile(`the object has been modified|code = (DeadlineExceeded|Aborted|Unavailable)\b|context deadline exceeded`)

// failure is the error that the controllers have written down, unless it passes.
func failure(o *unstructured.Unstructured) string {
	_, failed, err := unstructured.NestedMap(o.Object, "status", "error")
	if err != nil || !failed {
		return ""
	}
	why := text(o, "status", "error", "message")
	switch {
	case why == "":
		return "(it does not say what is wrong)"
	case passing.MatchString(why):
		return ""
	}
	return why
}
