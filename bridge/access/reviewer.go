package access

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/cache"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/clock"

	"github.com/salvor-io/salvor/api/event"
	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	salvor "github.com/salvor-io/salvor/api/salvor/v1alpha1"
)

const (
	// keep is how long an answer is used.
	keep = 10 * time.Second
	// most bounds the answers that are kept.
	most = 8192
)

// Reviewer asks by SubjectAccessReview. It may be used by many at once.
type Reviewer struct {
	kube    kubernetes.Interface
	answers *cache.LRUExpireCache
}

// NewReviewer returns a reviewer.
func NewReviewer(kube kubernetes.Interface, c clock.PassiveClock) *Reviewer {
	return &Reviewer{kube: kube, answers: cache.NewLRUExpireCacheWithClock(most, c)}
}

// Fire is the right to fire an ActionTrigger.
func Fire(namespace, trigger string) authorizationv1.ResourceAttributes {
	return authorizationv1.ResourceAttributes{
		Verb: "fire", Group: salvor.GroupVersion.Group, Version: salvor.GroupVersion.Version, Resource: salvor.ActionTriggers.Resource,
		Namespace: namespace, Name: trigger,
	}
}

// Watch is the right to follow what happens to the ActionSets of a namespace, ""
// for all.
func Watch(namespace string) authorizationv1.ResourceAttributes {
	return authorizationv1.ResourceAttributes{
		Verb: "watch", Group: kanister.GroupVersion.Group, Version: kanister.GroupVersion.Version, Resource: kanister.ActionSets.Resource,
		Namespace: namespace,
	}
}

// Allowed reports whether the sender has the right. A nil sender has no identity:
// nobody was asked who it is, and it may. An error says that nobody could be asked;
// ask again.
func (r *Reviewer) Allowed(ctx context.Context, sender *event.Sender, right authorizationv1.ResourceAttributes) (bool, error) {
	if sender == nil {
		return true, nil
	}
	text, err := json.Marshal(struct {
		Sender *event.Sender                      `json:"sender"`
		Right  authorizationv1.ResourceAttributes `json:"right"`
	}{sender, right})
	if err != nil {
		return false, fmt.Errorf("name the right of %s: %w", sender.User, err)
	}
	key := sha256.Sum256(text)
	if found, ok := r.answers.Get(key); ok {
		allowed, ok := found.(bool)
		return ok && allowed, nil
	}
	extra := map[string]authorizationv1.ExtraValue{}
	for name, values := range sender.Extra {
		extra[name] = values
	}
	review, err := r.kube.AuthorizationV1().SubjectAccessReviews().Create(ctx, &authorizationv1.SubjectAccessReview{
		Spec: authorizationv1.SubjectAccessReviewSpec{
			ResourceAttributes: &right, User: sender.User, UID: sender.UID, Groups: sender.Groups, Extra: extra,
		},
	}, metav1.CreateOptions{})
	if err != nil {
		return false, fmt.Errorf("ask whether %s may %s %s %s/%s (SubjectAccessReview): %w",
			sender.User, right.Verb, right.Resource, right.Namespace, right.Name, err)
	}
	r.answers.Add(key, review.Status.Allowed, keep)
	return review.Status.Allowed, nil
}
