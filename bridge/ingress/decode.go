package ingress

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/cloudevents/sdk-go/v2/binding"
	ceevent "github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/cloudevents/sdk-go/v2/types"

	"github.com/salvor-io/salvor/internal/stream"
)

// BadEventError says what is wrong with a request's events.
type BadEventError struct {
	// Attribute at fault; empty when it is the body as a whole.
	Attribute string
	// Index of the event in a batch; -1 outside a batch.
	Index int
	// Problem in words.
	Problem string
}

// Error names the event, the attribute and the problem.
func (e *BadEventError) Error() string {
	text := e.Problem
	if e.Attribute != "" {
		text = e.Attribute + ": " + text
	}
	if e.Index >= 0 {
		text = fmt.Sprintf("event %d of the batch: %s", e.Index, text)
	}
	return text
}

// errMediaType: a CloudEvents format that is not JSON.
var errMediaType = errors.New("this server reads CloudEvents as application/cloudevents+json (structured), " +
	"application/cloudevents-batch+json (batch) or in binary mode (ce- headers)")

func bad(attribute, format string, args ...any) *BadEventError {
	return &BadEventError{Attribute: attribute, Index: -1, Problem: fmt.Sprintf(format, args...)}
}

// decode reads the events of a request in any of the three content modes. All
// events it returns are valid. The error is a *BadEventError or errMediaType.
func decode(ctx context.Context, header http.Header, body []byte) (events []cloudevents.Event, err error) {
	// The SDK's decoder indexes what it has not measured; what is checked before
	// keeps known cases away from it, and a case that is not known yet is a bad
	// event too.
	defer func() {
		if r := recover(); r != nil {
			events, err = nil, bad("", "the event cannot be read")
		}
	}()
	mediaType, _, err := mime.ParseMediaType(header.Get("Content-Type"))
	if err != nil {
		mediaType = strings.ToLower(strings.TrimSpace(header.Get("Content-Type")))
	}
	switch {
	case mediaType == cloudevents.ApplicationCloudEventsJSON:
		e, err := decodeJSON(body)
		if err != nil {
			return nil, err
		}
		return []cloudevents.Event{e}, nil
	case mediaType == cloudevents.ApplicationCloudEventsBatchJSON:
		return decodeBatch(body)
	case strings.HasPrefix(mediaType, "application/cloudevents"):
		return nil, errMediaType
	}
	e, err := decodeBinary(ctx, header, body)
	if err != nil {
		return nil, err
	}
	return []cloudevents.Event{e}, nil
}

func decodeBatch(body []byte) ([]cloudevents.Event, error) {
	var members []json.RawMessage
	if err := json.Unmarshal(body, &members); err != nil || members == nil {
		return nil, bad("", "the body is not a JSON array of events")
	}
	events := make([]cloudevents.Event, 0, len(members))
	for i, member := range members {
		e, err := decodeJSON(member)
		if err != nil {
			if problem, ok := errors.AsType[*BadEventError](err); ok {
				problem.Index = i
			}
			return nil, err
		}
		events = append(events, e)
	}
	return events, nil
}

func decodeJSON(body []byte) (cloudevents.Event, error) {
	clean, err := checkMembers(body)
	if err != nil {
		return cloudevents.Event{}, err
	}
	var e cloudevents.Event
	if err := json.Unmarshal(clean, &e); err != nil {
		return e, fromSDK(err)
	}
	// The SDK's data may share memory with its decoder's buffer.
	e.DataEncoded = bytes.Clone(e.DataEncoded)
	if err := check(&e); err != nil {
		return e, err
	}
	return e, nil
}

