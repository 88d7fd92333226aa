package trigger

import (
	"strings"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/cloudevents/sdk-go/v2/types"

	"github.com/salvor-io/salvor/api/event"
)

const (
	// ownSource is the prefix of the sources of Salvor's own events.
	ownSource = "/salvor/"
	// ownType is the prefix of their types.
	ownType = "io.salvor."
)

// input is an event that is matched. An event is held against many triggers, most of
// which look at its type and no further.
type input struct {
	event  *cloudevents.Event
	source string
	// own says that it is one of Salvor's.
	own bool
	// size of all attributes, in bytes, once it was asked for.
	size int
}

func newInput(e *cloudevents.Event) *input {
	source := e.Source()
	return &input{event: e, source: source, own: strings.HasPrefix(source, ownSource)}
}

// attribute is one of the context attributes, as text.
func (in *input) attribute(name string) (value string, ok bool) {
	switch name {
	case "type":
		value = in.event.Type()
	case "source":
		value = in.source
	case "subject":
		value = in.event.Subject()
	case "id":
		value = in.event.ID()
	case "specversion":
		value = in.event.SpecVersion()
	case "datacontenttype":
		value = in.event.DataContentType()
	case "dataschema":
		value = in.event.DataSchema()
	case "time":
		value = timeOf(in.event)
	default:
		x, err := in.event.Context.GetExtension(name)
		if err != nil {
			return "", false
		}
		if value, err = types.Format(x); err != nil {
			return "", false
		}
	}
	return value, value != ""
}

// attributesSize is how large all attributes are together.
func (in *input) attributesSize() int {
	if in.size == 0 {
		for _, value := range attributesOf(in.event) {
			in.size += len(value)
		}
	}
	return in.size
}

func timeOf(e *cloudevents.Event) string {
	if e.Time().IsZero() {
		return ""
	}
	return types.FormatTime(e.Time())
}

// attributesOf are the context attributes as text, in the canonical form of the
// CloudEvents specification; those that are absent are not in it.
func attributesOf(e *cloudevents.Event) map[string]string {
	all := map[string]string{
		"specversion": e.SpecVersion(), "id": e.ID(), "source": e.Source(), "type": e.Type(), "subject": e.Subject(),
		"dataschema": e.DataSchema(), "datacontenttype": e.DataContentType(), "time": timeOf(e),
	}
	for name, value := range e.Extensions() {
		if text, err := types.Format(value); err == nil {
			all[name] = text
		}
	}
	for name, value := range all {
		if value == "" {
			delete(all, name)
		}
	}
	return all
}

// filter is one filter. named says that one which matched names a type or a source
// of Salvor's own.
type filter interface {
	match(in *input) (ok, named bool)
}

// textFilter compares attributes: exact, prefix, suffix.
type textFilter struct {
	dialect dialect
	values  map[string]string
	named   bool
}

// dialect is how a textFilter compares.
type dialect string

const (
	exact  dialect = "exact"
	prefix dialect = "prefix"
	suffix dialect = "suffix"
)

func (d dialect) holds(got, want string) bool {
	switch d {
	case exact:
		return got == want
	case prefix:
		return strings.HasPrefix(got, want)
	case suffix:
		return strings.HasSuffix(got, want)
	}
	return false
}

func newTextFilter(d dialect, values map[string]string) *textFilter {
	f := &textFilter{dialect: d, values: values}
	if d != suffix {
		f.named = below(values["type"], ownType) || below(values["source"], ownSource)
	}
	return f
}

// below reports whether a value names something below a prefix of Salvor's: the
// prefix itself, with or without the separator at its end, or more.
func below(value, prefix string) bool {
	return strings.HasPrefix(value, prefix) || value == prefix[:len(prefix)-1]
}

func (f *textFilter) match(in *input) (ok, named bool) {
	for name, want := range f.values {
		got, there := in.attribute(name)
		if !there || !f.dialect.holds(got, want) {
			return false, false
		}
	}
	return true, f.named
}

// allFilter matches when all do.
type allFilter []filter

func (f allFilter) match(in *input) (ok, named bool) {
	for _, inner := range f {
		ok, names := inner.match(in)
		if !ok {
			return false, false
		}
		named = named || names
	}
	return true, named
}

// anyFilter matches when one does.
type anyFilter []filter

func (f anyFilter) match(in *input) (ok, named bool) {
	for _, inner := range f {
		matches, names := inner.match(in)
		ok, named = ok || matches, named || names
		if ok && (named || !in.own) {
			return true, named
		}
	}
	return ok, named
}

// notFilter matches when the other does not. It names nothing: "not Salvor's" is no
// wish for Salvor's.
type notFilter struct{ inner filter }

func (f notFilter) match(in *input) (ok, named bool) {
	ok, _ = f.inner.match(in)
	return !ok, false
}

// ownTypes are the types that a filter may wait for.
func ownTypes() []string {
	return []string{event.TypeRunCompleted, event.TypeRunFailed, event.TypeRunCancelled, event.TypePhaseFailed, event.TypePhaseComplete}
}
