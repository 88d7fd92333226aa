package validate

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/salvor-io/salvor/api/event"
	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	salvor "github.com/salvor-io/salvor/api/salvor/v1alpha1"
	"github.com/salvor-io/salvor/internal/blueprint"
	profiles "github.com/salvor-io/salvor/internal/cli/profile"
	"github.com/salvor-io/salvor/internal/kube"
)

// cluster looks whether what objects refer to is in the cluster.
type cluster struct {
	report  *report
	clients *kube.Clients
	// namespace of objects that name none; library is where blueprints are looked for
	// too.
	namespace, library string
	// buckets: those of Profiles are opened.
	buckets bool
	// now is what .Time would be.
	in blueprint.ResolveInput
}

func (c *cluster) check(ctx context.Context) {
	for _, o := range c.report.objects {
		for _, p := range c.problems(ctx, o) {
			c.report.add(o, p)
		}
	}
}

func (c *cluster) problems(ctx context.Context, o *object) []blueprint.Problem {
	namespace := o.namespace
	if namespace == "" {
		namespace = c.namespace
	}
	switch v := o.value.(type) {
	case *kanister.Blueprint:
		return c.blueprintObjects(ctx, v)
	case *kanister.ActionSet:
		if v.Spec != nil {
			return c.actions(ctx, o, namespace, v.Spec.Actions)
		}
	case *kanister.Profile:
		problems := c.profile(ctx, v)
		if len(problems) == 0 && c.buckets && o.findings == 0 {
			problems = c.bucket(ctx, v)
		}
		return problems
	case *salvor.ActionTrigger:
		return c.actions(ctx, o, namespace, v.Spec.Template.Spec.Actions)
	}
	return nil
}

