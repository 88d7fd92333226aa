package blueprint

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	"github.com/salvor-io/salvor/internal/nearest"
)

// CheckGiven looks whether an ActionSet's action gives the blueprint what the
// templates of that action certainly name: profile, options, artifacts, Secrets,
// ConfigMaps, an object of the right kind. The problems stand in the ActionSet: their
// fields begin at the action. What Check finds is not among them.
func CheckGiven(bp *kanister.Blueprint, spec *kanister.ActionSpec) []Problem {
	a := bp.Actions[spec.Name]
	if a == nil {
		p := unknownAction(bp, spec.Name)
		return []Problem{place{}.at("name").problem(p.Message, p.Hint)}
	}
	c := &checker{engine: newEngine(), name: spec.Name, action: a, spec: spec, given: map[string]Problem{}}
	c.check()
	problems := make([]Problem, 0, len(c.given))
	for _, field := range slices.Sorted(maps.Keys(c.given)) {
		problems = append(problems, c.given[field])
	}
	if p, ok := otherKind(a, spec); ok {
		problems = append(problems, p)
	}
	return problems
}

// otherKind warns of an object that the action was not made for. Kanister does not
// look.
func otherKind(a *kanister.BlueprintAction, spec *kanister.ActionSpec) (Problem, bool) {
	is := spec.Object.Kind
	if a.Kind == "" || is == "" || strings.EqualFold(a.Kind, is) {
		return Problem{}, false
	}
	own := []string{kindStatefulSet, kindDeployment, kindDeploymentConfig, kindPVC, kindNamespace}
	if !slices.Contains(own, strings.ToLower(is)) || !slices.Contains(own, strings.ToLower(a.Kind)) {
		return Problem{}, false
	}
	return place{}.at("object").at("kind").problem(
		fmt.Sprintf("is %s, and action %s is made for a %s", is, spec.Name, a.Kind), "name an object of that kind").asWarning(), true
}

// notGiven notes what the ActionSet lacks, once for each field of it.
func (c *checker) notGiven(where place, path []string) {
	missing, hint := c.lacks(path)
	if missing.field == "" {
		return
	}
	if _, ok := c.given[missing.field]; ok {
		return
	}
	message := "is not given, and the blueprint needs it: %s names .%s"
	if missing.path[0] == "object" {
		message = "does not fit: %s of the blueprint names .%s"
	}
	c.given[missing.field] = missing.problem(fmt.Sprintf(message, where.field, strings.Join(path, ".")), hint)
}

// lacks returns the field of the ActionSet's action that would have to be there for a
// path to lead anywhere.
func (c *checker) lacks(path []string) (missing place, hint string) {
	if len(path) < 2 {
		return place{}, ""
	}
	switch path[0] {
	case "Profile":
		if c.spec.Profile == nil {
			return place{}.at("profile"), "name a Profile"
		}
	case "Options":
		return lacking("options", path[1], slices.Sorted(maps.Keys(c.spec.Options)))
	case "ArtifactsIn":
		return lacking("artifacts", path[1], slices.Sorted(maps.Keys(c.spec.Artifacts)))
	case "Secrets":
		return lacking("secrets", path[1], slices.Sorted(maps.Keys(c.spec.Secrets)))
	case "ConfigMaps":
		return lacking("configMaps", path[1], slices.Sorted(maps.Keys(c.spec.ConfigMaps)))
	case "StatefulSet", "Deployment", "DeploymentConfig", "PVC", "Namespace":
		if !strings.EqualFold(c.spec.Object.Kind, path[0]) {
			return place{}.at("object").at("kind"), fmt.Sprintf("name an object of kind %s, not %q", path[0], c.spec.Object.Kind)
		}
	}
	return place{}, ""
}

func lacking(list, name string, there []string) (missing place, hint string) {
	if slices.Contains(there, name) {
		return place{}, ""
	}
	missing = place{}.at(list).at(name)
	if near := nearest.Name(name, there); near != "" {
		return missing, fmt.Sprintf("%s is given; is that meant?", near)
	}
	return missing, "add it to " + list
}

// undeclared warns of names that the action's own lists do not have: they are for the
// reader only, so a list that is empty says nothing.
func (c *checker) undeclared(where place, text string, named mention) {
	if len(named.path) < 2 {
		return
	}
	var declared []string
	var field string
	switch named.path[0] {
	case "ArtifactsIn":
		field, declared = "inputArtifactNames", c.action.InputArtifactNames
	case "Secrets":
		field, declared = "secretNames", c.action.SecretNames
	case "ConfigMaps":
		field, declared = "configMapNames", c.action.ConfigMapNames
	}
	name := named.path[1]
	if len(declared) == 0 || slices.Contains(declared, name) {
		return
	}
	hint := "add it there"
	if near := nearest.Name(name, declared); near != "" {
		hint = fmt.Sprintf("did you mean .%s.%s?", named.path[0], near)
	}
	p := where.problem(fmt.Sprintf("template names .%s.%s, which is not among the action's %s", named.path[0], name, field), hint).asWarning()
	p.Line, p.Column = position(text, int(named.pos))
	c.once(p)
}
