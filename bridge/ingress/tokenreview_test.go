package ingress

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/salvor-io/salvor/api/event"
)

// Whoever sends made-up tokens uses up its own share of reviews, not those of others.
func TestMadeUpTokensKeepNobodyOut(t *testing.T) {
	// The real API server would do; but it takes more time than this many tokens have.
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var review authenticationv1.TokenReview
		assert.NoError(t, json.NewDecoder(r.Body).Decode(&review))
		if review.Spec.Token == "good" {
			review.Status = authenticationv1.TokenReviewStatus{
				Authenticated: true, Audiences: review.Spec.Audiences, User: authenticationv1.UserInfo{Username: "app"},
			}
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusCreated)
		assert.NoError(t, json.NewEncoder(w).Encode(review))
	}))
	t.Cleanup(api.Close)
	client, err := kubernetes.NewForConfig(&rest.Config{Host: api.URL, QPS: -1, ContentConfig: rest.ContentConfig{ContentType: "application/json"}})
	require.NoError(t, err)
	review := NewTokenReview(client, "salvor", clocktesting.NewFakeClock(time.Unix(1_800_000_000, 0)))
	authenticate := func(address, token string) (*Grant, error) {
		request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/events", nil)
		request.RemoteAddr = address
		request.Header.Set("Authorization", "Bearer "+token)
		return review.Authenticate(t.Context(), Credentials{Request: request})
	}
	reasons := map[string]int{}
	for i := range 2 * tokenReviewsBurst {
		_, err := authenticate("10.0.0.1:1", fmt.Sprint("made up ", i))
		var refused *RefusedError
		require.ErrorAs(t, err, &refused)
		reasons[refused.Reason]++
	}
	assert.Positive(t, reasons[reasonUnauthorized])
	assert.Positive(t, reasons[reasonRate])
	grant, err := authenticate("10.0.0.2:1", "good")
	require.NoError(t, err)
	assert.Equal(t, "app", grant.Sender.User)
	_, err = authenticate("10.0.0.1:2", "good")
	require.NoError(t, err, "what is known is not reviewed again")
}

// large is a sender with more groups than a message on the stream can name.
type large struct{ someone }

func (large) Authenticate(context.Context, Credentials) (*Grant, error) {
	return &Grant{Sender: &event.Sender{User: "app", Groups: []string{strings.Repeat("x", 70_000)}}, Key: "app"}, nil
}

// What the stream never takes is not to be sent again.
func TestSenderThatNoEventCanCarry(t *testing.T) {
	e := newEndpoint(t, func(c *Config) { c.Auth = []Authenticator{large{}} })
	code, header, body := e.post("/events", map[string]string{"Ce-Specversion": "1.0", "Ce-Id": "1", "Ce-Source": "/a", "Ce-Type": "t"}, "")
	assert.Equal(t, http.StatusRequestEntityTooLarge, code, body)
	assert.Empty(t, header.Get("Retry-After"))
}
