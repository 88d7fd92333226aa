package stream

import (
	"encoding/hex"
	"fmt"
	"strings"
	"unicode"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/cloudevents/sdk-go/v2/types"
	"github.com/nats-io/nats.go"
)

const (
	headerPrefix      = "ce-"
	headerContentType = "content-type"
)

// Encode writes an event in the binary content mode of the CloudEvents NATS
// protocol binding: attributes as ce- headers, percent-encoded where they are not
// printable ASCII, data as the payload. Headers that NATS itself gives a meaning
// to cannot be produced: an attribute name is lower-case letters and digits only.
func Encode(subject string, e cloudevents.Event) (*nats.Msg, error) {
	if err := e.Validate(); err != nil {
		return nil, fmt.Errorf("event %q is not a valid CloudEvent: %w", e.ID(), err)
	}
	msg := nats.NewMsg(subject)
	msg.Data = e.Data()
	set := func(name, value string) {
		if value != "" {
			msg.Header[headerPrefix+name] = []string{Escape(value)}
		}
	}
	set("specversion", e.SpecVersion())
	set("id", e.ID())
	set("source", e.Source())
	set("type", e.Type())
	set("subject", e.Subject())
	set("dataschema", e.DataSchema())
	if !e.Time().IsZero() {
		set("time", types.FormatTime(e.Time()))
	}
	for name, value := range e.Extensions() {
		text, err := types.Format(value)
		if err != nil {
			return nil, fmt.Errorf("event %q: extension %s: %w", e.ID(), name, err)
		}
		// An extension may be empty, which is not the same as none.
		msg.Header[headerPrefix+name] = []string{Escape(text)}
	}
	if strings.ContainsFunc(e.DataContentType(), unicode.IsControl) {
		return nil, fmt.Errorf("event %q: datacontenttype has a control character", e.ID()) // it is not encoded
	}
	if e.DataContentType() != "" {
		msg.Header[headerContentType] = []string{e.DataContentType()}
	}
	return msg, nil
}

// Decode reads what Encode wrote. Headers that are not CloudEvents attributes
// are left aside.
func Decode(h nats.Header, data []byte) (cloudevents.Event, error) {
	// The SDK's event of a version that it does not know panics when it is filled.
	version := Unescape(first(h, headerPrefix+"specversion"))
	if version != cloudevents.VersionV1 {
		return cloudevents.NewEvent(), fmt.Errorf("message is not a valid CloudEvent: specversion is %q, want %s", version, cloudevents.VersionV1)
	}
	e := cloudevents.NewEvent(version)
	for name, values := range h {
		lower := strings.ToLower(name)
		attribute, ok := strings.CutPrefix(lower, headerPrefix)
		if !ok || len(values) == 0 {
			continue
		}
		if err := setAttribute(&e, attribute, Unescape(values[0])); err != nil {
			return e, fmt.Errorf("attribute %s: %w", attribute, err)
		}
	}
	if contentType := first(h, headerContentType); contentType != "" {
		e.SetDataContentType(contentType)
	}
	e.DataEncoded = data
	if err := e.Validate(); err != nil {
		return e, fmt.Errorf("message is not a valid CloudEvent: %w", err)
	}
	return e, nil
}

func setAttribute(e *cloudevents.Event, attribute, value string) error {
	switch attribute {
	case "specversion":
	case "id":
		e.SetID(value)
	case "source":
		e.SetSource(value)
	case "type":
		e.SetType(value)
	case "subject":
		e.SetSubject(value)
	case "dataschema":
		e.SetDataSchema(value)
	case "time":
		at, err := types.ParseTime(value)
		if err != nil {
			return fmt.Errorf("not a time: %w", err)
		}
		e.SetTime(at)
	default:
		e.SetExtension(attribute, value)
	}
	return nil
}

// Escape percent-encodes a header's value as the NATS and the HTTP protocol binding of
// CloudEvents say, so space, double quote, percent sign and everything that is not
// printable ASCII. Without it the client of NATS would trim spaces at the ends and turn
// line breaks into spaces, so that two different events could look the same. Unescape
// undoes it.
func Escape(value string) string {
	const digits = "0123456789ABCDEF"
	plain := func(c byte) bool { return c > ' ' && c < 0x7f && c != '"' && c != '%' }
	var out strings.Builder
	for i := range len(value) {
		if c := value[i]; plain(c) {
			out.WriteByte(c)
		} else {
			out.WriteByte('%')
			out.WriteByte(digits[c>>4])
			out.WriteByte(digits[c&0xf])
		}
	}
	return out.String()
}

// Unescape undoes the percent-encoding of a header's value, which the NATS and the
// HTTP protocol binding of CloudEvents have in common. A percent sign that starts
// no escape stands for itself.
func Unescape(value string) string {
	if !strings.Contains(value, "%") {
		return value
	}
	var out strings.Builder
	for i := 0; i < len(value); i++ {
		if value[i] == '%' && i+2 < len(value) {
			if octet, err := hex.DecodeString(value[i+1 : i+3]); err == nil {
				out.Write(octet)
				i += 2
				continue
			}
		}
		out.WriteByte(value[i])
	}
	return out.String()
}

func first(h nats.Header, name string) string {
	for key, values := range h {
		if strings.EqualFold(key, name) && len(values) > 0 {
			return values[0]
		}
	}
	return ""
}
