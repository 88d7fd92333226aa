package wait

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"text/template"

	"github.com/salvor-io/salvor/internal/blueprint"
)

// compileSprig compiles a condition of Wait.
func compileSprig(text string) (predicate, error) {
	paths, err := parsePaths(text)
	if err != nil {
		return nil, err
	}
	return func(object map[string]any) (bool, error) {
		filled, err := paths.fill(text, object)
		if err != nil {
			return false, err
		}
		// What is parsed now depends on the object, so it may become right later.
		parsed, err := blueprint.ParseCondition(filled, nil)
		if err != nil {
			return false, err
		}
		return isTrue(parsed, nil)
	}, nil
}

// compileKubectl compiles a condition of WaitV2.
func compileKubectl(text string) (predicate, error) {
	parsed, err := blueprint.ParseCondition(text, template.FuncMap{"exists": exists, "base64decode": base64decode})
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
	err = json.Unmarshal(text, &plain)
	return plain, err
}

// isTrue renders a condition; a panic on the way is an error.
func isTrue(c *blueprint.Condition, data any) (result bool, err error) {
	defer func() {
		if p := recover(); p != nil {
			result, err = false, fmt.Errorf("the template panicked: %v", p)
		}
	}()
	output, err := c.Render(data)
	if err != nil {
		return false, err
	}
	return strings.TrimSpace(output) == "true", nil
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
