package blueprint

import (
	"context"
	"errors"
	"time"

	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	"github.com/salvor-io/salvor/internal/kube"
)

// Cluster is what Find, Resolve and Load read through.
type Cluster struct{ Clients *kube.Clients }

// ResolveInput is what Resolve needs to know of an action.
type ResolveInput struct {
	// Spec of the action as the user wrote it.
	Spec kanister.ActionSpec
	// Namespace of the ActionSet.
	Namespace string
	// Now becomes .Time.
	Now time.Time
	// Field is the action's place in the ActionSet, for messages; empty means
	// spec.actions[<name>].
	Field string
}

// Resolve reads everything an action's templates can name, but for secret
// values, of which it checks that they exist. The dispatcher calls it once, when
// the action starts. If the ActionSet names something that does not exist, that
// may not be read or that makes no sense, an *Error says which field.
func Resolve(ctx context.Context, c Cluster, in ResolveInput) (*Params, error) {
	return nil, errors.ErrUnsupported
}

// Find returns the Blueprint of that name in namespace, or else in library. If it
// is in neither, an *Error with event.ReasonNotFound is returned.
func Find(ctx context.Context, c Cluster, name, namespace, library string) (*kanister.Blueprint, error) {
	return nil, errors.ErrUnsupported
}
