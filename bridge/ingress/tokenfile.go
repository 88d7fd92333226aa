package ingress

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"os"
	"strings"
)

// TokenFile lets in who shows one of the tokens in a file, one per line, so that
// an old and a new one may be valid at the same time. The file is read for each
// request, so that a changed one counts at once. Such a sender has no identity.
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
func (t *TokenFile) Authenticate(_ context.Context, c Credentials) (*Grant, error) {
	shown := bearer(c.Request)
	if shown == "" {
		return nil, errNotShown
	}
	tokens, err := t.tokens()
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256([]byte(shown))
	match := 0
	for _, token := range tokens {
		want := sha256.Sum256([]byte(token))
		match |= subtle.ConstantTimeCompare(digest[:], want[:])
	}
	if match != 1 {
		return nil, unauthorized("the bearer token is not valid")
	}
	return &Grant{Key: "token:" + shortHash([]byte(shown))}, nil
}

// Challenge asks for a bearer token.
func (t *TokenFile) Challenge() (scheme, words string) { return bearerScheme, bearerWords }

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
