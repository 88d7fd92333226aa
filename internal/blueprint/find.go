package blueprint

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/salvor-io/salvor/api/event"
	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	"github.com/salvor-io/salvor/internal/kube"
)

// Cluster is what Find, Resolve and Load read through.
type Cluster struct{ Clients *kube.Clients }

// Find returns the Blueprint of that name in namespace, or else in library. If it
// is in neither, an *Error with event.ReasonNotFound is returned.
func Find(ctx context.Context, c Cluster, name, namespace, library string) (*kanister.Blueprint, error) {
	if name == "" {
		return nil, errorf(event.ReasonInvalid, "blueprint: no name is given; name the Blueprint to run in spec.actions[].blueprint")
	}
	places := []string{namespace}
	if library != "" && library != namespace {
		places = append(places, library)
	}
	for _, place := range places {
		bp, err := c.Clients.Blueprints(place).Get(ctx, name, metav1.GetOptions{})
		switch {
		case err == nil:
			return bp, nil
		case !apierrors.IsNotFound(err):
			return nil, readError(err, "blueprint", what("Blueprint", place, name))
		}
	}
	where := fmt.Sprintf("namespace %q", namespace)
	if len(places) > 1 {
		where += fmt.Sprintf(" nor in the library namespace %q", library)
	}
	return nil, errorf(event.ReasonNotFound, "blueprint: Blueprint %q does not exist in %s; create it, or correct spec.actions[].blueprint", name, where)
}

// what names an object in a message.
func what(kind, namespace, name string) string {
	if namespace == "" {
		return fmt.Sprintf("%s %q", kind, name)
	}
	return fmt.Sprintf("%s %q", kind, namespace+"/"+name)
}
