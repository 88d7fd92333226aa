package wait

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"
	"k8s.io/utils/clock"

	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	salvor "github.com/salvor-io/salvor/api/salvor/v1alpha1"
	"github.com/salvor-io/salvor/internal/cli/app"
)

// ActionSets is what a Waiter reads; kube.ActionSets is one.
type ActionSets interface {
	Get(ctx context.Context, name string, opts metav1.GetOptions) (*kanister.ActionSet, error)
	List(ctx context.Context, opts metav1.ListOptions) (*kanister.ActionSetList, error)
	Watch(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error)
}

// Waiter follows ActionSets of one namespace.
type Waiter struct {
	ActionSets ActionSets
	Clock      clock.PassiveClock
	// Out takes a line for each change.
	Out io.Writer
	// Cancelled makes a cancel the good end, and any other a bad one.
	Cancelled bool
	// Retry is the token of a request for a retry: what the ActionSet says before
	// the answer to it is of the time before.
	Retry string
}

// ErrTimeout says that the time was over before the ActionSet had ended; the
// ActionSet goes on.
var ErrTimeout = errors.New("it had not ended when the time was over; it goes on")

// Wait returns when the ActionSet has ended: nil when it is complete, else an
// error with the exit code that tells why: app.ExitFailed, app.ExitNotFound,
// app.ExitTimeout or app.ExitError. A timeout of 0 waits for ever.
func (w *Waiter) Wait(ctx context.Context, namespace, name string, timeout time.Duration) error {
	outer := ctx
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, timeout, ErrTimeout)
		defer cancel()
	}
	f := &following{waiter: w, label: namespace + "/" + name, started: w.Clock.Now()}
	err := f.follow(ctx, namespace, name)
	var found *verdict
	switch {
	case err == nil, errors.As(err, &found):
		return f.result(found)
	case outer.Err() != nil:
		return fmt.Errorf("wait for ActionSet %s: interrupted; it goes on", f.label)
	case errors.Is(context.Cause(ctx), ErrTimeout):
		return app.WithCode(app.ExitTimeout, fmt.Errorf("ActionSet %s: waited %s: %w", f.label, timeout, ErrTimeout))
	default:
		return fmt.Errorf("wait for ActionSet %s: %w", f.label, err)
	}
}

// verdict ends the watch: what was found out.
type verdict struct {
	code    int
	message string
}

func (v *verdict) Error() string { return v.message }

type following struct {
	waiter   *Waiter
	label    string
	started  time.Time
	progress Progress
}

func (f *following) result(v *verdict) error {
	if v == nil || v.code == app.ExitOK {
		return nil
	}
	return app.WithCode(v.code, fmt.Errorf("ActionSet %s %s", f.label, v.message))
}

func (f *following) follow(ctx context.Context, namespace, name string) error {
	// Asked first because a watch retries for ever where a request says at once
	// that it is forbidden, or that nobody is there.
	as, err := f.waiter.ActionSets.Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return &verdict{code: app.ExitNotFound, message: "does not exist"}
	}
	if err != nil {
		return err // Wait says what
	}
	if done, err := f.look(as); done || err != nil {
		return err
	}
	missing := func(store cache.Store) (bool, error) {
		if _, exists, err := store.GetByKey(namespace + "/" + name); err != nil || !exists {
			return true, errors.Join(err, f.deleted())
		}
		return false, nil
	}
	_, err = watchtools.UntilWithSync(ctx, f.source(name), &kanister.ActionSet{}, missing, f.event)
	return err // Wait says what
}

func (f *following) source(name string) cache.ListerWatcher {
	only := fields.OneTermEqualSelector(metav1.ObjectNameField, name).String()
	return &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			o.FieldSelector = only
			return f.waiter.ActionSets.List(ctx, o)
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			o.FieldSelector = only
			return f.waiter.ActionSets.Watch(ctx, o)
		},
	}
}

func (f *following) event(e watch.Event) (bool, error) {
	switch e.Type {
	case watch.Added, watch.Modified:
		as, ok := e.Object.(*kanister.ActionSet)
		if !ok {
			return false, fmt.Errorf("the watch sent a %T", e.Object)
		}
		return f.look(as)
	case watch.Deleted:
		return false, f.deleted()
	case watch.Error:
		return false, fmt.Errorf("watch: %w", apierrors.FromObject(e.Object))
	case watch.Bookmark:
	}
	return false, nil
}

func (f *following) deleted() error {
	return &verdict{code: app.ExitNotFound, message: "was deleted before it had ended"}
}

// look prints what is new and returns the verdict of an ActionSet that ended.
func (f *following) look(as *kanister.ActionSet) (bool, error) {
	if f.waiter.Retry != "" {
		if granted, err := f.answered(as); !granted || err != nil {
			return false, err
		}
	}
	f.print(f.progress.Lines(as)...)
	if as.Status == nil || !Ended(as.Status.State) {
		return false, nil
	}
	cancelled := Condition(as, "Cancelled") != nil
	switch {
	case f.waiter.Cancelled && cancelled:
		return true, nil
	case as.Status.State == kanister.StateComplete && !f.waiter.Cancelled:
		return true, nil
	case as.Status.State == kanister.StateComplete:
		return false, &verdict{code: app.ExitError, message: "was complete before it could be cancelled"}
	}
	message := as.Status.Error.Message
	if message == "" {
		message = "no reason is recorded"
	}
	return false, &verdict{code: app.ExitFailed, message: "failed: " + message}
}

// answered reports whether the retry was granted; a refusal is a verdict.
func (f *following) answered(as *kanister.ActionSet) (bool, error) {
	if as.Status == nil {
		return false, nil
	}
	for i := range as.Status.Conditions {
		c := &as.Status.Conditions[i]
		message, ours := strings.CutPrefix(c.Message, "token "+f.waiter.Retry+": ")
		if c.Type != "Retried" || !ours {
			continue
		}
		if c.Status == metav1.ConditionTrue {
			return true, nil
		}
		return false, &verdict{code: app.ExitFailed, message: "cannot go on: " + message}
	}
	if token := as.Labels[salvor.LabelRetry]; token != f.waiter.Retry {
		return false, &verdict{code: app.ExitError, message: "was asked again by somebody else, before this request was answered"}
	}
	return false, nil
}

func (f *following) print(lines ...string) {
	elapsed := f.waiter.Clock.Since(f.started)
	for _, line := range lines {
		_, _ = fmt.Fprintf(f.waiter.Out, "%02d:%02d  %s\n", int(elapsed.Minutes()), int(elapsed.Seconds())%60, line)
	}
}