// blueprintObjects warns of Secrets and ConfigMaps that phases name in full and that
// are not there: they may still come.
func (c *cluster) blueprintObjects(ctx context.Context, bp *kanister.Blueprint) []blueprint.Problem {
	var problems []blueprint.Problem
	look := func(field string, phase *kanister.BlueprintPhase) {
		for _, name := range slices.Sorted(maps.Keys(phase.ObjectRefs)) {
			ref := phase.ObjectRefs[name]
			if ref.Name == "" || ref.Namespace == "" || blueprint.IsTemplate(ref.Name+ref.Namespace) {
				continue
			}
			var err error
			switch strings.ToLower(ref.Kind) {
			case "secret":
				_, err = c.clients.Kube.CoreV1().Secrets(ref.Namespace).Get(ctx, ref.Name, metav1.GetOptions{})
			case "configmap":
				_, err = c.clients.Kube.CoreV1().ConfigMaps(ref.Namespace).Get(ctx, ref.Name, metav1.GetOptions{})
			}
			if err != nil {
				problems = append(problems, warning(field+".objects["+name+"]", said(err, fmt.Sprintf("%s %s/%s", ref.Kind, ref.Namespace, ref.Name)), "make it before the action runs"))
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(bp.Actions)) {
		a := bp.Actions[name]
		if a == nil {
			continue
		}
		for i := range a.Phases {
			look(fmt.Sprintf("actions[%s].phases[%d]", name, i), &a.Phases[i])
		}
		if a.DeferPhase != nil {
			look("actions["+name+"].deferPhase", a.DeferPhase)
		}
	}
	return problems
}

// said is an error of the API server in words.
func said(err error, what string) string {
	if apierrors.IsNotFound(err) {
		return what + " does not exist"
	}
	return fmt.Sprintf("%s cannot be read: %s", what, err)
}

// actions looks for everything that actions name.
func (c *cluster) actions(ctx context.Context, o *object, namespace string, actions []kanister.ActionSpec) []blueprint.Problem {
	base := []any{"spec", "actions"}
	if o.kind == kindTrigger {
		base = []any{"spec", "template", "spec", "actions"}
	}
	var problems []blueprint.Problem
	for i := range actions {
		at := append(slices.Clone(base), i)
		for _, p := range c.action(ctx, o, namespace, &actions[i]) {
			problems = append(problems, under(at, p))
		}
	}
	return problems
}

func (c *cluster) action(ctx context.Context, o *object, namespace string, spec *kanister.ActionSpec) []blueprint.Problem {
	if len(checkAction(spec)) > 0 {
		return nil // that comes first
	}
	var problems []blueprint.Problem
	if c.report.blueprintFor(o.namespace, spec.Blueprint) == nil {
		problems = append(problems, c.blueprint(ctx, o, namespace, spec)...)
	}
	in := c.in
	in.Spec, in.Namespace, in.Field = *spec, namespace, "action"
	for _, err := range blueprint.Unresolved(ctx, blueprint.Cluster{Clients: c.clients}, in) {
		p := ofError(err)
		if len(p.Path) > 0 {
			p.Path = p.Path[1:]
		}
		var known *blueprint.Error
		if errors.As(err, &known) && known.Reason == event.ReasonForbidden {
			p.Severity = blueprint.SeverityWarning
			p.Hint = "you may not look; whoever runs it may"
		}
		problems = append(problems, p)
	}
	return problems
}

// blueprint looks for the blueprint where the dispatcher will.
func (c *cluster) blueprint(ctx context.Context, o *object, namespace string, spec *kanister.ActionSpec) []blueprint.Problem {
	bp, err := blueprint.Find(ctx, blueprint.Cluster{Clients: c.clients}, spec.Blueprint, namespace, c.library)
	if err != nil {
		p := ofError(err)
		p.Path = []any{"blueprint"}
		return []blueprint.Problem{p}
	}
	problems := blueprint.CheckGiven(bp, spec)
	for _, p := range blueprint.Errors(blueprint.Check(bp, spec.Name)) {
		if bp.Actions[spec.Name] == nil {
			break // CheckGiven has said so
		}
		problems = append(problems, problem("blueprint", fmt.Sprintf("Blueprint %s/%s: %s", bp.Namespace, bp.Name, p.Error()), ""))
	}
	return slices.DeleteFunc(problems, func(p blueprint.Problem) bool {
		return len(p.Path) > 0 && p.Path[0] == "artifacts" && fromRun(o)
	})
}

// bucket opens the bucket of a Profile as a phase would, as kanctl's validate does. It
// tells nothing of a Profile with the identity of the pods, which nobody has here.
func (c *cluster) bucket(ctx context.Context, p *kanister.Profile) []blueprint.Problem {
	if p.Location.Type == kanister.LocationTypeKopia || p.Location.Type == kanister.LocationTypeFilestore {
		return nil // another server, or a directory of the pods
	}
	if profiles.ForRDS(&p.Location) {
		return nil // there is none
	}
	in := *p
	if in.Namespace == "" {
		in.Namespace = c.namespace
	}
	const hint = "--schema-validation-only does not look"
	read, err := blueprint.ReadProfile(ctx, blueprint.Cluster{Clients: c.clients}, &in)
	if err != nil {
		return []blueprint.Problem{ofError(err)}
	}
	if read.Credential.NeedsIdentity() {
		return nil
	}
	err = profiles.CheckBucket(ctx, read)
	if name := profiles.OnlyInside(err); name != "" {
		return []blueprint.Problem{warning("location.endpoint", name+" is a name of the cluster's own and is not known here, so the bucket was not looked at", hint)}
	}
	if err != nil {
		return []blueprint.Problem{problem("location", "the bucket cannot be used: "+err.Error(), hint)}
	}
	return nil
}

// profile looks whether the Secret has what the Profile names; it never looks at a
// value.
func (c *cluster) profile(ctx context.Context, p *kanister.Profile) []blueprint.Problem {
	if len(blueprint.Errors(checkProfile(p))) > 0 || p.Credential == nil {
		return nil
	}
	var reference kanister.ObjectReference
	var keys []string
	field := "credential.secret"
	switch {
	case p.Credential.KeyPair != nil:
		field = "credential.keyPair.secret"
		reference = p.Credential.KeyPair.Secret
		keys = []string{p.Credential.KeyPair.IDField, p.Credential.KeyPair.SecretField}
	case p.Credential.Secret != nil:
		reference = *p.Credential.Secret
	default:
		return nil
	}
	if reference.Namespace == "" {
		return []blueprint.Problem{problem(field+".namespace", "the namespace of the credential's Secret is missing", "name it")}
	}
	secret, err := c.clients.Kube.CoreV1().Secrets(reference.Namespace).Get(ctx, reference.Name, metav1.GetOptions{})
	what := fmt.Sprintf("its Secret %s/%s", reference.Namespace, reference.Name)
	if err != nil {
		return []blueprint.Problem{problem(field, said(err, what), "make it, or name another (--schema-validation-only does not look)")}
	}
	var problems []blueprint.Problem
	for _, key := range keys {
		if len(secret.Data[key]) == 0 {
			problems = append(problems, problem(field, fmt.Sprintf("%s has no field %s", what, key), "add it to the Secret"))
		}
	}
	return problems
}
