package stream

import (
	"errors"

	"github.com/nats-io/nats.go/jetstream"
)

var (
	// ErrExists means that the run is there already, or the job is queued already.
	ErrExists = errors.New("exists already")
	// ErrNotFound means that there is no such run, or no such content.
	ErrNotFound = errors.New("not found")
	// ErrConflict means that somebody wrote a newer revision; read again and decide again.
	ErrConflict = errors.New("a newer revision exists")
	// ErrHeld means that another runner holds the claim.
	ErrHeld = errors.New("held by another runner")
	// ErrLost means that the claim ran out or was taken over.
	ErrLost = errors.New("the claim is lost")
	// ErrMalformed means that the message is not what its stream holds, or that a
	// newer program wrote it.
	ErrMalformed = errors.New("cannot be decoded")
	// ErrFull means that the stream refuses new messages until there is room.
	ErrFull = errors.New("the stream is full")
)

// Error codes of the server that nats.go has no name for.
const (
	codeWrongLastSequence         jetstream.ErrorCode = 10071
	codeWrongLastSequenceConstant jetstream.ErrorCode = 10164
	codeStoreFailed               jetstream.ErrorCode = 10077
)

func isConflict(err error) bool {
	return hasCode(err, codeWrongLastSequence) || hasCode(err, codeWrongLastSequenceConstant)
}

func hasCode(err error, code jetstream.ErrorCode) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) && api.ErrorCode == code
}
