package output

import (
	"strings"
	"unicode/utf8"
)

// excerptLine is how much of a line an error message gets, in bytes. TailLines
// of them fit into event.MessageLimit.
const excerptLine = 300

// Excerpt joins lines for an error message, each cut to a bounded length. Secret
// values must have been replaced before.
func Excerpt(lines []string) string {
	short := make([]string, len(lines))
	for i, line := range lines {
		if len(line) > excerptLine {
			cut := excerptLine
			for cut > 0 && !utf8.RuneStart(line[cut]) {
				cut--
			}
			line = line[:cut] + "…"
		}
		short[i] = line
	}
	return strings.Join(short, "\n")
}
