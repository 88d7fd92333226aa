package ingress

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/singleflight"
	"golang.org/x/time/rate"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/cache"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/clock"

	"github.com/salvor-io/salvor/api/event"
)

const (
	// tokenKept is how long a token that the API server took is taken without
	// asking it again; a token that runs out before that is not.
	tokenKept = time.Minute
	// tokenRefusedKept is the same for one that it did not take.
	tokenRefusedKept = 10 * time.Second
	// tokensKept bounds the tokens that are remembered, by their hashes.
	tokensKept = 4096
	// Reviews of tokens that are not remembered, each a second and at once: whoever
	// sends made-up ones does not reach the API server faster than that.
	tokenReviews      = 50
	tokenReviewsBurst = 200
	// The same for those that one address shows, so that it does not keep out the others.
	addressReviews      = 10
	addressReviewsBurst = 50
	// reviewTimeout bounds one review.
	reviewTimeout = 10 * time.Second
	// maxToken bounds a token, in bytes.
	maxToken = 32 << 10
	// maxSender bounds a sender's identity, in bytes: it travels as a header.
	maxSender = 16 << 10
)

// TokenReview lets in whose bearer token the API server takes for an audience, such
// as the projected token of a service account. The sender is who the token is for.
type TokenReview struct {
	kube     kubernetes.Interface
	audience string
	clock    clock.PassiveClock
	limit    *rate.Limiter
	// addresses have a share of it each.
	addresses *limits
	answers   *cache.LRUExpireCache
	// asking has the reviews under way: many requests with one token cost one.
	asking singleflight.Group
}

// NewTokenReview returns the authenticator.
func NewTokenReview(kube kubernetes.Interface, audience string, c clock.PassiveClock) *TokenReview {
	return &TokenReview{
		kube: kube, audience: audience, clock: c, limit: rate.NewLimiter(tokenReviews, tokenReviewsBurst),
		addresses: newLimits(addressReviews, addressReviewsBurst, c),
		answers:   cache.NewLRUExpireCacheWithClock(tokensKept, c),
	}
}

// Challenge asks for a bearer token.
func (t *TokenReview) Challenge() (scheme, words string) { return bearerScheme, bearerWords }

// reviewed is what is remembered of a token: a grant, or why there is none.
type reviewed struct {
	grant   *Grant
	refused *RefusedError
}

// Authenticate asks the API server, or remembers what it said.
func (t *TokenReview) Authenticate(ctx context.Context, c Credentials) (*Grant, error) {
	token := bearer(c.Request)
	if token == "" {
		return nil, errNotShown
	}
	if len(token) > maxToken {
		return nil, unauthorized("the bearer token is longer than %d bytes", maxToken)
	}
	key := sha256.Sum256([]byte(token))
	if found, ok := t.answers.Get(key); ok {
		if known, ok := found.(reviewed); ok {
			return known.result()
		}
	}
	found, err, _ := t.asking.Do(string(key[:]), func() (any, error) {
		// Others wait for it too, so it does not end with who came first.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), reviewTimeout)
		defer cancel()
		answer, err := t.ask(ctx, remote(c.Request), token)
		if err != nil {
			return nil, err
		}
		kept := tokenRefusedKept
		if answer.grant != nil {
			kept = t.untilExpiry(token)
		}
		if kept > 0 {
			t.answers.Add(key, answer, kept)
		}
		return answer, nil
	})
	if err != nil {
		return nil, err // it says what could not be asked
	}
	answer, _ := found.(reviewed)
	return answer.result()
}

// ask is review at a bounded rate.
func (t *TokenReview) ask(ctx context.Context, address, token string) (reviewed, error) {
	if t.addresses.take(address, 1) != nil || !t.limit.AllowN(t.clock.Now(), 1) {
		refused := refuse(http.StatusTooManyRequests, reasonRate, "too many tokens are being checked; send it again later")
		refused.After = time.Second
		return reviewed{}, refused
	}
	return t.review(ctx, token)
}

