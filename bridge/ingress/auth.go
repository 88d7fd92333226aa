package ingress

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/salvor-io/salvor/api/event"
)

// errNotShown: the request has no credentials of the kind that an Authenticator
// looks at.
var errNotShown = errors.New("no credentials of this kind")

// Credentials are what a request shows.
type Credentials struct {
	*http.Request

	// Body returns the whole body. It may be called again.
	Body func() ([]byte, error)
}

// Grant lets a request in.
type Grant struct {
	// Sender is who sent it, nil if that is not known.
	Sender *event.Sender
	// Key tells senders apart for the rate limit; never a secret.
	Key string
	// Undo is called when nothing became of the request, so that credentials which
	// count once may be shown again. Optional.
	Undo func(ctx context.Context)
}

// Authenticator decides whether a request may come in.
type Authenticator interface {
	// Authenticate returns errNotShown if the request has no credentials of its
	// kind, a *RefusedError if they are not good, any other error when it cannot
	// tell.
	Authenticate(ctx context.Context, c Credentials) (*Grant, error)
	// Challenge is what a sender without credentials is told, as in the header
	// WWW-Authenticate; and the same in words.
	Challenge() (scheme, words string)
}

// anyOf lets in whom any of the authenticators lets in.
type anyOf []Authenticator

// authenticate asks one after the other. Of several refusals the most telling one
// is returned: one that says more than that a token is not valid.
func (a anyOf) authenticate(ctx context.Context, c Credentials) (*Grant, error) {
	var (
		refused *RefusedError
		fault   error
	)
	for _, one := range a {
		grant, err := one.Authenticate(ctx, c)
		if err == nil {
			return grant, nil
		}
		found, isRefusal := errors.AsType[*RefusedError](err)
		switch {
		case errors.Is(err, errNotShown):
		case !isRefusal:
			fault = errors.Join(fault, err)
		case refused == nil, refused.Reason == reasonUnauthorized:
			refused = found
		}
	}
	switch {
	case fault != nil:
		return nil, fault
	case refused != nil:
		return nil, refused
	}
	return nil, unauthorized("%s", a.words())
}

func (a anyOf) words() string {
	var ways []string
	for _, one := range a {
		if _, words := one.Challenge(); len(ways) == 0 || ways[len(ways)-1] != words {
			ways = append(ways, words)
		}
	}
	return "nothing shows who sends this: " + strings.Join(ways, ", or ")
}

// challenge sets the header that every answer 401 has.
func (a anyOf) challenge(h http.Header) {
	told := map[string]bool{}
	for _, one := range a {
		scheme, _ := one.Challenge()
		if scheme != "" && !told[scheme] {
			told[scheme] = true
			h.Add("WWW-Authenticate", scheme)
		}
	}
}

// bearer is the token of the header Authorization, "" if there is none.
func bearer(r *http.Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

const (
	bearerScheme = "Bearer"
	bearerWords  = "send a valid token in the header Authorization: Bearer <token>" //nolint:gosec // it says where one goes
)
