package blueprint

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	"github.com/salvor-io/salvor/internal/nearest"
)

// Severity says whether a problem keeps an action from running.
type Severity uint8

// The severities.
const (
	// SeverityError: it can never work.
	SeverityError Severity = iota
	// SeverityWarning: it runs, in Kanister too, but most likely not as it was meant, or
	// only as long as a part of a template is not reached.
	SeverityWarning
)

// String returns the word that compilers use.
func (s Severity) String() string {
	if s == SeverityWarning {
		return "warning"
	}
	return "error"
}

// Problem is something in a blueprint that cannot work, or that is not as it should be.
type Problem struct { //nolint:errname // a finding; that it can be returned as an error is beside the point
	// Severity is SeverityError unless it says otherwise.
	Severity Severity
	// Field is where, for example actions.backup.phases[0].args.image.
	Field string
	// Message is what is wrong.
	Message string
	// Hint is what to do.
	Hint string
	// Path is Field in parts: keys (string) and indexes (int). For a field that is
	// missing it leads to where it would be.
	Path []any
	// Key: the key of the map is meant, not the value.
	Key bool
	// Line and Column are where in the text of the field, from 1 on; 0 is unknown.
	Line, Column int
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

// atKey says that the key is meant.
func (p Problem) atKey() Problem {
	p.Key = true
	return p
}

// asWarning makes a warning of it.
func (p Problem) asWarning() Problem {
	p.Severity = SeverityWarning
	return p
}

// Errors returns those of the problems with which nothing can run.
func Errors(problems []Problem) []Problem {
	return slices.DeleteFunc(slices.Clone(problems), func(p Problem) bool { return p.Severity != SeverityError })
}

// place is a place in a blueprint.
type place struct {
	field string
	path  []any
	// isKey: the key of a map.
	isKey bool
}

func (p place) at(name string) place {
	return place{field: strings.TrimPrefix(p.field+"."+name, "."), path: append(slices.Clone(p.path), name)}
}

func (p place) index(i int) place {
	return place{field: fmt.Sprintf("%s[%d]", p.field, i), path: append(slices.Clone(p.path), i)}
}

// key is the key of what stands at p.
func (p place) key() place { return place{field: p.field + " (the key)", path: p.path, isKey: true} }

func (p place) problem(message, hint string) Problem {
	return Problem{Field: p.field, Path: p.path, Key: p.isKey, Message: message, Hint: hint}
}

func actionPlace(action string) place { return place{}.at("actions").at(action) }

// Check looks for what can be known to fail before anything runs, in one action
// of the blueprint, or in all of them when action is "". Errors fail in Kanister just
// as well. It returns nil when it finds nothing.
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
		c := &checker{engine: e, name: name, action: a}
		c.check()
		problems = append(problems, c.problems...)
	}
	if action == "" {
		problems = append(problems, namesakes(bp)...)
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
	hint := "name one of: " + list(there)
	if near := nearest.Name(action, there); near != "" {
		hint = fmt.Sprintf("did you mean %s? It has: %s", near, list(there))
	}
	return actionPlace(action).problem(fmt.Sprintf("blueprint %q has no action %q", bp.Name, action), hint)
}

// namesakes warns of phases of different actions that share a name: it is no problem
// for whoever runs them, but Kanister's webhook refuses the blueprint.
func namesakes(bp *kanister.Blueprint) []Problem {
	var problems []Problem
	first := map[string]string{}
	for _, action := range slices.Sorted(maps.Keys(bp.Actions)) {
		a := bp.Actions[action]
		if a == nil {
			continue
		}
		for i := range a.Phases {
			name := a.Phases[i].Name
			other, ok := first[name]
			switch {
			case name == "":
			case !ok:
				first[name] = action
			case other != action:
				problems = append(problems, actionPlace(action).at("phases").index(i).at("name").problem(
					fmt.Sprintf("%q is the name of a phase of action %s too", name, other),
					"it runs; Kanister's webhook, where there is one, wants names that differ in all of a blueprint").asWarning())
			}
		}
	}
	return problems
}

// wrongObjectKind is a warning: Kanister passes such an object over.
func wrongObjectKind(where place, kind string) Problem {
	return where.at("kind").problem(fmt.Sprintf("an object of kind %q is not given to a phase, so templates cannot name it", kind), "use Secret or ConfigMap").asWarning()
}

// isObjectKind reports whether objects of the kind are given to a phase.
func isObjectKind(kind string) bool {
	return strings.EqualFold(kind, "secret") || strings.EqualFold(kind, "configmap")
}

// checker checks one action.
type checker struct {
	engine   *engine
	name     string
	action   *kanister.BlueprintAction
	problems []Problem
	// spec is what the ActionSet asks for; nil when it is not known. Then only what it
	// lacks is reported, in given.
	spec  *kanister.ActionSpec
	given map[string]Problem
}

func (c *checker) add(p Problem) { c.problems = append(c.problems, p) }

