package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
)

// part is one document of a file.
type part struct {
	text []byte
	// line counts the lines of the file before it.
	line int
}

// split cuts a file at the lines that begin with "---". Those cannot be part of a
// value: whatever is in a document is indented, or a key.
func split(text []byte) []part {
	var parts []part
	for _, p := range cut(text) {
		parts = append(parts, values(p)...)
	}
	return parts
}

// values cuts a document that holds several JSON values, one after the other, as
// kubectl does. YAML would know but the first.
func values(p part) []part {
	if rest := bytes.TrimSpace(p.text); len(rest) == 0 || rest[0] != '{' {
		return []part{p}
	}
	var parts []part
	decoder := json.NewDecoder(bytes.NewReader(p.text))
	for begin := 0; ; {
		var value json.RawMessage
		err := decoder.Decode(&value)
		if errors.Is(err, io.EOF) || len(parts) > 0 && !hasAny(p.text[begin:]) {
			return parts
		}
		if err != nil { // what begins no value of JSON is YAML, or a mistake
			return append(parts, part{text: p.text[begin:], line: p.line + bytes.Count(p.text[:begin], []byte("\n"))})
		}
		end := int(decoder.InputOffset())
		parts = append(parts, part{text: p.text[begin:end], line: p.line + bytes.Count(p.text[:begin], []byte("\n"))})
		begin = end
	}
}

// cut cuts at the markers.
func cut(text []byte) []part {
	var parts []part
	current := part{}
	line, content, begun := 0, false, false
	for row := range bytes.Lines(text) {
		if isMarker(row, "---") {
			if content {
				parts = append(parts, current)
			}
			// What stands before the first marker, directives, belongs to its document.
			if content || begun {
				current, content = part{line: line}, false
			}
			begun = true
		}
		current.text = append(current.text, row...)
		content = content || hasContent(row)
		line++
	}
	if content {
		parts = append(parts, current)
	}
	return parts
}

// hasAny reports whether a row of text has content.
func hasAny(text []byte) bool {
	for row := range bytes.Lines(text) {
		if hasContent(row) {
			return true
		}
	}
	return false
}

// isMarker reports whether a row begins with the marker and nothing goes on from it.
func isMarker(row []byte, marker string) bool {
	rest, ok := bytes.CutPrefix(row, []byte(marker))
	return ok && (len(rest) == 0 || rest[0] == ' ' || rest[0] == '\t' || rest[0] == '\n' || rest[0] == '\r')
}

// hasContent reports whether there is more in a row than a comment, a directive or a
// marker.
func hasContent(row []byte) bool {
	text := strings.TrimSpace(string(row))
	for _, marker := range []string{"---", "..."} {
		if isMarker(row, marker) {
			text = strings.TrimSpace(strings.TrimPrefix(text, marker))
		}
	}
	return text != "" && text[0] != '#' && row[0] != '%'
}
