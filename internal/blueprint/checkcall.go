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
func checkCall(field place, phase *kanister.BlueprintPhase) []Problem {
	signature, ok := Lookup(phase.Func)
	if !ok {
		return []Problem{unknownFunction(field.at("func"), phase.Func)}
	}
	var problems []Problem
	takes := signature.Names()
	slices.Sort(takes)
	for _, name := range slices.Sorted(maps.Keys(phase.Args)) {
		where := field.at("args").at(name)
		if !signature.Takes(name) {
			hint := fmt.Sprintf("%s takes %s", phase.Func, strings.Join(takes, ", "))
			if near := nearest.Name(name, takes); near != "" {
				hint = fmt.Sprintf("did you mean %s?", near)
			}
			problems = append(problems, where.problem(fmt.Sprintf("argument %s is not supported by %s", name, phase.Func), hint).atKey())
			continue
		}
		problems = append(problems, nulls(where, phase.Args[name])...)
		problems = append(problems, wrongShape(where, name, phase.Args[name])...)
	}
	for _, name := range signature.Required() {
		if _, ok := phase.Args[name]; !ok {
			problems = append(problems, field.at("args").at(name).problem(fmt.Sprintf("required argument of %s is missing", phase.Func), "add it"))
		}
	}
	return problems
}

func unknownFunction(field place, name string) Problem {
	all := []string{}
	for _, s := range Signatures() {
		all = append(all, s.Name)
	}
	if name == "" {
		return field.problem("no function is given", "name one of "+strings.Join(all, ", "))
	}
	hint := "Salvor has " + strings.Join(all, ", ")
	if near := nearest.Name(name, all); near != "" {
		hint = fmt.Sprintf("did you mean %s?", near)
	}
	return field.problem(fmt.Sprintf("function %q is unknown", name), hint)
}

// nulls reports every null in x, by place.
func nulls(where place, x any) []Problem {
	var problems []Problem
	switch x := x.(type) {
	case nil:
		return []Problem{where.problem("is null", "give it a value, or leave it out")}
	case []any:
		for i, item := range x {
			problems = append(problems, nulls(where.index(i), item)...)
		}
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(x)) {
			problems = append(problems, nulls(where.at(key), x[key])...)
		}
	}
	return problems
}

// hasShape reports whether the argument must be a map, which wrongShape checks.
func hasShape(name string) bool {
	switch name {
	case "podOverride", "podLabels", "podAnnotations", argConditions:
		return true
	}
	return false
}

// wrongShape reports arguments that must be maps and are not.
func wrongShape(where place, name string, x any) []Problem {
	if !hasShape(name) {
		return nil
	}
	if _, ok := x.(map[string]any); ok || x == nil {
		return nil
	}
	return []Problem{where.problem(fmt.Sprintf("must be a map, not %s", kindOfValue(x)), "write it as keys and values")}
}

// kindOfValue names what somebody wrote, as its author would.
func kindOfValue(x any) string {
	switch x.(type) {
	case nil:
		return "null"
	case string:
		return "text"
	case bool:
		return "true or false"
	case []any:
		return "a list"
	case map[string]any:
		return "a map"
	}
	return "a number"
}
