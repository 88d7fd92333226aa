package ingress

import (
	"bytes"
	"encoding/json"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"

	"github.com/cloudevents/sdk-go/v2/types"
)

// timestamp is RFC 3339 to the letter; Go's parser takes a little more.
var timestamp = regexp.MustCompile(`^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)$`)

// uriCharacters may stand in a URI-reference. Of others the SDK would encode some,
// so that the source of an event were not the one its sender knows.
var uriCharacters = regexp.MustCompile(`^(?:[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=]|%[0-9A-Fa-f]{2})+$`)

// normalSource is a source as it is stored: the SDK writes some URIs in another way,
// such as the scheme in lower case.
func normalSource(source string) string {
	if u := types.ParseURIRef(source); u != nil {
		return u.String()
	}
	return source
}

// checkValue is what an attribute of the specification must satisfy in any content
// mode. The SDK checks less, and does not always name the attribute.
func checkValue(name, value string) error {
	switch name {
	case "specversion", "id", "source", "type", "subject", "time", "datacontenttype", "dataschema":
	default:
		return nil
	}
	if value == "" {
		return bad(name, "is empty; give a non-empty value, or leave the attribute out")
	}
	if strings.TrimSpace(value) != value {
		return badSpace(name)
	}
	switch name {
	case "time":
		if !timestamp.MatchString(value) {
			return badTime(value)
		}
		if _, err := types.ParseTime(strings.ToUpper(value)); err != nil {
			return badTime(value)
		}
	case "source":
		if _, err := url.Parse(value); err != nil || !uriCharacters.MatchString(value) {
			return bad(name, "is no URI-reference by RFC 3986; percent-encode what is not allowed in one")
		}
	case "dataschema":
		if u, err := url.Parse(value); err != nil || !u.IsAbs() || !uriCharacters.MatchString(value) {
			return bad(name, "is no absolute URI by RFC 3986")
		}
	}
	return nil
}

func badSpace(name string) *BadEventError { return bad(name, "begins or ends with white space") }

func badTime(value string) error {
	return bad("time", "%q is not a time such as %s", value, time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).Format(time.RFC3339))
}

// membersOf returns the members of a JSON object. One that is there twice is a
// fault, because readers differ in which of the two they take.
func membersOf(body []byte) (map[string]json.RawMessage, error) {
	broken := bad("", "the body is not a JSON object with a CloudEvent in it")
	decoder := json.NewDecoder(bytes.NewReader(body))
	if start, err := decoder.Token(); err != nil || start != json.Delim('{') {
		return nil, broken
	}
	members := map[string]json.RawMessage{}
	for decoder.More() {
		token, err := decoder.Token()
		name, ok := token.(string)
		if err != nil || !ok {
			return nil, broken
		}
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return nil, broken
		}
		if _, twice := members[name]; twice {
			return nil, bad(name, "is given twice")
		}
		members[name] = value
	}
	if _, err := decoder.Token(); err != nil || decoder.More() || len(bytes.TrimSpace(body[decoder.InputOffset():])) > 0 {
		return nil, broken
	}
	return members, nil
}

// checkSurrogates refuses a JSON string with half of a surrogate pair, which is no
// character; the decoder would put another in its place and say nothing.
func checkSurrogates(name string, text json.RawMessage) error {
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' {
			continue
		}
		i++
		first, ok := escapedUnit(text, i)
		if !ok || !utf16.IsSurrogate(first) {
			continue
		}
		i += unitLen
		second, ok := escapedUnit(text, i+1)
		if !ok || i >= len(text) || text[i] != '\\' || utf16.DecodeRune(first, second) == '\ufffd' {
			return bad(name, "has half of a surrogate pair, which is no character")
		}
		i += unitLen
	}
	return nil
}

// unitLen is the length of uXXXX.
const unitLen = 5

// escapedUnit reads uXXXX.
func escapedUnit(text []byte, at int) (rune, bool) {
	if at+unitLen > len(text) || text[at] != 'u' {
		return 0, false
	}
	var unit rune
	for _, c := range text[at+1 : at+unitLen] {
		digit, err := strconv.ParseUint(string(rune(c)), 16, 4)
		if err != nil {
			return 0, false
		}
		unit = unit<<4 | rune(digit)
	}
	return unit, true
}

// unquote takes the double quotes off a header's value, as the HTTP binding asks a
// receiver to.
func unquote(value string) string {
	if len(value) < 2 || value[0] != '"' || value[len(value)-1] != '"' {
		return value
	}
	var out strings.Builder
	inside := value[1 : len(value)-1]
	for i := 0; i < len(inside); i++ {
		if inside[i] == '\\' && i+1 < len(inside) {
			i++
		}
		out.WriteByte(inside[i])
	}
	return out.String()
}
