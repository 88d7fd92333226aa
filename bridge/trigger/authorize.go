package trigger

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"

	"github.com/salvor-io/salvor/api/event"
	salvor "github.com/salvor-io/salvor/api/salvor/v1alpha1"
	"github.com/salvor-io/salvor/internal/kube"
)

const (
	// verbFire is what a sender must be allowed to do to a trigger.
	verbFire = "fire"
	// answerTTL is how long an answer of the API server counts.
	answerTTL = 10 * time.Second
	// mostAnswers bounds the answers that are kept.
	mostAnswers = 4096
)

// authorizer asks the API server who may fire a trigger.
type authorizer struct {
	clients *kube.Clients
	clock   clock.PassiveClock
	mu      sync.Mutex
	answers map[string]answer
}

type answer struct {
	allowed bool
	until   time.Time
}

func newAuthorizer(c *kube.Clients, clk clock.PassiveClock) *authorizer {
	return &authorizer{clients: c, clock: clk, answers: map[string]answer{}}
}

// allowed reports whether the sender may fire the trigger.
func (a *authorizer) allowed(ctx context.Context, s *event.Sender, t *salvor.ActionTrigger) (bool, error) {
	id, err := json.Marshal([]any{s, t.Namespace, t.Name})
	if err != nil {
		return false, fmt.Errorf("ask who may fire trigger %s/%s: %w", t.Namespace, t.Name, err)
	}
	now := a.clock.Now()
	a.mu.Lock()
	known, ok := a.answers[string(id)]
	a.mu.Unlock()
	if ok && now.Before(known.until) {
		return known.allowed, nil
	}
	extra := map[string]authorizationv1.ExtraValue{}
	for name, values := range s.Extra {
		extra[name] = values
	}
	review, err := a.clients.Kube.AuthorizationV1().SubjectAccessReviews().Create(ctx, &authorizationv1.SubjectAccessReview{
		Spec: authorizationv1.SubjectAccessReviewSpec{
			User: s.User, UID: s.UID, Groups: s.Groups, Extra: extra,
			ResourceAttributes: &authorizationv1.ResourceAttributes{
				Verb: verbFire, Group: salvor.GroupName, Resource: "actiontriggers", Namespace: t.Namespace, Name: t.Name,
			},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		return false, fmt.Errorf("ask whether %s may fire trigger %s/%s: %w", s.User, t.Namespace, t.Name, err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.answers) >= mostAnswers {
		clear(a.answers)
	}
	a.answers[string(id)] = answer{allowed: review.Status.Allowed, until: now.Add(answerTTL)}
	return review.Status.Allowed, nil
}