func (r reviewed) result() (*Grant, error) {
	if r.refused != nil {
		return nil, r.refused
	}
	return r.grant, nil
}

func (t *TokenReview) review(ctx context.Context, token string) (reviewed, error) {
	review, err := t.kube.AuthenticationV1().TokenReviews().Create(ctx, &authenticationv1.TokenReview{
		Spec: authenticationv1.TokenReviewSpec{Token: token, Audiences: []string{t.audience}},
	}, metav1.CreateOptions{})
	if err != nil {
		return reviewed{}, fmt.Errorf("check a token (TokenReview): %w", err)
	}
	status := review.Status
	switch {
	case !status.Authenticated:
		return reviewed{refused: t.why(token)}, nil
	case !slices.Contains(status.Audiences, t.audience):
		// An authenticator that does not know audiences took the token for its own.
		return reviewed{refused: t.wrongAudience()}, nil
	}
	sender := &event.Sender{User: status.User.Username, UID: status.User.UID, Groups: status.User.Groups}
	for name, values := range status.User.Extra {
		if sender.Extra == nil {
			sender.Extra = map[string][]string{}
		}
		sender.Extra[name] = values
	}
	text, err := json.Marshal(sender)
	if err != nil {
		return reviewed{}, fmt.Errorf("encode who %s is: %w", sender.User, err)
	}
	if len(text) > maxSender {
		return reviewed{refused: refuse(http.StatusForbidden, reasonForbidden, "the groups of %s are more than %d bytes, which no event can carry", sender.User, maxSender)}, nil
	}
	return reviewed{grant: &Grant{Sender: sender, Key: "user:" + sender.User}}, nil
}

// why says which fault of its own a token tells of that the API server refused. What
// an unverified token says about itself is good for words only.
func (t *TokenReview) why(token string) *RefusedError {
	claims, ok := claimsOf(token)
	switch {
	case ok && claims.Expiry != 0 && !t.clock.Now().Before(time.Unix(claims.Expiry, 0)):
		return refuse(http.StatusUnauthorized, reasonExpired, "the bearer token has run out; get a new one")
	case ok && !slices.Contains(claims.Audience, t.audience):
		return t.wrongAudience()
	}
	return unauthorized("the bearer token is not valid")
}

func (t *TokenReview) wrongAudience() *RefusedError {
	return refuse(http.StatusUnauthorized, reasonAudience, "the bearer token is not for the audience %q; ask for one that is (kubectl create token NAME --audience %s)", t.audience, t.audience)
}

// untilExpiry is how long a token that was taken is remembered.
func (t *TokenReview) untilExpiry(token string) time.Duration {
	claims, ok := claimsOf(token)
	if !ok || claims.Expiry == 0 {
		return tokenKept
	}
	return min(tokenKept, time.Unix(claims.Expiry, 0).Sub(t.clock.Now()))
}

// claims are those of a JSON Web Token that are of interest here.
type claims struct {
	Audience audiences `json:"aud"`
	Expiry   int64     `json:"exp"`
}

// audiences are one as text or several as a list.
type audiences []string

// UnmarshalJSON reads both forms.
func (a *audiences) UnmarshalJSON(text []byte) error {
	var one string
	if json.Unmarshal(text, &one) == nil {
		*a = audiences{one}
		return nil
	}
	var several []string
	if err := json.Unmarshal(text, &several); err != nil {
		return fmt.Errorf("aud: %w", err)
	}
	*a = several
	return nil
}

// claimsOf reads what a token says of itself, without verifying it.
func claimsOf(token string) (claims, bool) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return claims{}, false
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return claims{}, false
	}
	var c claims
	return c, json.Unmarshal(payload, &c) == nil
}

// shortHash names a value in a key without giving it away.
func shortHash(value []byte) string {
	sum := sha256.Sum256(value)
	return hex.EncodeToString(sum[:8])
}
