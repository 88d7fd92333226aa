package output

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// Marker opens a phase output. What follows it up to the end of the line is one
// JSON object.
const Marker = "###Phase-output###:"

// ErrKey is returned for a key that a template could not name.
var ErrKey = errors.New("output key must be letters, digits and underscores, and not empty")

// message is the JSON object after the marker.
type message struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// Format returns the line, with its newline, that publishes a value. A program
// writes it in one call, so that it is not mixed with another's output.
func Format(key, value string) (string, error) {
	if err := CheckKey(key); err != nil {
		return "", err
	}
	text, err := json.Marshal(message{Key: key, Value: value})
	if err != nil {
		return "", fmt.Errorf("encode output %q: %w", key, err)
	}
	return Marker + " " + string(text) + "\n", nil
}

// CheckKey returns ErrKey unless a template can name the key, as in
// {{ .Phases.backup.Output.key }}. Only the writer checks: the parser takes what
// older writers let through.
func CheckKey(key string) error {
	bad := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_'
	}
	if key == "" || strings.ContainsFunc(key, bad) {
		return fmt.Errorf("%w: %q", ErrKey, key)
	}
	return nil
}
