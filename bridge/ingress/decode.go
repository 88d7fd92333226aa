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
	"unicode/utf8"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/cloudevents/sdk-go/v2/binding"
	ceevent "github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"

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

// contentMode is how a message carries its events.
type contentMode int

const (
	modeBinary contentMode = iota
	modeStructured
	modeBatch
	// modeUnknown is a CloudEvents format other than JSON.
	modeUnknown
)

// modeOf reads the content mode off the media type, as the HTTP binding has it.
func modeOf(header http.Header) contentMode {
	mediaType, params, err := mime.ParseMediaType(header.Get(contentType))
	if err != nil {
		mediaType = strings.ToLower(strings.TrimSpace(header.Get(contentType)))
	}
	charset, known := params["charset"]
	known = known && !strings.EqualFold(charset, "utf-8") && !strings.EqualFold(charset, "us-ascii")
	switch {
	case !strings.HasPrefix(mediaType, "application/cloudevents"):
		return modeBinary
	case known:
		return modeUnknown
	case mediaType == cloudevents.ApplicationCloudEventsJSON:
		return modeStructured
	case mediaType == cloudevents.ApplicationCloudEventsBatchJSON:
		return modeBatch
	}
	return modeUnknown
}

// Decode reads the events of a message in any of the three content modes, by its
// headers and body; keys of the header are in their canonical form. All events it
// returns are valid, and can be stored unchanged. The error is a *RefusedError.
func Decode(ctx context.Context, header http.Header, body []byte) (events []cloudevents.Event, err error) {
	// The SDK's decoder indexes what it has not measured; what is checked before
	// keeps known cases away from it, and a case that is not known yet is a bad
	// event too.
	defer func() {
		if r := recover(); r != nil {
			err = bad("", "the event cannot be read")
		}
		if err != nil && !errors.Is(err, errMediaType) {
			events, err = nil, &RefusedError{Code: http.StatusBadRequest, Reason: reasonMalformed, Err: err}
		} else if err != nil {
			events, err = nil, &RefusedError{Code: http.StatusUnsupportedMediaType, Reason: reasonMediaType, Err: err}
		}
	}()
	if values := header.Values(contentType); len(values) > 1 {
		return nil, bad("", "the header content-type is given %d times", len(values))
	}
	var e cloudevents.Event
	switch modeOf(header) {
	case modeBatch:
		return decodeBatch(body)
	case modeUnknown:
		return nil, errMediaType
	case modeStructured:
		e, err = decodeJSON(body)
	case modeBinary:
		e, err = decodeBinary(ctx, header, body)
	}
	return []cloudevents.Event{e}, err
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
// those that are null, which means absent, and with the media type that is implied.
func checkMembers(body []byte) ([]byte, error) {
	if !utf8.Valid(body) {
		return nil, bad("", "the body is not UTF-8")
	}
	members, err := membersOf(body)
	if err != nil {
		return nil, err
	}
	changed := false
	for name, value := range members {
		if string(value) == "null" {
			delete(members, name)
			changed = true
			continue
		}
		if err := checkMember(name, value); err != nil {
			return nil, err
		}
		if name == "time" && !bytes.ContainsRune(value, '\\') {
			members[name] = bytes.ToUpper(value) // t and z are allowed, but not known to the SDK
			changed = changed || !bytes.Equal(members[name], value)
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
	if members["data"] != nil && members["datacontenttype"] == nil {
		// Without it data is JSON, which only this format implies.
		members["datacontenttype"] = json.RawMessage(`"` + cloudevents.ApplicationJSON + `"`)
		changed = true
	}
	if !changed {
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
			return nil
		}
		return errors.Join(checkSurrogates(name, value), checkValue(name, text))
	}
	if !validName(name) {
		return badName(name)
	}
	var (
		text    string
		number  int32
		boolean bool
	)
	if json.Unmarshal(value, &text) == nil {
		return checkSurrogates(name, value)
	}
	if json.Unmarshal(value, &number) != nil && json.Unmarshal(value, &boolean) != nil {
		return bad(name, "is not a string, a boolean or an integer of 32 bits; nothing else may be an extension attribute")
	}
	return nil
}

const (
	headerPrefix = "Ce-"
	contentType  = cehttp.ContentType
)

func decodeBinary(ctx context.Context, header http.Header, body []byte) (cloudevents.Event, error) {
	attributes := http.Header{}
	for key, values := range header {
		name, ok := strings.CutPrefix(key, headerPrefix)
		if !ok {
			continue
		}
		name = strings.ToLower(name)
		value, err := checkHeader(name, values)
		if err != nil {
			return cloudevents.Event{}, err
		}
		attributes[key] = []string{value}
	}
	if len(attributes) == 0 {
		return cloudevents.Event{}, bad("", "this is not a CloudEvent: it has neither ce- headers (binary mode) "+
			"nor the Content-Type application/cloudevents+json (structured mode)")
	}
	for _, name := range []string{"Specversion", "Id", "Source", "Type"} {
		if _, ok := attributes[headerPrefix+name]; !ok {
			return cloudevents.Event{}, missing(strings.ToLower(name))
		}
	}
	if version := attributes.Get(headerPrefix + "Specversion"); version != cloudevents.VersionV1 {
		return cloudevents.Event{}, badVersion(version)
	}
	if mediaType := header.Get(contentType); mediaType != "" {
		attributes.Set(contentType, mediaType)
	}
	message := cehttp.NewMessage(attributes, io.NopCloser(bytes.NewReader(body)))
	e, err := binding.ToEvent(ctx, message)
	if err != nil {
		return cloudevents.Event{}, fromSDK(err)
	}
	return *e, check(e)
}

// checkHeader returns the value of the attribute that a header carries.
func checkHeader(name string, values []string) (string, error) {
	switch {
	case name == "data":
		return "", bad(name, "is no attribute; the data is the body")
	case name == "datacontenttype":
		return "", bad(name, "is no header of its own; the header Content-Type says it")
	case !validName(name):
		return "", badName(name)
	case len(values) != 1:
		return "", bad(name, "the header ce-%s is given %d times", name, len(values))
	}
	raw := unquote(values[0])
	value := stream.Unescape(raw)
	if (name == "source" || name == "dataschema") && !uriCharacters.MatchString(value) && uriCharacters.MatchString(raw) {
		value = raw // the sender did not encode the percent signs of a URI
	}
	if err := checkValue(name, value); err != nil {
		return "", err
	}
	if name == "time" {
		value = strings.ToUpper(value) // t and z are allowed, but not known to the SDK
	}
	return value, nil
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
