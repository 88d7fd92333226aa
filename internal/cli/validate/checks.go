package validate

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/Masterminds/semver/v3"

	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	salvor "github.com/salvor-io/salvor/api/salvor/v1alpha1"
	"github.com/salvor-io/salvor/internal/blueprint"
	"github.com/salvor-io/salvor/internal/manifest"
	"github.com/salvor-io/salvor/internal/policy"
	"github.com/salvor-io/salvor/internal/trigger"
)

// check looks at everything that can be known without a cluster.
func (r *report) check() {
	for _, o := range r.objects {
		for _, p := range r.problems(o) {
			r.add(o, p)
		}
	}
}

func (r *report) problems(o *object) []blueprint.Problem {
	switch v := o.value.(type) {
	case *kanister.Blueprint:
		return blueprintProblems(v)
	case *kanister.ActionSet:
		return r.actionSet(o, v)
	case *kanister.Profile:
		return checkProfile(v)
	case *salvor.ActionTrigger:
		return r.trigger(o, v)
	}
	return nil // it could not be read
}

func blueprintProblems(bp *kanister.Blueprint) []blueprint.Problem {
	if len(bp.Actions) == 0 {
		return []blueprint.Problem{problem("actions", "is empty, so there is nothing to run", "give the blueprint an action, such as backup")}
	}
	problems := blueprint.Check(bp, "")
	for _, err := range policy.CheckBlueprint(bp) {
		problems = append(problems, ofPolicy(err))
	}
	return problems
}

// ofPolicy is a problem of an annotation.
func ofPolicy(err error) blueprint.Problem {
	var known *policy.Error
	if !errors.As(err, &known) {
		return blueprint.Problem{Message: err.Error()}
	}
	return blueprint.Problem{
		Field: "metadata.annotations[" + known.Annotation + "]", Path: []any{"metadata", "annotations", known.Annotation},
		Message: fmt.Sprintf("%q: %s", known.Value, known.Message),
	}
}

func (r *report) actionSet(o *object, as *kanister.ActionSet) []blueprint.Problem {
	if as.Spec == nil || len(as.Spec.Actions) == 0 {
		return []blueprint.Problem{problem("spec.actions", "is empty, so there is nothing to run", "name an action")}
	}
	problems := r.actions(o, as.Spec.Actions, []any{"spec", "actions"})
	asked := make([]string, 0, len(as.Spec.Actions))
	for i := range as.Spec.Actions {
		asked = append(asked, as.Spec.Actions[i].Name)
	}
	in := policy.Input{ActionSet: as.Annotations, Asked: asked}
	_, errs := policy.For(in)
	for _, err := range errs {
		problems = append(problems, ofPolicy(err))
	}
	return problems
}

func (r *report) trigger(o *object, t *salvor.ActionTrigger) []blueprint.Problem {
	var problems []blueprint.Problem
	for _, p := range trigger.Check(t) {
		problems = append(problems, problem(p.Field, p.Message, p.Hint))
	}
	if len(problems) > 0 {
		return problems
	}
	return r.actions(o, t.Spec.Template.Spec.Actions, []any{"spec", "template", "spec", "actions"})
}

// actions checks what an ActionSet, or the template of one, asks for.
func (r *report) actions(o *object, actions []kanister.ActionSpec, base []any) []blueprint.Problem {
	var problems []blueprint.Problem
	for i := range actions {
		spec, at := &actions[i], append(slices.Clone(base), i)
		found := checkAction(spec)
		if bp := r.blueprintFor(o.namespace, spec.Blueprint); bp != nil && len(found) == 0 {
			found = blueprint.CheckGiven(bp, spec)
		}
		for _, p := range found {
			if len(p.Path) > 0 && p.Path[0] == "artifacts" && fromRun(o) {
				continue
			}
			problems = append(problems, under(at, p))
		}
	}
	return problems
}

// fromRun reports whether the artifacts come from the event.
func fromRun(o *object) bool {
	t, ok := o.value.(*salvor.ActionTrigger)
	return ok && t.Spec.Template.ArtifactsFrom == salvor.ArtifactsFromRun
}

// under puts the path of a problem below another.
func under(base []any, p blueprint.Problem) blueprint.Problem {
	p.Path = append(slices.Clone(base), p.Path...)
	p.Field = manifest.Field(p.Path)
	return p
}

// blueprintFor finds the blueprint among those that are looked at together. One
// without a namespace will be put where the ActionSet is; any other may be in the
// library.
func (r *report) blueprintFor(namespace, name string) *kanister.Blueprint {
	var fallback *kanister.Blueprint
	for _, other := range r.objects {
		bp, ok := other.value.(*kanister.Blueprint)
		switch {
		case !ok || name == "" || bp.Name != name:
		case bp.Namespace == namespace || bp.Namespace == "" || namespace == "":
			return bp
		default:
			fallback = bp
		}
	}
	return fallback
}

// checkAction checks an action by itself; fields begin at it.
func checkAction(spec *kanister.ActionSpec) []blueprint.Problem {
	var problems []blueprint.Problem
	add := func(field, message, hint string) { problems = append(problems, problem(field, message, hint)) }
	if spec.Name == "" {
		add("name", "is empty", "name an action of the blueprint, such as backup")
	}
	if spec.Blueprint == "" {
		add("blueprint", "is empty", "name the Blueprint to run")
	}
	switch o := spec.Object; {
	case o.Kind == "" && o.Resource == "":
		add("object", "neither kind nor resource is given", "say what the action works on, for example kind: StatefulSet with name and namespace")
	case o.Name == "":
		add("object.name", "is empty", "name the object")
	}
	if spec.PreferredVersion != "" {
		if _, err := semver.NewVersion(spec.PreferredVersion); err != nil {
			add("preferredVersion", fmt.Sprintf("%q is not a semantic version", spec.PreferredVersion), "leave it out, or write v0.0.0")
		}
	}
	if spec.Profile != nil && spec.Profile.Name == "" {
		add("profile.name", "is empty", "name the Profile, or leave profile out")
	}
	for _, list := range []struct {
		field string
		refs  map[string]kanister.ObjectReference
	}{{"secrets", spec.Secrets}, {"configMaps", spec.ConfigMaps}} {
		for _, name := range slices.Sorted(maps.Keys(list.refs)) {
			if list.refs[name].Name == "" {
				add(list.field+"["+name+"].name", "is empty", "name the object")
			}
		}
	}
	return problems
}
