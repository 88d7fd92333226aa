package location

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// Option changes how Open opens a store.
type Option func(*options)

type options struct{ ownPod bool }

// OwnPod says that the process acts for nobody but whoever wrote the profile, as
// kando does in a task pod. Then nothing is gained by a profile that sends the
// process' own token to a server of its choice, or by Google credentials that name
// a file to read or a URL to ask, and both are allowed. Salvor's own processes act
// for many and do without it.
func OwnPod() Option { return func(o *options) { o.ownPod = true } }

// mayHaveToken refuses an endpoint to which the process' own token must not go:
// whoever receives a bearer token can use it, which is not so with AWS' signatures.
// The provider's own hosts end in one of the given domains.
func (o options) mayHaveToken(endpoint string, domains ...string) error {
	if o.ownPod || endpoint == "" {
		return nil
	}
	u, err := url.Parse(endpoint)
	if err != nil {
		return errors.New("the Location.endpoint is not a URL")
	}
	owned := func(suffix string) bool { return strings.HasSuffix(strings.ToLower(u.Hostname()), suffix) }
	if u.Scheme == "https" && slices.ContainsFunc(domains, owned) {
		return nil
	}
	return fmt.Errorf("this profile has no key, so Salvor's own identity would be used, and its token goes to no server but https://*%s; give the profile a credential",
		strings.Join(domains, ", *"))
}
