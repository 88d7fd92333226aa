package blueprint

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	"github.com/salvor-io/salvor/internal/nearest"
)

// Problem is something in a blueprint that can never work.
type Problem struct { //nolint:errname // a finding; that it can be returned as an error is beside the point
	// Field is where, for example actions.backup.phases[0].args.image.
	Field string
	// Message is what is wrong.
	Message string
	// Hint is what to do.
	Hint string
}

// Error returns the whole in one line.
func (p Problem) Error() string {
	text := p.Message
	if p.Field != "" {
		text = p.Field + ": " + text
	}
	if p.Hint != "" {
		text += "; " + p.Hint
	}
	return text
}

// Check looks for what can be known to fail before anything runs, in one action
// of the blueprint, or in all of them when action is "". It returns nil when it
// finds nothing.
func Check(bp *kanister.Blueprint, action string) []Problem {
	names := []string{action}
	if action == "" {
		names = slices.Sorted(maps.Keys(bp.Actions))
	}
	var problems []Problem
	e := newEngine()
	for _, name := range names {
		a := bp.Actions[name]
		if a == nil {
			problems = append(problems, unknownAction(bp, name))
			continue
		}
		c := &checker{engine: e, action: name, phases: a.Phases}
		c.check(a)
		problems = append(problems, c.problems...)
	}
	return problems
}

func unknownAction(bp *kanister.Blueprint, action string) Problem {
	there := []string{}
	for name, a := range bp.Actions {
		if a != nil {
			there = append(there, name)
		}
	}
	slices.Sort(there)
	return Problem{
		Field:   "actions." + action,
		Message: fmt.Sprintf("blueprint %q has no action %q", bp.Name, action),
		Hint:    "name one of: " + list(there),
	}
}

func wrongObjectKind(field, kind string) Problem {
	return Problem{Field: field + ".kind", Message: fmt.Sprintf("%q cannot be given to a phase", kind), Hint: "use Secret or ConfigMap"}
}

// checker checks one action.
type checker struct {
	engine   *engine
	action   string
	phases   []kanister.BlueprintPhase
	problems []Problem
}

func (c *checker) add(field, hint, format string, args ...any) {
	c.problems = append(c.problems, Problem{Field: field, Message: fmt.Sprintf(format, args...), Hint: hint})
}

func (c *checker) check(a *kanister.BlueprintAction) {
	base := "actions." + c.action
	c.uniqueNames(base)
	for i := range a.Phases {
		field := phaseField(c.action, i)
		c.problems = append(c.problems, checkCall(field, &a.Phases[i])...)
		c.templates(field, &a.Phases[i], i)
	}
	if a.DeferPhase != nil {
		field := base + ".deferPhase"
		c.problems = append(c.problems, checkCall(field, a.DeferPhase)...)
		c.templates(field, a.DeferPhase, len(a.Phases))
	}
	for _, name := range slices.Sorted(maps.Keys(a.OutputArtifacts)) {
		field := base + ".outputArtifacts." + name
		artifact := a.OutputArtifacts[name]
		for _, key := range slices.Sorted(maps.Keys(artifact.KeyValue)) {
			c.text(field+".keyValue."+key, artifact.KeyValue[key], len(a.Phases))
		}
		c.text(field+".kopiaSnapshot", artifact.KopiaSnapshot, len(a.Phases))
	}
}

// uniqueNames reports phases that share a name: the second would take the place
// of the first in .Phases. The same name in two actions is no problem.
func (c *checker) uniqueNames(base string) {
	first := map[string]int{}
	for i := range c.phases {
		name := c.phases[i].Name
		if j, ok := first[name]; ok {
			c.add(fmt.Sprintf("%s.phases[%d].name", base, i), "give each phase of an action a name of its own",
				"%q is the name of phases[%d] too", name, j)
			continue
		}
		first[name] = i
	}
}

