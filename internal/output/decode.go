package output

import (
	"encoding/json"
	"errors"
	"fmt"
)

// decode reads the object after a marker. Its errors carry no part of the text:
// encoding/json's own would quote a number or a character of the value.
func decode(text []byte) (message, error) {
	const want = `want one JSON object {"key":"…","value":"…"} and nothing after it`
	var m message
	if text[0] != '{' {
		return m, errors.New(want)
	}
	err := json.Unmarshal(text, &m)
	var wrongType *json.UnmarshalTypeError
	var syntax *json.SyntaxError
	switch {
	case err == nil:
		return m, nil
	case errors.As(err, &wrongType) && wrongType.Field == "value":
		return m, fmt.Errorf(`key %q: "value" must be a string; put it in quotes`, m.Key)
	case errors.As(err, &wrongType):
		return m, fmt.Errorf(`field %q must be a string`, wrongType.Field)
	case errors.As(err, &syntax):
		return m, fmt.Errorf("the JSON is broken at byte %d: %s", syntax.Offset, want)
	default:
		return m, errors.New(want)
	}
}
