package ingress

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
)

// errUnauthorized: the sender did not prove who it is.
var errUnauthorized = errors.New("send a valid token in the header Authorization: Bearer <token>")

// Authenticator decides whether a request may be read at all.
type Authenticator interface {
	// Authenticate returns an error that wraps errUnauthorized for a sender that
	// is refused, any other when it cannot tell.
	Authenticate(r *http.Request) error
}

// TokenFile lets in who shows one of the tokens in a file, one per line, so that
// an old and a new one may be valid at the same time. The file is read for each
// request, so that a changed one counts at once.
type TokenFile struct {
	path string
}

// NewTokenFile returns the authenticator, or an error when the file cannot be
// read or has no token in it.
func NewTokenFile(path string) (*TokenFile, error) {
	t := &TokenFile{path: path}
	_, err := t.tokens()
	return t, err
}

// Authenticate compares in constant time.
func (t *TokenFile) Authenticate(r *http.Request) error {
	tokens, err := t.tokens()
	if err != nil {
		return err
	}
	scheme, shown, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || shown == "" {
		return fmt.Errorf("no bearer token: %w", errUnauthorized)
	}
	digest := sha256.Sum256([]byte(strings.TrimSpace(shown)))
	match := 0
	for _, token := range tokens {
		want := sha256.Sum256([]byte(token))
		match |= subtle.ConstantTimeCompare(digest[:], want[:])
	}
	if match != 1 {
		return fmt.Errorf("the bearer token is not valid: %w", errUnauthorized)
	}
	return nil
}

func (t *TokenFile) tokens() ([]string, error) {
	content, err := os.ReadFile(t.path) //nolint:gosec // the path is the operator's own option
	if err != nil {
		return nil, fmt.Errorf("read the tokens of the event endpoint (--ingress-token-file): %w", err)
	}
	tokens := strings.Fields(string(content))
	if len(tokens) == 0 {
		return nil, fmt.Errorf("--ingress-token-file %s is empty; put a token into it, or leave the option out", t.path)
	}
	return tokens, nil
}
