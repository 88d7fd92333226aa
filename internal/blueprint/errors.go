package blueprint

import (
	"fmt"

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