// templates checks the templates of a phase; reached counts the phases before it.
func (c *checker) templates(field string, phase *kanister.BlueprintPhase, reached int) {
	for _, name := range slices.Sorted(maps.Keys(phase.ObjectRefs)) {
		place, ref := field+".objects."+name, phase.ObjectRefs[name]
		switch strings.ToLower(ref.Kind) {
		case "secret", "configmap":
		default:
			c.problems = append(c.problems, wrongObjectKind(place, ref.Kind))
		}
		c.text(place+".name", ref.Name, reached)
		c.text(place+".namespace", ref.Namespace, reached)
	}
	signature, _ := Lookup(phase.Func)
	// A phase finds itself in .Phases when its arguments are rendered.
	reached = min(reached+1, len(c.phases))
	for _, name := range slices.Sorted(maps.Keys(phase.Args)) {
		place := field + ".args." + name
		if signature.Verbatim(name) {
			c.references(place, phase.Args[name], reached)
			continue
		}
		c.value(place, phase.Args[name], reached)
	}
}

// references checks the objectReferences in an argument that is given as written:
// the function renders those itself.
func (c *checker) references(field string, x any, reached int) {
	switch x := x.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(x)) {
			if key == "objectReference" {
				c.value(field+"."+key, x[key], reached)
				continue
			}
			c.references(field+"."+key, x[key], reached)
		}
	case []any:
		for i, item := range x {
			c.references(fmt.Sprintf("%s[%d]", field, i), item, reached)
		}
	}
}

// value checks every text in x, also the keys of maps.
func (c *checker) value(field string, x any, reached int) {
	switch x := x.(type) {
	case string:
		c.text(field, x, reached)
	case []any:
		for i, item := range x {
			c.value(fmt.Sprintf("%s[%d]", field, i), item, reached)
		}
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(x)) {
			c.text(field+"."+key+" (the key)", key, reached)
			c.value(field+"."+key, x[key], reached)
		}
	}
}

// text checks one template: that it parses, and that the fields it starts from
// can exist.
func (c *checker) text(field, text string, reached int) {
	if !isTemplate(text) {
		return
	}
	t, err := c.engine.parse(text)
	if err != nil {
		c.add(field, c.hint(err.Error()), "template does not parse: %s", err)
		return
	}
	roots := rootFields()
	for _, path := range paths(t) {
		switch {
		case len(path) == 0:
		case !slices.Contains(roots, path[0]):
			c.add(field, "templates start from one of: "+list(roots), "template names .%s, which does not exist", path[0])
		case path[0] == "Phases" && len(path) > 1:
			c.phaseNamed(field, path[1], reached)
		}
	}
}

// phaseNamed checks that .Phases.<name> is there when a template is rendered.
func (c *checker) phaseNamed(field, name string, reached int) {
	names := make([]string, len(c.phases))
	for i := range c.phases {
		names[i] = c.phases[i].Name
	}
	switch i := slices.Index(names, name); {
	case i < 0:
		c.add(field, "its phases are: "+list(names), "template names .Phases.%s, which is not a phase of this action", name)
	case i >= reached:
		c.add(field, "use what phases before it publish", "template names .Phases.%s, which has not run by then", name)
	}
}

// hint tells what to do about a template that does not parse.
func (c *checker) hint(message string) string {
	_, after, ok := strings.Cut(message, `function "`)
	if !ok {
		return "correct the template"
	}
	name, _, _ := strings.Cut(after, `"`)
	switch name {
	case "env", "expandenv":
		return "templates cannot read Salvor's environment; use .Options or a ConfigMap"
	case "getHostByName":
		return "templates cannot use the network; look the name up in the command"
	case "bcrypt", "htpasswd", "derivePassword":
		return "templates cannot derive passwords; do it in the command"
	}
	if near := nearest.Name(name, c.engine.defined()); near != "" {
		return fmt.Sprintf("did you mean %s?", near)
	}
	return "docs/templates.md lists the functions"
}
