package stream_test

import (
	"bytes"
	"maps"
	"strings"
	"testing"
	"unicode"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/nats-io/nats.go"

	"github.com/salvor-io/salvor/internal/stream"
)

// FuzzDecode: no headers bring the process down, and what can be read comes back
// the same after it was written again.
func FuzzDecode(f *testing.F) {
	for _, header := range []string{
		"ce-specversion: 1.0\nce-id: 1\nce-source: /a\nce-type: t",
		"ce-specversion: 1.0\nce-id: %41%zz%\nce-source: /a\nce-type: t\nce-time: 2026-01-02T03:04:05.6Z\ncontent-type: application/json",
		"CE-Specversion: 0.3\nce-id: 1\nce-source: /a\nce-type: t\nce-ext: x y",
		"ce-specversion: 9\nce-: x\nce-A-B: y\nNats-Rollup: all",
		"ce-specversion: 1.0\nce-id: %0D%0ANats-Rollup: all\nce-source: %E6%97%A5\nce-type: t\nce-dataschema: ://\nce-datacontenttype: x",
		"ce-specversion: 1.0\nce-id: 1\nce-source: /a\nce-type: t\nce-data: x\nce-time: %20",
	} {
		f.Add(header, []byte(`{"a":1}`))
	}
	f.Fuzz(func(t *testing.T, text string, data []byte) {
		header := nats.Header{}
		for line := range strings.Lines(text) {
			name, value, _ := strings.Cut(strings.TrimRight(line, "\r\n"), ": ")
			header[name] = append(header[name], value)
		}
		e, err := stream.Decode(header, data)
		if err != nil {
			return
		}
		same(t, e)
	})
}

// FuzzRoundTrip: an event that can be written has only headers of its own, each
// on one line, and comes back as it was.
func FuzzRoundTrip(f *testing.F) {
	f.Add("1", "/a", "t", "s", "ext", "value", "application/json", []byte("{}"))
	f.Add(" % \"\r\n", "urn:x", "t.日本", "\x00", "rollup", "a\r\nNats-Rollup: all", "text/plain; a=\"b c\"", []byte{0, 255})
	f.Add("1", "/a", "t", "", "traceparent", "", "application/json; x=\"\x01\"", []byte(nil))
	f.Fuzz(func(t *testing.T, id, source, typ, subject, name, value, contentType string, data []byte) {
		e := cloudevents.NewEvent()
		e.SetID(id)
		e.SetSource(source)
		e.SetType(typ)
		e.SetSubject(subject)
		e.SetDataContentType(contentType)
		e.SetExtension(name, value)
		e.DataEncoded = data
		same(t, e)
	})
}

// same writes an event and reads it again.
func same(t *testing.T, e cloudevents.Event) {
	t.Helper()
	msg, err := stream.Encode("salvor.events._.t", e)
	if err != nil {
		return
	}
	for name, values := range msg.Header {
		if name != "content-type" && !strings.HasPrefix(name, "ce-") {
			t.Fatalf("header %q", name)
		}
		if len(values) != 1 || strings.ContainsFunc(name+values[0], unicode.IsControl) {
			t.Fatalf("header %q has the value %q", name, values)
		}
	}
	got, err := stream.Decode(msg.Header, msg.Data)
	if err != nil {
		t.Fatalf("%v\nwas written and cannot be read: %v", msg.Header, err)
	}
	if got.ID() != e.ID() || got.Source() != e.Source() || got.Type() != e.Type() || got.Subject() != e.Subject() ||
		got.DataSchema() != e.DataSchema() || got.DataContentType() != e.DataContentType() || !got.Time().Equal(e.Time()) {
		t.Fatalf("%v became %v", e, got)
	}
	if !bytes.Equal(got.Data(), e.Data()) {
		t.Fatalf("data %q became %q", e.Data(), got.Data())
	}
	before := e.Extensions()
	maps.DeleteFunc(before, func(_ string, v any) bool { return v == "" }) // absent and empty are one
	if !maps.Equal(before, got.Extensions()) {
		t.Fatalf("extensions %v became %v", before, got.Extensions())
	}
}
