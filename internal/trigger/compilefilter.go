package trigger

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/cloudevents/sdk-go/v2/types"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	kjson "sigs.k8s.io/json"

	"github.com/salvor-io/salvor/api/event"
	salvor "github.com/salvor-io/salvor/api/salvor/v1alpha1"
	"github.com/salvor-io/salvor/internal/nearest"
)

const (
	// maxDepth bounds how deep filters nest, maxFilters how many there are in all.
	maxDepth   = 8
	maxFilters = 256
)

// attributeName is what the CloudEvents specification allows.
var attributeName = regexp.MustCompile(`^[a-z0-9]+$`)

// dialects are the fields of a filter.
func dialects() []string {
	return []string{"exact", "prefix", "suffix", "all", "any", "not", "cesql"}
}

// filters compiles the filters of when.event.
func (c *compiler) filters(source *salvor.EventSource) []filter {
	const field = "spec.when.event.filters"
	if len(source.Filters) == 0 {
		c.add(field, `say which events; prefix: {type: ""} matches all from outside`, "it is empty")
		return nil
	}
	f := filterCompiler{compiler: c}
	before := len(c.problems)
	out := make([]filter, 0, len(source.Filters))
	for i := range source.Filters {
		if inner := f.filter(fmt.Sprintf("%s[%d]", field, i), &source.Filters[i], 1); inner != nil {
			out = append(out, inner)
		}
	}
	if len(c.problems) == before {
		f := newFacts()
		switch why := f.add(out); {
		case why != "":
			c.add(field, "filters of the list must all match; put alternatives into any", "no event can match: %s", why)
		case f.exact[event.ExtTrigger] != "" && f.exact[event.ExtTrigger] == c.trigger.Name:
			c.add(field, "wait for the runs of another trigger",
				"the trigger waits for runs that it has started itself, which would be a loop and is stopped")
		}
	}
	return out
}

// filterCompiler counts the filters that it meets.
type filterCompiler struct {
	*compiler

	count int
}

// filter compiles one filter; nil if something is wrong with it.
func (c *filterCompiler) filter(field string, f *salvor.EventFilter, depth int) filter {
	c.count++
	switch {
	case c.count == maxFilters+1:
		c.add(field, "use one cesql expression, or several triggers", "there are more than %d filters", maxFilters)
	case depth > maxDepth:
		c.add(field, "use cesql", "filters nest deeper than %d", maxDepth)
	}
	if c.count > maxFilters || depth > maxDepth {
		return nil
	}
	if !c.oneDialect(field, f) {
		return nil
	}
	switch {
	case len(f.Exact) > 0:
		return c.text(field, exact, f.Exact)
	case len(f.Prefix) > 0:
		return c.text(field, prefix, f.Prefix)
	case len(f.Suffix) > 0:
		return c.text(field, suffix, f.Suffix)
	case len(f.All) > 0:
		return allFilter(c.list(field+".all", f.All, depth))
	case len(f.Any) > 0:
		return anyFilter(c.list(field+".any", f.Any, depth))
	case f.Not != nil:
		if inner := c.nested(field+".not", f.Not, depth); inner != nil {
			return notFilter{inner}
		}
		return nil
	}
	inner, err := newSQLFilter(f.CESQL)
	if err != nil {
		c.add(field+".cesql", "it must be an expression of the CloudEvents SQL, such as type = 'com.example.saved' AND EXISTS subject", "%s", err)
		return nil
	}
	return inner
}

// oneDialect checks that exactly one field of a filter is set.
func (c *filterCompiler) oneDialect(field string, f *salvor.EventFilter) bool {
	var set []string
	for name, is := range map[string]bool{
		"exact": f.Exact != nil, "prefix": f.Prefix != nil, "suffix": f.Suffix != nil,
		"all": f.All != nil, "any": f.Any != nil, "not": f.Not != nil, "cesql": f.CESQL != "",
	} {
		if is {
			set = append(set, name)
		}
	}
	slices.Sort(set)
	switch len(set) {
	case 0:
		c.add(field, "set one of "+strings.Join(dialects(), ", "), "the filter is empty")
		return false
	case 1:
	default:
		c.add(field, "make each a filter of its own; filters of a list must all match", "it has %s; a filter has exactly one", strings.Join(set, " and "))
		return false
	}
	empty := (f.Exact != nil && len(f.Exact) == 0) || (f.Prefix != nil && len(f.Prefix) == 0) ||
		(f.Suffix != nil && len(f.Suffix) == 0) || (f.All != nil && len(f.All) == 0) || (f.Any != nil && len(f.Any) == 0)
	if empty {
		c.add(field+"."+set[0], "put something into it or remove it", "it is empty")
	}
	return !empty
}

