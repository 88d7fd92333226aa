package ingress

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"mime"
	"strings"
	"unicode/utf8"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/cloudevents/sdk-go/v2/types"
)

// decodeJSON reads an event in the JSON format. The SDK's decoder is not used: it
// takes data of a type such as application/vnd.example+json for text, lets the last
// of two members win, and fails on base64 with JSON escapes in it.
func decodeJSON(body []byte) (cloudevents.Event, error) {
	none := cloudevents.Event{}
	if !utf8.Valid(body) {
		return none, bad("", "the body is not UTF-8")
	}
	members, err := membersOf(body)
	if err != nil {
		return none, err
	}
	for name, value := range members {
		if string(value) == "null" {
			delete(members, name) // that is absent
		}
	}
	for _, name := range []string{"specversion", "id", "source", "type"} {
		if _, ok := members[name]; !ok {
			return none, missing(name)
		}
	}
	e := cloudevents.NewEvent()
	for name, value := range members {
		if name == "data" || name == "data_base64" {
			continue
		}
		if err := setMember(&e, name, value); err != nil {
			return none, err
		}
	}
	if err := setData(&e, members["data"], members["data_base64"]); err != nil {
		return none, err
	}
	if err := check(&e); err != nil {
		return none, err
	}
	return e, nil
}

func setMember(e *cloudevents.Event, name string, value json.RawMessage) error {
	text, isText := textOf(value)
	if isText {
		if err := checkSurrogates(name, value); err != nil {
			return err
		}
	}
	set := map[string]func(string){
		"id": e.SetID, "source": e.SetSource, "type": e.SetType, "subject": e.SetSubject,
		"dataschema": e.SetDataSchema, "datacontenttype": e.SetDataContentType,
	}[name]
	switch {
	case set == nil && name != "specversion" && name != "time":
		return setExtension(e, name, value)
	case !isText:
		return bad(name, "is not a string")
	}
	if err := checkValue(name, text); err != nil {
		return err
	}
	switch name {
	case "specversion":
		if text != cloudevents.VersionV1 {
			return badVersion(text)
		}
	case "time":
		at, err := types.ParseTime(strings.ToUpper(text)) // t and z are allowed, but not known to it
		if err != nil {
			return badTime(text)
		}
		e.SetTime(at)
	default:
		set(text)
	}
	return nil
}

func setExtension(e *cloudevents.Event, name string, value json.RawMessage) error {
	if !validName(name) {
		return badName(name)
	}
	var (
		number  int32
		boolean bool
	)
	text, ok := textOf(value)
	switch {
	case ok:
		e.SetExtension(name, text)
	case json.Unmarshal(value, &boolean) == nil:
		e.SetExtension(name, boolean)
	case json.Unmarshal(value, &number) == nil:
		e.SetExtension(name, number)
	default:
		return bad(name, "is not a string, a boolean or an integer of 32 bits; nothing else may be an extension attribute")
	}
	return nil
}

// setData takes data as the media type says: of JSON the value as it stands, of all
// else the text of a string.
func setData(e *cloudevents.Event, data, encoded json.RawMessage) error {
	switch {
	case data != nil && encoded != nil:
		return bad("data_base64", "is given together with data; give one of them")
	case encoded != nil:
		text, ok := textOf(encoded)
		if !ok {
			return bad("data_base64", "is not a string")
		}
		content, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return bad("data_base64", "is not base64")
		}
		e.DataEncoded, e.DataBase64 = content, true
	case data == nil:
	case isJSON(e.DataContentType()):
		if e.DataContentType() == "" {
			e.SetDataContentType(cloudevents.ApplicationJSON) // only this format implies it
		}
		e.DataEncoded = bytes.Clone(data)
	default:
		text, ok := textOf(data)
		if !ok {
			return bad("data", "is not a string, but datacontenttype %s is not JSON; give a string, data_base64, or another datacontenttype", e.DataContentType())
		}
		if err := checkSurrogates("data", data); err != nil {
			return err
		}
		e.DataEncoded = []byte(text)
	}
	return nil
}

// isJSON reports whether data of the media type is JSON; no type says that it is.
func isJSON(contentType string) bool {
	if contentType == "" {
		return true
	}
	mediaType, _, err := mime.ParseMediaType(contentType)
	_, subtype, _ := strings.Cut(mediaType, "/")
	return err == nil && (subtype == "json" || strings.HasSuffix(subtype, "+json"))
}

func textOf(value json.RawMessage) (string, bool) {
	var text string
	if len(value) == 0 || value[0] != '"' || json.Unmarshal(value, &text) != nil {
		return "", false
	}
	return text, true
}
