package trigger

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// facts are what an event must be like. They find what a person would find: values
// that exclude each other. They do not look into expressions.
type facts struct {
	exact    map[string]string
	prefixes map[string][]string
	suffixes map[string][]string
}

func newFacts() *facts {
	return &facts{exact: map[string]string{}, prefixes: map[string][]string{}, suffixes: map[string][]string{}}
}

func (f *facts) clone() *facts {
	out := newFacts()
	maps.Copy(out.exact, f.exact)
	for name, list := range f.prefixes {
		out.prefixes[name] = slices.Clone(list)
	}
	for name, list := range f.suffixes {
		out.suffixes[name] = slices.Clone(list)
	}
	return out
}

// add adds filters that must all match and says why no event can; "" if one may.
func (f *facts) add(filters []filter) string {
	var later []filter
	for _, inner := range flat(filters) {
		text, ok := inner.(*textFilter)
		if !ok {
			later = append(later, inner)
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(text.values)) {
			if why := f.text(text.dialect, name, text.values[name]); why != "" {
				return why
			}
		}
	}
	for _, inner := range later {
		if why := f.compound(inner); why != "" {
			return why
		}
	}
	return ""
}

// flat replaces each all by what is in it.
func flat(filters []filter) []filter {
	var out []filter
	for _, inner := range filters {
		if all, ok := inner.(allFilter); ok {
			out = append(out, flat(all)...)
			continue
		}
		out = append(out, inner)
	}
	return out
}

func (f *facts) text(d dialect, name, value string) string {
	switch d {
	case exact:
		if other, ok := f.exact[name]; ok && other != value {
			return fmt.Sprintf("%s cannot be both %q and %q", name, other, value)
		}
		f.exact[name] = value
	case prefix:
		for _, other := range f.prefixes[name] {
			if !strings.HasPrefix(value, other) && !strings.HasPrefix(other, value) {
				return fmt.Sprintf("%s cannot begin with both %q and %q", name, other, value)
			}
		}
		f.prefixes[name] = append(f.prefixes[name], value)
	case suffix:
		for _, other := range f.suffixes[name] {
			if !strings.HasSuffix(value, other) && !strings.HasSuffix(other, value) {
				return fmt.Sprintf("%s cannot end with both %q and %q", name, other, value)
			}
		}
		f.suffixes[name] = append(f.suffixes[name], value)
	}
	if why := f.own(); why != "" {
		return why
	}
	is, ok := f.exact[name]
	if !ok {
		return ""
	}
	for _, want := range f.prefixes[name] {
		if !strings.HasPrefix(is, want) {
			return fmt.Sprintf("%s cannot be %q and begin with %q", name, is, want)
		}
	}
	for _, want := range f.suffixes[name] {
		if !strings.HasSuffix(is, want) {
			return fmt.Sprintf("%s cannot be %q and end with %q", name, is, want)
		}
	}
	return ""
}

// own says why no event has the type and the source: those that are Salvor's own have
// both, and nobody else may send one of them.
func (f *facts) own() string {
	typ, ownTyp := f.claims("type", ownType)
	source, ownSrc := f.claims("source", ownSource)
	if typ == "" || source == "" || ownTyp == ownSrc {
		return ""
	}
	return fmt.Sprintf("events of type %q have no source %q: Salvor's own have types below %s and sources below %s, and others have neither",
		typ, source, ownType, ownSource)
}

// claims is the value that says whether an attribute is below one of Salvor's prefixes;
// "" if none does.
func (f *facts) claims(name, own string) (value string, is bool) {
	if value, ok := f.exact[name]; ok {
		return value, strings.HasPrefix(value, own)
	}
	for _, value := range f.prefixes[name] {
		if strings.HasPrefix(value, own) {
			return value, true
		}
		if !strings.HasPrefix(own, value) {
			return value, false
		}
	}
	return "", false
}

func (f *facts) compound(inner filter) string {
	switch inner := inner.(type) {
	case anyFilter:
		why := ""
		for _, branch := range inner {
			if why = f.clone().add([]filter{branch}); why == "" {
				return ""
			}
		}
		return why
	case notFilter:
		if f.implies(inner.inner) {
			return "what one filter demands another excludes with not"
		}
	}
	return ""
}

// implies reports whether every event of which the facts hold matches.
func (f *facts) implies(inner filter) bool {
	switch inner := inner.(type) {
	case *textFilter:
		for name, value := range inner.values {
			if !f.impliesText(inner.dialect, name, value) {
				return false
			}
		}
		return true
	case allFilter:
		return !slices.ContainsFunc(inner, func(x filter) bool { return !f.implies(x) })
	case anyFilter:
		return slices.ContainsFunc(inner, f.implies)
	case notFilter:
		return f.clone().add([]filter{inner.inner}) != ""
	}
	return false
}

func (f *facts) impliesText(d dialect, name, value string) bool {
	if is, ok := f.exact[name]; ok {
		return d.holds(is, value)
	}
	there := slices.Contains([]string{"id", "source", "type", "specversion"}, name) || len(f.prefixes[name]) > 0 || len(f.suffixes[name]) > 0
	switch d {
	case exact:
		return false
	case prefix:
		return (value == "" && there) || slices.ContainsFunc(f.prefixes[name], func(p string) bool { return strings.HasPrefix(p, value) })
	case suffix:
		return (value == "" && there) || slices.ContainsFunc(f.suffixes[name], func(p string) bool { return strings.HasSuffix(p, value) })
	}
	return false
}