func (c *filterCompiler) text(field string, d dialect, values map[string]string) filter {
	field += "." + string(d)
	ok := true
	for _, name := range slices.Sorted(maps.Keys(values)) {
		before := len(c.problems)
		c.attribute(field+"."+name, d, name, values[name])
		ok = ok && len(c.problems) == before
	}
	if !ok {
		return nil
	}
	return newTextFilter(d, values)
}

// attribute checks one attribute that a filter names.
func (c *filterCompiler) attribute(field string, d dialect, name, value string) {
	switch {
	case !attributeName.MatchString(name):
		hint := "attributes are type, source, subject, id, time, … and extensions"
		if lower := strings.ToLower(name); attributeName.MatchString(lower) {
			hint = "did you mean " + lower + "?"
		}
		c.add(field, hint, "%q cannot be an attribute: names are lower-case letters and digits", name)
	case name == "data" || name == "database64":
		c.add(field, "put what decides into an attribute, such as subject or an extension", "filters see attributes, not data")
	case d == exact && value == "":
		c.add(field, "to say that an attribute must be absent, use cesql: NOT EXISTS "+name, "an attribute is never empty, so nothing matches")
	case d == exact && name == "specversion" && value != cloudevents.VersionV1:
		c.add(field, "use "+cloudevents.VersionV1+", or leave it out", "no event has version %s: Salvor takes %s only", value, cloudevents.VersionV1)
	case d == exact && strings.TrimSpace(value) != value:
		c.add(field, "use "+strconv.Quote(strings.TrimSpace(value)), "no event has it: attributes neither begin nor end with white space")
	case d == exact && name == "time" && !isTime(value):
		c.add(field, "write it in UTC, such as 2026-01-02T03:04:05Z", "no event has it: times are compared as CloudEvents writes them")
	case d == exact && name == "source" && below(value, ownSource) && !slices.Contains([]string{event.SourceDispatcher, event.SourceBridge}, value):
		c.add(field, "use "+event.SourceDispatcher+" or "+event.SourceBridge, "Salvor tells nothing from source %q", value)
	case d == exact && name == "type" && forOneTrigger(value):
		c.add(field, "use when.schedule or when.kubernetes", "events of type %s are for the trigger that they were made for", value)
	case d != suffix && name == "type" && below(value, ownType) && !someOwnType(d, value):
		hint := "its types are " + strings.Join(ownTypes(), ", ")
		if near := nearest.Name(value, ownTypes()); near != "" {
			hint = "did you mean " + near + "?"
		}
		c.add(field, hint, "Salvor tells nothing of type %q", value)
	}
}

// isTime reports whether the time of an event may read so.
func isTime(text string) bool {
	at, err := types.ParseTime(text)
	return err == nil && types.FormatTime(at) == text
}

func someOwnType(d dialect, value string) bool {
	return slices.ContainsFunc(ownTypes(), func(typ string) bool { return d.holds(typ, value) })
}

func (c *filterCompiler) list(field string, list []apiextensionsv1.JSON, depth int) []filter {
	out := make([]filter, 0, len(list))
	for i := range list {
		if inner := c.nested(fmt.Sprintf("%s[%d]", field, i), &list[i], depth); inner != nil {
			out = append(out, inner)
		}
	}
	return out
}

// nested decodes a filter that stands in another one, as strictly as the API
// server does the outer one.
func (c *filterCompiler) nested(field string, raw *apiextensionsv1.JSON, depth int) filter {
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(raw.Raw, &keys); err != nil || keys == nil {
		c.add(field, "write a filter, such as exact: {type: com.example.saved}", "it is no filter")
		return nil
	}
	known := true
	for _, name := range slices.Sorted(maps.Keys(keys)) {
		if slices.Contains(dialects(), name) {
			continue
		}
		known = false
		hint := "a filter has one of " + strings.Join(dialects(), ", ")
		if near := nearest.Name(name, dialects()); near != "" {
			hint = "did you mean " + near + "?"
		} else if attributeName.MatchString(name) {
			hint = fmt.Sprintf("to compare the attribute, write exact: {%s: …}", name)
		}
		c.add(field, hint, "there is no filter %q", name)
	}
	if !known {
		return nil
	}
	var f salvor.EventFilter
	strict, err := kjson.UnmarshalStrict(raw.Raw, &f)
	if err == nil && len(strict) > 0 {
		err = strict[0]
	}
	if err != nil {
		c.add(field, "values are text; put numbers and true or false in quotes", "it cannot be read: %s", err)
		return nil
	}
	return c.filter(field, &f, depth+1)
}
