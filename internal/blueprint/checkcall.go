package blueprint

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	"github.com/salvor-io/salvor/internal/nearest"
)

// checkCall checks a phase against the signature of its function.
func checkCall(field string, phase *kanister.BlueprintPhase) []Problem {
	signature, ok := Lookup(phase.Func)
	if !ok {
		return []Problem{unknownFunction(field+".func", phase.Func)}
	}
	var problems []Problem
	takes := signature.Names()
	slices.Sort(takes)
	for _, name := range slices.Sorted(maps.Keys(phase.Args)) {
		place := field + ".args." + name
		if !signature.Takes(name) {
			hint := fmt.Sprintf("%s takes %s", phase.Func, strings.Join(takes, ", "))
			if near := nearest.Name(name, takes); near != "" {
				hint = fmt.Sprintf("did you mean %s?", near)
			}
			problems = append(problems, Problem{Field: place, Message: fmt.Sprintf("argument %s is not supported by %s", name, phase.Func), Hint: hint})
			continue
		}
		problems = append(problems, nulls(place, phase.Args[name])...)
		problems = append(problems, wrongShape(place, name, phase.Args[name])...)
	}
	for _, name := range signature.Required() {
		if _, ok := phase.Args[name]; !ok {
			problems = append(problems, Problem{
				Field: field + ".args." + name, Message: fmt.Sprintf("required argument of %s is missing", phase.Func), Hint: "add it",
			})
		}
	}
	return problems
}

func unknownFunction(field, name string) Problem {
	all := []string{}
	for _, s := range Signatures() {
		all = append(all, s.Name)
	}
	switch {
	case name == "":
		return Problem{Field: field, Message: "no function is given", Hint: "name one of " + strings.Join(all, ", ")}
	case slices.ContainsFunc(catalog(), func(s Signature) bool { return s.Name == name }):
		return Problem{Field: field, Message: fmt.Sprintf("function %s is not supported yet", name), Hint: "Salvor has " + strings.Join(all, ", ")}
	}
	hint := "Salvor has " + strings.Join(all, ", ")
	if near := nearest.Name(name, all); near != "" {
		hint = fmt.Sprintf("did you mean %s?", near)
	}
	return Problem{Field: field, Message: fmt.Sprintf("function %q is unknown", name), Hint: hint}
}

// nulls reports every null in x, by place.
func nulls(field string, x any) []Problem {
	var problems []Problem
	switch x := x.(type) {
	case nil:
		return []Problem{{Field: field, Message: "is null", Hint: "give it a value, or leave it out"}}
	case []any:
		for i, item := range x {
			problems = append(problems, nulls(fmt.Sprintf("%s[%d]", field, i), item)...)
		}
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(x)) {
			problems = append(problems, nulls(field+"."+key, x[key])...)
		}
	}
	return problems
}

// wrongShape reports arguments that must be maps and are not.
func wrongShape(field, name string, x any) []Problem {
	switch name {
	case "podOverride", "podLabels", "podAnnotations", argConditions:
	default:
		return nil
	}
	if _, ok := x.(map[string]any); ok || x == nil {
		return nil
	}
	return []Problem{{Field: field, Message: fmt.Sprintf("must be a map, not %T", x), Hint: "write it as keys and values"}}
}
