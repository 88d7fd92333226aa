package ingress

import (
	"bytes"
	"context"
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
