package location

import (
	"errors"
	"fmt"
	"strings"

	"github.com/salvor-io/salvor/internal/profile"
)

// ErrNotExist is the error of a Pull when the object (or its bucket) is not there.
var ErrNotExist = errors.New("object does not exist")

// place is what an error says about where it happened.
type place struct {
	kind, bucket, endpoint string
	secrets                []string
}

func placeOf(p *profile.Profile) place {
	return place{
		kind:     string(p.Location.Type),
		bucket:   p.Location.Bucket,
		endpoint: hidePassword(p.Location.Endpoint),
		secrets:  p.SecretValues(),
	}
}

func placeOfURL(url string) place {
	shown := hidePassword(url)
	kind, rest, _ := strings.Cut(shown, "://")
	bucket, _, _ := strings.Cut(rest, "?")
	where := place{kind: kind, bucket: bucket}
	if shown != url {
		_, rest, _ := strings.Cut(url, "://")
		host, _, _ := strings.Cut(rest, "/")
		user := host[:strings.LastIndex(host, "@")]
		where.secrets = []string{user}
	}
	return where
}

// Error is what the operations of a Location return.
type Error struct {
	// Op is the operation: open, push, pull, list or delete.
	Op string
	// Key is the object it was about; empty when it was about the store.
	Key string
	// Err is the cause. Its own text may hold what the store sent back, so print
	// the Error, not its cause.
	Err error

	where place
}

// Error names the object and the store, gives the cause without any value of the
// credential, and says what to check.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s ", e.Op)
	if e.Key != "" {
		fmt.Fprintf(&b, "object %q in ", e.Key)
	}
	fmt.Fprintf(&b, "%s bucket %q", e.where.kind, e.where.bucket)
	if e.where.endpoint != "" {
		fmt.Fprintf(&b, " at %s", e.where.endpoint)
	}
	fmt.Fprintf(&b, ": %s", oneLine(e.where.scrub(causeText(e.Err))))
	if hint := hintFor(e.Err, e.Op); hint != "" {
		fmt.Fprintf(&b, " (%s)", hint)
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is makes a missing object ErrNotExist, whatever its driver calls it.
func (e *Error) Is(target error) bool {
	return target == ErrNotExist && e.Op == "pull" && isNotFound(e.Err)
}

// fail wraps err, once. A nil err stays nil.
func (w place) fail(op, key string, err error) error {
	var done *Error
	if err == nil || errors.As(err, &done) {
		return err
	}
	return &Error{Op: op, Key: key, Err: err, where: w}
}

// scrub takes the values of the credential out of text.
func (w place) scrub(text string) string {
	for _, secret := range w.secrets {
		text = strings.ReplaceAll(text, secret, "[hidden]")
	}
	return text
}

// hidePassword takes user information out of a URL a user may have put there.
func hidePassword(url string) string {
	scheme, rest, found := strings.Cut(url, "://")
	if !found {
		return url
	}
	host, path, _ := strings.Cut(rest, "/")
	if at := strings.LastIndex(host, "@"); at >= 0 {
		host = host[at+1:]
	}
	if path != "" {
		path = "/" + path
	}
	return scheme + "://" + host + path
}
