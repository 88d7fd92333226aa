package app

import "errors"

// Exit codes of salvor. Scripts rely on them.
const (
	ExitOK = 0
	// ExitError is any error that has no code of its own.
	ExitError = 1
	// ExitFailed: the ActionSet ended, and not well.
	ExitFailed = 2
	// ExitNotFound: there is no such ActionSet, or it was deleted meanwhile.
	ExitNotFound = 3
	// ExitTimeout: the ActionSet had not ended when the time was over.
	ExitTimeout = 4
)

// codeError carries the code that the program ends with.
type codeError struct {
	code int
	err  error
}

// WithCode returns err with the exit code that it means. A nil err stays nil.
func WithCode(code int, err error) error {
	if err == nil {
		return nil
	}
	return &codeError{code: code, err: err}
}

func (e *codeError) Error() string { return e.err.Error() }
func (e *codeError) Unwrap() error { return e.err }

// Code returns the exit code that err means: 0 for nil, ExitError when it says
// nothing else.
func Code(err error) int {
	if err == nil {
		return ExitOK
	}
	if coded, ok := errors.AsType[*codeError](err); ok {
		return coded.code
	}
	return ExitError
}
