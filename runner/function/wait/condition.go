package wait

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"text/template"

	"github.com/Masterminds/sprig/v3"
	"k8s.io/client-go/util/jsonpath"
)

// pathPattern is how Wait finds the paths in a condition. The text between $ and }
// is the path.
var pathPattern = regexp.MustCompile(`\{\s*\$([^}]*)\}`)

// compileSprig compiles a condition of Wait.
func compileSprig(text string) (predicate, error) {
	paths := map[string]*jsonpath.JSONPath{}
	for _, match := range pathPattern.FindAllStringSubmatch(text, -1) {
		path := jsonpath.New(match[0])
		if err := path.Parse("{" + strings.TrimSpace(match[1]) + "}"); err != nil {
			return nil, fmt.Errorf("%s is not a JSON path (%w); WaitV2 has template variables", match[0], err)
		}
		paths[match[0]] = path
	}
	functions := functions()
	return func(object map[string]any) (bool, error) {
		var problems []error
		filled := pathPattern.ReplaceAllStringFunc(text, func(match string) string {
			var value strings.Builder
			if err := paths[match].Execute(&value, object); err != nil {
				problems = append(problems, err)
			}
			return value.String()
		})
		if len(problems) > 0 {
			return false, errors.Join(problems...)
		}
		// What is parsed now depends on the object, so it may become right later.
		parsed, err := template.New("condition").Option("missingkey=zero").Funcs(functions).Parse(filled)
		if err != nil {
			return false, err
		}
		return isTrue(parsed, nil)
	}, nil
}

// functions are sprig's without those that look out of the process: the text of
// the template comes in part from an object that others write.
func functions() template.FuncMap {
	all := sprig.TxtFuncMap()
	for _, name := range []string{"env", "expandenv", "getHostByName"} {
		delete(all, name)
	}
	return all
}

// compileKubectl compiles a condition of WaitV2.
func compileKubectl(text string) (predicate, error) {
	parsed, err := template.New("condition").Funcs(template.FuncMap{"exists": exists, "base64decode": base64decode}).Parse(text)
	if err != nil {
		return nil, err
	}
	return func(object map[string]any) (bool, error) {
		plain, err := asJSON(object)
		if err != nil {
			return false, err
		}
		return isTrue(parsed, plain)
	}, nil
}

// asJSON makes every number a float64, as kubectl does: a comparison that was
// written for it would fail on an integer.
func asJSON(object map[string]any) (map[string]any, error) {
	text, err := json.Marshal(object)
	if err != nil {
		return nil, err
	}
	var plain map[string]any
	return plain, json.Unmarshal(text, &plain)
}

// isTrue executes a template; a panic of a template function is an error.
func isTrue(t *template.Template, data any) (result bool, err error) {
	defer func() {
		if p := recover(); p != nil {
			result, err = false, fmt.Errorf("the template panicked: %v", p)
		}
	}()
	var output strings.Builder
	if err := t.Execute(&output, data); err != nil {
		return false, err
	}
	return strings.TrimSpace(output.String()) == "true", nil
}

// exists reports whether index would find something, as kubectl's function.
func exists(item any, indices ...any) bool {
	for _, index := range indices {
		switch in := item.(type) {
		case map[string]any:
			key, ok := index.(string)
			if item, ok = in[key], ok && has(in, key); !ok {
				return false
			}
		case []any:
			i := reflect.ValueOf(index)
			if !i.IsValid() || !i.CanInt() || i.Int() < 0 || i.Int() >= int64(len(in)) {
				return false
			}
			item = in[i.Int()]
		default:
			return false
		}
	}
	return true
}

func has(m map[string]any, key string) bool {
	_, ok := m[key]
	return ok
}

func base64decode(text string) (string, error) {
	plain, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return "", fmt.Errorf("base64decode: %w", err)
	}
	return string(plain), nil
}
