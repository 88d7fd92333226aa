package blueprint

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
)

// checkTypes checks what arguments are against what the function reads. It says
// nothing of a text that is a template, since nobody knows what comes of it, and
// nothing of what functions convert: a number where they read text, a text where they
// read a list, and so on.
func checkTypes(field place, phase *kanister.BlueprintPhase) []Problem {
	signature, ok := Lookup(phase.Func)
	if !ok {
		return nil
	}
	var problems []Problem
	for _, name := range slices.Sorted(maps.Keys(phase.Args)) {
		a, ok := signature.Arg(name)
		if !ok || hasShape(name) {
			continue
		}
		problems = append(problems, checkType(field.at("args").at(name), a.Type, phase.Args[name])...)
	}
	return problems
}

func checkType(where place, typ ArgType, x any) []Problem {
	switch typ {
	case Text:
		return mustBe(where, x, "text", isScalar(x))
	case Integer:
		return mustBe(where, x, "a whole number that is not negative", isWhole(x))
	case Bool:
		return mustBe(where, x, "true or false", isBool(x))
	case List:
		return checkList(where, x)
	case Map:
		return checkMap(where, x)
	case Object:
		return mustBe(where, x, "a map", !isScalar(x) || x == nil)
	case YAMLList:
		_, isMap := x.(map[string]any)
		return mustBe(where, x, "a list, or text that holds one as YAML", !isMap)
	}
	return nil
}

func mustBe(where place, x any, what string, is bool) []Problem {
	if is {
		return nil
	}
	found := kindOfValue(x)
	if text, ok := x.(string); ok {
		found = strconv.Quote(clip(text, 40))
	}
	return []Problem{where.problem(fmt.Sprintf("must be %s, not %s", what, found), "correct the value")}
}

// isScalar is also true for null, of which nulls speaks.
func isScalar(x any) bool {
	switch x.(type) {
	case []any, map[string]any:
		return false
	}
	return true
}

func isWhole(x any) bool {
	switch x := x.(type) {
	case nil:
		return true
	case string:
		n, err := strconv.ParseInt(strings.TrimSpace(x), 10, 32)
		return isTemplate(x) || err == nil && n >= 0
	case int64:
		return x >= 0 && x <= math.MaxInt32
	case int:
		return x >= 0 && x <= math.MaxInt32
	case float64:
		return x >= 0 && x <= math.MaxInt32 && x == math.Trunc(x)
	}
	return false
}

func isBool(x any) bool {
	text, ok := x.(string)
	if !ok || text == "" || isTemplate(text) {
		return isScalar(x)
	}
	_, err := strconv.ParseBool(text)
	return err == nil
}

func checkList(where place, x any) []Problem {
	switch x := x.(type) {
	case []any:
		var problems []Problem
		for i, item := range x {
			problems = append(problems, mustBe(where.index(i), item, "text", isScalar(item))...)
		}
		return problems
	case map[string]any:
		return mustBe(where, x, "a list of texts", len(x) == 0)
	}
	return nil
}

func checkMap(where place, x any) []Problem {
	m, ok := x.(map[string]any)
	if !ok {
		return mustBe(where, x, "a map of texts", !isScalar(x) || x == nil)
	}
	var problems []Problem
	for _, key := range slices.Sorted(maps.Keys(m)) {
		problems = append(problems, mustBe(where.at(key), m[key], "text", isScalar(m[key]))...)
	}
	return problems
}
