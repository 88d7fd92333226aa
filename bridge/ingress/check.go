package ingress

import (
	"strings"
	"unicode"
	"unicode/utf8"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/cloudevents/sdk-go/v2/types"

	"github.com/salvor-io/salvor/api/event"
)

const (
	// maxAttributes bounds the context attributes of one event together, in
	// bytes: they travel as headers, which NATS bounds to 64 KiB.
	maxAttributes = 16 << 10
	// maxType bounds the type, which becomes part of a subject.
	maxType = 512
	// ownSource is the prefix of the sources of Salvor's own events.
	ownSource = "/salvor/"
	// ownType is the prefix of their types.
	ownType = "io.salvor."
)

// check is what every event must satisfy, whatever its content mode.
func check(e *cloudevents.Event) error {
	if e.SpecVersion() != cloudevents.VersionV1 {
		return badVersion(e.SpecVersion())
	}
	if err := e.Validate(); err != nil {
		return fromSDK(err)
	}
	if len(e.Type()) > maxType {
		return bad("type", "is longer than %d bytes", maxType)
	}
	if strings.HasPrefix(e.Source(), ownSource) {
		return bad("source", "%s is reserved for Salvor's own events; use another source", ownSource)
	}
	if strings.HasPrefix(e.Type(), ownType) {
		return bad("type", "%s is reserved for Salvor's own events; use another type", ownType)
	}
	attributes := map[string]string{
		"id": e.ID(), "source": e.Source(), "type": e.Type(), "subject": e.Subject(),
		"dataschema": e.DataSchema(), "datacontenttype": e.DataContentType(),
	}
	for name, value := range e.Extensions() {
		if strings.HasPrefix(name, event.ExtReserved) {
			return bad(name, "attributes that begin with %q are Salvor's own; use another name", event.ExtReserved)
		}
		text, err := types.Format(value)
		if err != nil {
			return bad(name, "%v", err)
		}
		attributes[name] = text
	}
	total := 0
	for name, value := range attributes {
		if !validText(value) {
			return bad(name, "has a control character, a code point that is no character, or is not UTF-8")
		}
		if strings.TrimSpace(value) != value {
			return badSpace(name)
		}
		total += len(name) + len(value)
	}
	if total > maxAttributes {
		return bad("", "the context attributes have %d bytes together; the limit is %d. Put the content into data", total, maxAttributes)
	}
	return nil
}

// validText is what the type String of CloudEvents may hold.
func validText(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool {
		return unicode.IsControl(r) || (r >= 0xfdd0 && r <= 0xfdef) || r&0xfffe == 0xfffe
	})
}

func validName(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9')
	})
}

func badName(name string) *BadEventError {
	return bad(name, "is no attribute name; names are lower-case letters and digits")
}

func badVersion(version string) *BadEventError {
	return bad("specversion", "%q is not supported; this server reads CloudEvents %s", version, cloudevents.VersionV1)
}

func missing(name string) *BadEventError {
	return bad(name, "is missing; every CloudEvent has specversion, id, source and type")
}
