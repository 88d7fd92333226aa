package actionset

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	"github.com/salvor-io/salvor/internal/blueprint"
	"github.com/salvor-io/salvor/internal/kube"
)

// Verifier checks that what an ActionSet names exists, before it is created.
type Verifier struct {
	Clients *kube.Clients
	// Library is the namespace in which blueprints are also looked for.
	Library string
	// Skipped is told what could not be checked, because the user may not read
	// it: whoever runs the ActionSet may.
	Skipped func(what string, err error)
}

// Verify returns all that is missing, joined, and nil when nothing is.
func (v *Verifier) Verify(ctx context.Context, as *kanister.ActionSet) error {
	var problems []error
	seen := map[string]bool{}
	check := func(what string, probe func() error) {
		if seen[what] {
			return
		}
		seen[what] = true
		err := probe()
		switch {
		case err == nil:
		case apierrors.IsForbidden(err):
			v.Skipped(what, err)
		case apierrors.IsNotFound(err):
			problems = append(problems, fmt.Errorf("%s does not exist", what))
		default:
			problems = append(problems, fmt.Errorf("%s: %w", what, err))
		}
	}
	for i := range as.Spec.Actions {
		action := &as.Spec.Actions[i]
		check(fmt.Sprintf("blueprint %s with action %s", action.Blueprint, action.Name), func() error {
			return v.blueprint(ctx, as.Namespace, action)
		})
		check(describe(action.Object), func() error { return v.object(ctx, action.Object) })
		if p := action.Profile; p != nil {
			check("profile "+p.Namespace+"/"+p.Name, func() error {
				_, err := v.Clients.Profiles(p.Namespace).Get(ctx, p.Name, metav1.GetOptions{})
				return err // check says what
			})
		}
		for _, s := range action.Secrets {
			check("secret "+s.Namespace+"/"+s.Name, func() error {
				_, err := v.Clients.Kube.CoreV1().Secrets(s.Namespace).Get(ctx, s.Name, metav1.GetOptions{})
				return err // check says what
			})
		}
		for _, m := range action.ConfigMaps {
			check("config map "+m.Namespace+"/"+m.Name, func() error {
				_, err := v.Clients.Kube.CoreV1().ConfigMaps(m.Namespace).Get(ctx, m.Name, metav1.GetOptions{})
				return err // check says what
			})
		}
	}
	return errors.Join(problems...)
}

// blueprint looks where the dispatcher will: the ActionSet's namespace, then the
// library.
func (v *Verifier) blueprint(ctx context.Context, namespace string, action *kanister.ActionSpec) error {
	var bp *kanister.Blueprint
	var err error
	places := []string{namespace}
	if v.Library != "" && v.Library != namespace {
		places = append(places, v.Library)
	}
	for _, place := range places {
		bp, err = v.Clients.Blueprints(place).Get(ctx, action.Blueprint, metav1.GetOptions{})
		if !apierrors.IsNotFound(err) {
			break
		}
	}
	if apierrors.IsNotFound(err) {
		return fmt.Errorf("there is no blueprint %s in namespace %s", action.Blueprint, strings.Join(places, " or "))
	}
	if err != nil {
		return err // check says what
	}
	if _, ok := bp.Actions[action.Name]; ok {
		return nil
	}
	names := make([]string, 0, len(bp.Actions))
	for name := range bp.Actions {
		names = append(names, name)
	}
	slices.Sort(names)
	return fmt.Errorf("the blueprint has no such action; it has: %s", strings.Join(names, ", "))
}

func (v *Verifier) object(ctx context.Context, o kanister.ObjectReference) error {
	gvr, namespace, err := blueprint.ResourceOf(blueprint.Cluster{Clients: v.Clients}, "object", o)
	if err != nil {
		return err // the sentence says it all
	}
	_, err = v.Clients.Dynamic.Resource(gvr).Namespace(namespace).Get(ctx, o.Name, metav1.GetOptions{})
	return err // the caller says what
}

func describe(o kanister.ObjectReference) string {
	kind := firstOf(o.Kind, o.Resource)
	if o.Kind == kindNamespace {
		return kind + " " + o.Name
	}
	return kind + " " + o.Namespace + "/" + o.Name
}