// moment is when a template is rendered, which tells what it can see.
type moment struct {
	// reached counts the phases that are in .Phases by then, the last of which is the
	// phase itself if self is set, and has published nothing.
	reached int
	self    bool
	// deferred: in the deferPhase; ended: after it.
	deferred, ended bool
}

func (c *checker) check() {
	base := actionPlace(c.name)
	c.uniqueNames(base)
	phases := base.at("phases")
	if len(c.action.Phases) == 0 && c.action.DeferPhase == nil {
		c.add(base.problem("has no phases, so it does nothing", "give it phases").asWarning())
	}
	for i := range c.action.Phases {
		c.phase(phases.index(i), &c.action.Phases[i], moment{reached: i}, moment{reached: i + 1, self: true})
	}
	last := len(c.action.Phases)
	if c.action.DeferPhase != nil {
		c.phase(base.at("deferPhase"), c.action.DeferPhase, moment{reached: last, deferred: true}, moment{reached: last, deferred: true})
	}
	end := moment{reached: last, ended: true}
	for _, name := range slices.Sorted(maps.Keys(c.action.OutputArtifacts)) {
		field := base.at("outputArtifacts").at(name)
		artifact := c.action.OutputArtifacts[name]
		for _, key := range slices.Sorted(maps.Keys(artifact.KeyValue)) {
			c.text(field.at("keyValue").at(key), artifact.KeyValue[key], end)
		}
		c.text(field.at("kopiaSnapshot"), artifact.KopiaSnapshot, end)
	}
}

// uniqueNames warns of phases that share a name: the second takes the place of the
// first in .Phases. (Kanister runs both with the arguments of the last of them.)
func (c *checker) uniqueNames(base place) {
	first := map[string]int{}
	for i := range c.action.Phases {
		name := c.action.Phases[i].Name
		if j, ok := first[name]; ok {
			c.add(base.at("phases").index(i).at("name").problem(
				fmt.Sprintf("%q is the name of phases[%d] too, and .Phases holds one of them only", name, j),
				"give each phase of an action a name of its own").asWarning())
			continue
		}
		first[name] = i
	}
}

// phase checks the call of a phase, and its templates: those of its objects, which are
// rendered first, and those of its arguments.
func (c *checker) phase(field place, phase *kanister.BlueprintPhase, objects, args moment) {
	c.problems = append(c.problems, checkCall(field, phase)...)
	c.problems = append(c.problems, checkTypes(field, phase)...)
	for _, name := range slices.Sorted(maps.Keys(phase.ObjectRefs)) {
		where, ref := field.at("objects").at(name), phase.ObjectRefs[name]
		if !isObjectKind(ref.Kind) {
			c.add(wrongObjectKind(where, ref.Kind))
			continue
		}
		c.text(where.at("name"), ref.Name, objects)
		c.text(where.at("namespace"), ref.Namespace, objects)
	}
	signature, _ := Lookup(phase.Func)
	for _, name := range slices.Sorted(maps.Keys(phase.Args)) {
		where := field.at("args").at(name)
		if signature.Verbatim(name) {
			c.references(where, phase.Args[name], args)
			continue
		}
		c.value(where, phase.Args[name], args)
	}
}

// references checks the objectReferences in an argument that is given as written:
// the function renders those itself.
func (c *checker) references(where place, x any, m moment) {
	switch x := x.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(x)) {
			if key == "objectReference" {
				c.value(where.at(key), x[key], m)
				continue
			}
			c.references(where.at(key), x[key], m)
		}
	case []any:
		for i, item := range x {
			c.references(where.index(i), item, m)
		}
	}
}

// value checks every text in x, also the keys of maps.
func (c *checker) value(where place, x any, m moment) {
	switch x := x.(type) {
	case string:
		c.text(where, x, m)
	case []any:
		for i, item := range x {
			c.value(where.index(i), item, m)
		}
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(x)) {
			c.text(where.at(key).key(), key, m)
			c.value(where.at(key), x[key], m)
		}
	}
}

// text checks one template: that it parses, and that what it names can be there.
func (c *checker) text(where place, text string, m moment) {
	if !isTemplate(text) {
		return
	}
	t, err := c.engine.parse(text)
	if err != nil {
		p := where.problem("template does not parse: "+err.Error(), c.hint(err.Error()))
		p.Line = lineOf(err.Error())
		c.add(p)
		return
	}
	for _, mention := range mentions(t) {
		c.reference(where, text, mention, m)
	}
}

// opened is where text/template says that something began which does not end.
var opened = regexp.MustCompile(`started at [^:]*:(\d+)`)

// lineOf is the line that a message of text/template speaks of.
func lineOf(message string) int {
	number, _, _ := strings.Cut(message, ":")
	if match := opened.FindStringSubmatch(message); match != nil {
		number = match[1]
	}
	line, err := strconv.Atoi(number)
	if err != nil {
		return 0
	}
	return line
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
