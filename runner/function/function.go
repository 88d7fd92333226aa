package function

import (
	"context"
	"errors"
	"fmt"

	"github.com/rs/zerolog"
	"k8s.io/utils/clock"

	"github.com/salvor-io/salvor/api/event"
	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	"github.com/salvor-io/salvor/internal/blueprint"
	"github.com/salvor-io/salvor/internal/kube"
	"github.com/salvor-io/salvor/internal/profile"
)

// Function does the work of one phase. A new value is made for every call.
type Function interface {
	// Execute runs until the work is done, failed, or ctx ends. A nil output
	// means that nothing was published. When ctx ends it stops what it started,
	// with its own bounded time for that, and returns ctx's cause. An *Error
	// tells the reason; any other error counts as event.ReasonFailed.
	Execute(ctx context.Context, call *Call) (output map[string]any, err error)
}

// Factory makes a Function for one call.
type Factory func() Function

// Registry maps a function's name to its factory.
type Registry map[string]Factory

// Call is what a function gets.
type Call struct {
	// Key names this attempt; names of objects that the function makes derive
	// from it.
	Key event.Key
	// ActionSet is the name of the ActionSet, Action and Phase the names in the
	// blueprint.
	ActionSet, Action, Phase string
	// Labels of the ActionSet that start with kanister.io/ or salvor.io/.
	Labels map[string]string
	// Traceparent is the W3C trace context that the work continues. Default: none.
	Traceparent string
	// Args are checked against the signature and rendered, but for those that
	// the signature hands over as written.
	Args map[string]any
	// Values are the template values, for what is rendered by the function
	// itself, and the redactor of secret values.
	Values *blueprint.Values
	// Kube are the process's clients.
	Kube *kube.Clients
	// Pods runs and follows pods.
	Pods PodRunner
	// OwnNamespace is the namespace that Salvor runs in.
	OwnNamespace string
	// ToolsImage is the image of pods for which the blueprint names none.
	ToolsImage string
	Clock      clock.WithTicker
	Log        zerolog.Logger
	// Progress tells how far the work is. It may be called often.
	Progress func(kanister.PhaseProgress)
	// Held returns an error once the job is another runner's. It is asked right
	// before something is made that would not meet itself. Nil means always held.
	Held func() error
	// Marks remembers the pod of the call. Nil means that nobody does.
	Marks PodMarks
	// RDSEndpoint is the URL of Amazon RDS, empty for AWS' own.
	RDSEndpoint string
	// OwnIdentity: the call may use the cloud identity of Salvor's own process.
	OwnIdentity bool
	// Recovered says that the record of the run was lost and made anew: attempts of
	// any number may have left pods behind.
	Recovered bool
}

// MayUse returns an error when only the cloud identity of Salvor's own process would
// make something of the credential, and the call may not use that: whoever writes
// Profiles and Blueprints in any namespace would act with it.
func (c *Call) MayUse(credential profile.Credential) error {
	if c.OwnIdentity || !credential.NeedsIdentity() {
		return nil
	}
	return Errorf(event.ReasonForbidden,
		"no key is given, and this function runs in Salvor's own process, whose cloud identity is not lent: give a credential, or start the runner with --allow-own-identity")
}

// StillHeld asks Held.
func (c *Call) StillHeld() error {
	if c.Held == nil {
		return nil
	}
	return c.Held()
}

// Stopped tells whether a context has ended because the phase is over: it was cancelled,
// or is past its deadline. Where it ended for another cause, another runner goes on with
// the call.
func Stopped(ctx context.Context) bool {
	cause, ok := errors.AsType[*Error](context.Cause(ctx))
	return ok && (cause.Reason == event.ReasonCancelled || cause.Reason == event.ReasonTimeout)
}

// Error is a failure with a reason.
type Error struct {
	Reason event.Reason
	Err    error
}

// Error returns the message of the error below.
func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns the error below.
func (e *Error) Unwrap() error { return e.Err }

// Errorf makes an Error; the format takes %w.
func Errorf(reason event.Reason, format string, args ...any) *Error {
	return &Error{Reason: reason, Err: fmt.Errorf(format, args...)}
}
