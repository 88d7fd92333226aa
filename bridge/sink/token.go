package sink

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// token is the bearer token of a host, "" if there is none: the file of its name. It is
// read for each request, since tokens are renewed. The error names no token.
func (o *Options) token(host string) (string, error) {
	if o.Tokens == "" {
		return "", nil
	}
	text, err := os.ReadFile(filepath.Join(o.Tokens, host))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", o.tokensThere()
	case err != nil:
		return "", fmt.Errorf("--sink-tokens: %w", err)
	}
	token := strings.TrimSpace(string(text))
	if token == "" || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", fmt.Errorf("--sink-tokens: the file %s holds no bearer token, which is one line without spaces", host)
	}
	return token, nil
}

// tokensThere is nil if the directory is: then a host without a file gets no token. One
// that is not there must not make requests without a token of those that need one.
func (o *Options) tokensThere() error {
	info, err := os.Stat(o.Tokens)
	if err == nil && !info.IsDir() {
		err = errors.New("it is no directory")
	}
	if err != nil {
		return fmt.Errorf("--sink-tokens: give a directory with one file for each host that wants a token: %w", err)
	}
	return nil
}
