package blueprint

import (
	"cmp"
	"slices"
)

// Resume says what losing the runner means for a function that had started.
type Resume string

// The ways to go on.
const (
	// Adoptable: the work is in a pod; another runner follows the same pod.
	Adoptable Resume = "adoptable"
	// Idempotent: the work may be done again.
	Idempotent Resume = "idempotent"
	// Once: it cannot be known how far the work was; the phase ends as
	// interrupted.
	Once Resume = "once"
)

// ArgType is what an argument is after rendering. Functions read leniently: text for
// a number, one value for a list; package arg has the rules.
type ArgType string

// The types of arguments.
const (
	Text    ArgType = "text"
	Integer ArgType = "integer"
	Bool    ArgType = "boolean"
	List    ArgType = "list of texts"
	Map     ArgType = "map of texts"
	Object  ArgType = "object"
	// YAMLList is a list, or text that holds one as YAML.
	YAMLList ArgType = "list, or a list as YAML text"
)

// Argument is one argument of a function.
type Argument struct {
	Name string
	Type ArgType
	// Doc says what it is for: a part of a sentence, for docs/functions.md, editors
	// and messages.
	Doc string
	// Default in words; empty means none.
	Default  string
	Required bool
	// Verbatim: the function gets it as written, not rendered.
	Verbatim bool
}

// Output is one value that a function publishes.
type Output struct {
	Name string
	Doc  string
}

// Signature is what is known of a function without running it. Dispatcher and
// CLI check blueprints against it, docs/functions.md and the schema for editors are
// made from it, and the runner has an implementation for each.
type Signature struct {
	Name string
	// Summary completes "the function …".
	Summary string
	Args    []Argument
	// Outputs that are always the same. Markers says that the command publishes what
	// it likes.
	Outputs []Output
	Markers bool
	// Pod: the function runs pods of its own.
	Pod    bool
	Resume Resume
}

// Arg returns the argument of that name.
func (s Signature) Arg(name string) (Argument, bool) {
	i := slices.IndexFunc(s.Args, func(a Argument) bool { return a.Name == name })
	if i < 0 {
		return Argument{}, false
	}
	return s.Args[i], true
}

// Takes reports whether the function has an argument of that name.
func (s Signature) Takes(name string) bool {
	_, ok := s.Arg(name)
	return ok
}

// Verbatim reports whether the function gets the argument as written.
func (s Signature) Verbatim(name string) bool {
	arg, ok := s.Arg(name)
	return ok && arg.Verbatim
}

// Required are the names of the arguments that must be given.
func (s Signature) Required() []string {
	var names []string
	for _, a := range s.Args {
		if a.Required {
			names = append(names, a.Name)
		}
	}
	return names
}

// Names are the names of all arguments.
func (s Signature) Names() []string {
	names := make([]string, 0, len(s.Args))
	for _, a := range s.Args {
		names = append(names, a.Name)
	}
	return names
}

// Signatures returns what is known of every function that Kanister has, by name.
func Signatures() []Signature {
	all := slices.Concat(podSignatures(), kubernetesSignatures(), resticSignatures(), csiSignatures(), rdsSignatures())
	slices.SortFunc(all, func(a, b Signature) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// Lookup returns the signature of the function of that name. Names are told
// apart by case, as in Kanister.
func Lookup(name string) (Signature, bool) {
	all := Signatures()
	i := slices.IndexFunc(all, func(s Signature) bool { return s.Name == name })
	if i < 0 {
		return Signature{}, false
	}
	return all[i], true
}
