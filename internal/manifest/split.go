package manifest

import (
	"bytes"
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
