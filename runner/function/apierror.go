package function

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/salvor-io/salvor/api/event"
)

// FromAPI wraps an error of the API server in words that say what was being done,
// and gives it the reason that goes with it. An error that has a reason keeps it;
// a nil error stays nil.
func FromAPI(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	wrapped := fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), err)
	var known *Error
	switch {
	case errors.As(err, &known):
		return &Error{Reason: known.Reason, Err: wrapped}
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return wrapped
	case apierrors.IsForbidden(err), apierrors.IsUnauthorized(err):
		return &Error{Reason: event.ReasonForbidden, Err: wrapped}
	case apierrors.IsNotFound(err), meta.IsNoMatchError(err):
		return &Error{Reason: event.ReasonNotFound, Err: wrapped}
	case apierrors.IsInvalid(err), apierrors.IsBadRequest(err):
		return &Error{Reason: event.ReasonInvalid, Err: wrapped}
	default:
		return wrapped
	}
}
