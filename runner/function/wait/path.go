package wait

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"k8s.io/client-go/util/jsonpath"
)

// The limits of the paths of one condition, beside those of its template: object
// and condition may be anybody's, and paths are evaluated again at each change.
// Known blueprints have three plain paths at most.
const (
	// maxPaths bounds the different paths.
	maxPaths = 32
	// maxRepeats bounds how often a path may give one value: [0,0][0,0] gives
	// it four times, and so on.
	maxRepeats = 16
	// maxFilled bounds, in bytes, the text with the values in it.
	maxFilled = 1 << 20
)

// pathPattern is how Wait finds the paths in a condition. The text between $ and }
// is the path.
var pathPattern = regexp.MustCompile(`\{\s*\$([^}]*)\}`)

// paths are the paths of a condition, by how they are written in it.
type paths map[string]*jsonpath.JSONPath

func parsePaths(text string) (paths, error) {
	all := paths{}
	for _, match := range pathPattern.FindAllStringSubmatch(text, -1) {
		path, source := jsonpath.New(match[0]), "{"+strings.TrimSpace(match[1])+"}"
		if err := path.Parse(source); err != nil {
			return nil, fmt.Errorf("%s is not a JSON path (%w); WaitV2 has template variables", match[0], err)
		}
		parsed, err := jsonpath.Parse(match[0], source)
		if err != nil {
			return nil, fmt.Errorf("%s is not a JSON path: %w", match[0], err)
		}
		if repeats(parsed.Root) > maxRepeats {
			return nil, fmt.Errorf("%s is too much work: name what is wanted with fewer of '..' and [a,b]", match[0])
		}
		all[match[0]] = path
		if len(all) > maxPaths {
			return nil, fmt.Errorf("it has more than %d different paths; use fewer", maxPaths)
		}
	}
	return all, nil
}

// repeats estimates how often a path may give one value, up to a little over
// maxRepeats.
func repeats(list *jsonpath.ListNode) int {
	n := 1
	for _, node := range list.Nodes {
		switch node := node.(type) {
		case *jsonpath.RecursiveNode: // once for each level of the object
			n *= maxRepeats
		case *jsonpath.UnionNode:
			sum := 0
			for _, member := range node.Nodes {
				sum = min(sum+repeats(member), maxRepeats+1)
			}
			n *= max(sum, 1)
		case *jsonpath.ListNode:
			n *= repeats(node)
		case *jsonpath.FilterNode:
			n *= max(repeats(node.Left), repeats(node.Right))
		}
		n = min(n, maxRepeats+1)
	}
	return n
}

// fill replaces the paths by the values in the object. All that is wrong is one
// error.
func (p paths) fill(text string, object map[string]any) (string, error) {
	values := map[string]string{}
	var problems []error
	for _, match := range slices.Sorted(maps.Keys(p)) { // the same problems, the same error
		value := limited{left: maxFilled}
		if err := p[match].Execute(&value, object); err != nil {
			problems = append(problems, err)
		}
		values[match] = value.String()
	}
	if len(problems) > 0 {
		return "", errors.Join(problems...)
	}
	filled := limited{left: maxFilled}
	rest := 0
	for _, at := range pathPattern.FindAllStringIndex(text, -1) {
		for _, part := range []string{text[rest:at[0]], values[text[at[0]:at[1]]]} {
			if _, err := filled.Write([]byte(part)); err != nil {
				return "", err
			}
		}
		rest = at[1]
	}
	if _, err := filled.Write([]byte(text[rest:])); err != nil {
		return "", err
	}
	return filled.String(), nil
}

// limited is a text that stops growing.
type limited struct {
	strings.Builder
	left int
}

// Write adds to the text. If that makes it too long, an error is returned.
func (l *limited) Write(p []byte) (int, error) {
	if l.left -= len(p); l.left < 0 {
		return 0, fmt.Errorf("the condition with the object's values in it is over %d bytes; use narrower paths", maxFilled)
	}
	return l.Builder.Write(p) // never fails
}