// checkMembers looks at the JSON members one by one and returns the body without
// those that are null, which means absent.
func checkMembers(body []byte) ([]byte, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(body, &members); err != nil || members == nil {
		return nil, bad("", "the body is not a JSON object with a CloudEvent in it")
	}
	nulls := false
	for name, value := range members {
		if string(value) == "null" {
			delete(members, name)
			nulls = true
			continue
		}
		if err := checkMember(name, value); err != nil {
			return nil, err
		}
	}
	for _, name := range []string{"specversion", "id", "source", "type"} {
		if _, ok := members[name]; !ok {
			return nil, missing(name)
		}
	}
	if members["data"] != nil && members["data_base64"] != nil {
		return nil, bad("data_base64", "is given together with data; give one of them")
	}
	if !nulls {
		return body, nil
	}
	clean, err := json.Marshal(members)
	if err != nil {
		return nil, bad("", "the event cannot be read: %v", err)
	}
	return clean, nil
}

func checkMember(name string, value json.RawMessage) error {
	switch name {
	case "data":
		return nil
	case "data_base64", "specversion", "id", "source", "type", "subject", "time", "datacontenttype", "dataschema":
		var text string
		if json.Unmarshal(value, &text) != nil {
			return bad(name, "is not a string")
		}
		if name == "data_base64" {
			if _, err := base64.StdEncoding.DecodeString(text); err != nil {
				return bad(name, "is not base64")
			}
		}
		return checkTime(name, text)
	}
	if !validName(name) {
		return badName(name)
	}
	var (
		text    string
		number  int32
		boolean bool
	)
	if json.Unmarshal(value, &text) != nil && json.Unmarshal(value, &number) != nil && json.Unmarshal(value, &boolean) != nil {
		return bad(name, "is not a string, a boolean or an integer of 32 bits; nothing else may be an extension attribute")
	}
	return nil
}

// checkTime names the attribute, which the SDK's decoder does not.
func checkTime(name, value string) error {
	if name != "time" {
		return nil
	}
	if _, err := types.ParseTime(value); err != nil {
		return bad(name, "%q is not a time such as 2026-01-02T03:04:05Z", value)
	}
	return nil
}

const headerPrefix = "Ce-"

func decodeBinary(ctx context.Context, header http.Header, body []byte) (cloudevents.Event, error) {
	attributes := http.Header{}
	for key, values := range header {
		name, ok := strings.CutPrefix(key, headerPrefix)
		if !ok {
			continue
		}
		name = strings.ToLower(name)
		switch {
		case !validName(name):
			return cloudevents.Event{}, badName(name)
		case len(values) != 1:
			return cloudevents.Event{}, bad(name, "the header %s is given %d times", strings.ToLower(key), len(values))
		}
		value := stream.Unescape(values[0]) // some senders do not encode
		if err := checkTime(name, value); err != nil {
			return cloudevents.Event{}, err
		}
		attributes[key] = []string{value}
	}
	if len(attributes) == 0 {
		return cloudevents.Event{}, bad("", "this is not a CloudEvent: it has neither ce- headers (binary mode) "+
			"nor the Content-Type application/cloudevents+json (structured mode)")
	}
	for _, name := range []string{"Specversion", "Id", "Source", "Type"} {
		if attributes.Get(headerPrefix+name) == "" {
			return cloudevents.Event{}, missing(strings.ToLower(name))
		}
	}
	if version := attributes.Get(headerPrefix + "Specversion"); version != cloudevents.VersionV1 {
		return cloudevents.Event{}, badVersion(version)
	}
	if contentType := header.Get(cehttp.ContentType); contentType != "" {
		attributes.Set(cehttp.ContentType, contentType)
	}
	message := cehttp.NewMessage(attributes, io.NopCloser(bytes.NewReader(body)))
	e, err := binding.ToEvent(ctx, message)
	if err != nil {
		return cloudevents.Event{}, fromSDK(err)
	}
	return *e, check(e)
}

// fromSDK names the attribute where the SDK's error knows it.
func fromSDK(err error) *BadEventError {
	if fields, ok := errors.AsType[ceevent.ValidationError](err); ok {
		for attribute, problem := range fields {
			return bad(attribute, "%v", problem)
		}
	}
	return bad("", "the event cannot be read: %v", err)
}
