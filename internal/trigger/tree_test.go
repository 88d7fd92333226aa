package trigger_test

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/stretchr/testify/require"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"pgregory.net/rapid"

	salvor "github.com/salvor-io/salvor/api/salvor/v1alpha1"
	"github.com/salvor-io/salvor/internal/trigger"
)

// A tree of filters matches what it says, for every small event; and one that is
// refused because no event can match, none matches.
func TestTreesOfFilters(t *testing.T) {
	t.Parallel()
	refused := 0
	rapid.Check(t, func(t *rapid.T) {
		var list []map[string]any
		for range rapid.IntRange(1, 3).Draw(t, "filters") {
			list = append(list, drawFilter(t, 3))
		}
		filters := make([]salvor.EventFilter, len(list))
		for i := range list {
			require.NoError(t, json.Unmarshal(asJSON(t, list[i]), &filters[i]))
		}
		at := newTrigger(func(s *salvor.ActionTriggerSpec) { s.When.Event.Filters = filters })
		c, err := trigger.Compile(at)
		if err != nil {
			require.ErrorContains(t, err, "no event can match")
			refused++
		}
		for _, attributes := range smallEvents() {
			want := true
			for _, filter := range list {
				want = want && means(filter, attributes)
			}
			if err != nil {
				require.False(t, want, "%v matches %s, which was refused: %v", attributes, asJSON(t, list), err)
				continue
			}
			e := newEvent(func(e *cloudevents.Event) {
				e.SetType(attributes["type"])
				if subject, ok := attributes["subject"]; ok {
					e.SetSubject(subject)
				}
			})
			require.Equal(t, want, c.Match(e), "%v, %s", attributes, asJSON(t, list))
		}
	})
	t.Logf("%d trees were refused", refused)
}

func asJSON(t require.TestingT, x any) []byte {
	text, err := json.Marshal(x)
	require.NoError(t, err)
	return text
}

// smallEvents are all events of few letters.
func smallEvents() []map[string]string {
	var out []map[string]string
	for _, typ := range []string{"a", "b", "ab", "ba", "aa", "bb", "aba", "bab"} {
		out = append(out, map[string]string{"type": typ})
		for _, subject := range []string{"a", "b", "ab", "ba", "bab"} {
			out = append(out, map[string]string{"type": typ, "subject": subject})
		}
	}
	return out
}

func drawFilter(t *rapid.T, depth int) map[string]any {
	dialects := []string{"exact", "prefix", "suffix"}
	if depth > 0 {
		dialects = append(dialects, "all", "any", "not")
	}
	dialect := rapid.SampledFrom(dialects).Draw(t, "dialect")
	switch dialect {
	case "not":
		return map[string]any{dialect: drawFilter(t, depth-1)}
	case "all", "any":
		var inner []any
		for range rapid.IntRange(1, 3).Draw(t, "inner") {
			inner = append(inner, drawFilter(t, depth-1))
		}
		return map[string]any{dialect: inner}
	}
	values := map[string]string{}
	for _, attribute := range rapid.SampledFrom([][]string{{"type"}, {"subject"}, {"type", "subject"}}).Draw(t, "attributes") {
		choices := []string{"a", "b", "ab", "ba"}
		if dialect != "exact" {
			choices = append(choices, "")
		}
		values[attribute] = rapid.SampledFrom(choices).Draw(t, attribute)
	}
	return map[string]any{dialect: values}
}

// means is what a filter says, as the Subscriptions API has it.
func means(filter map[string]any, attributes map[string]string) bool {
	for dialect, value := range filter {
		switch value := value.(type) {
		case map[string]string:
			holds := map[string]func(a, b string) bool{
				"exact": func(a, b string) bool { return a == b }, "prefix": strings.HasPrefix, "suffix": strings.HasSuffix,
			}[dialect]
			for name, want := range maps.All(value) {
				if got, ok := attributes[name]; !ok || !holds(got, want) {
					return false
				}
			}
			return true
		case map[string]any:
			return !means(value, attributes)
		case []any:
			for _, inner := range value {
				if f, ok := inner.(map[string]any); ok && means(f, attributes) == (dialect == "any") {
					return dialect == "any"
				}
			}
			return dialect == "all"
		}
	}
	return false
}

// A filter is what the API server hands out: nested ones as JSON.
func TestNestedFilterIsNull(t *testing.T) {
	t.Parallel()
	at := newTrigger(func(s *salvor.ActionTriggerSpec) {
		s.When.Event.Filters = []salvor.EventFilter{{Any: []apiextensionsv1.JSON{{Raw: []byte("null")}, {}}}}
	})
	problems := trigger.Check(at)
	require.Len(t, problems, 2)
	require.Equal(t, "spec.when.event.filters[0].any[0]", problems[0].Field)
}
