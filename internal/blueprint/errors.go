package blueprint

import (
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/salvor-io/salvor/api/event"
)

// Error is a failure with a reason for the status. An error of this package that
// is not an *Error is trouble on the way to the API server, and the call may be
// made again.
type Error struct {
	Reason event.Reason
	Err    error
}

// Error returns the message of the error below.
func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns the error below.
func (e *Error) Unwrap() error { return e.Err }

// errorf makes an Error; the format takes %w.
func errorf(reason event.Reason, format string, args ...any) *Error {
	return &Error{Reason: reason, Err: fmt.Errorf(format, args...)}
}

// readError says that what field refers to could not be read. what is a kind and a
// place, for example: Secret "app/db".
func readError(err error, field, what string) error {
	switch {
	case apierrors.IsNotFound(err):
		return errorf(event.ReasonNotFound, "%s: %s does not exist; create it, or correct the reference: %w", field, what, err)
	case apierrors.IsForbidden(err), apierrors.IsUnauthorized(err):
		return errorf(event.ReasonForbidden, "%s: %s may not be read; let Salvor's service account get and list it: %w", field, what, err)
	case apierrors.IsInvalid(err), apierrors.IsBadRequest(err):
		return errorf(event.ReasonInvalid, "%s: %s is not a reference that the API server understands: %w", field, what, err)
	}
	return fmt.Errorf("%s: read %s: %w", field, what, err)
}
