package docs

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

// generated begins every page, so that nobody edits it.
const generated = "<!-- Made by \"make generate\" from docs/src and the code; edit those. -->\n\n"

// table is a Markdown table.
type table struct {
	head []string
	rows [][]string
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

// String is the table with its line breaks and bars made safe.
func (t *table) String() string {
	var out strings.Builder
	line := func(cells []string) {
		for _, cell := range cells {
			cell = strings.ReplaceAll(cell, "\n", " ")
			cell = strings.ReplaceAll(strings.ReplaceAll(cell, `\|`, "|"), "|", `\|`)
			if cell == "" {
				out.WriteString("| ")
				continue
			}
			out.WriteString("| " + cell + " ")
		}
		out.WriteString("|\n")
	}
	line(t.head)
	out.WriteString(strings.Repeat("|---", len(t.head)) + "|\n")
	for _, row := range t.rows {
		line(row)
	}
	return out.String()
}

// prose reads a file of docs/src, without a heading of its own and without blank
// lines around it. A file that is not there is empty: the tests say which are missing.
func prose(src fs.FS, name string) (string, error) {
	data, err := fs.ReadFile(src, name)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read the prose: %w", err)
	}
	text := strings.TrimSpace(string(data))
	if first, rest, _ := strings.Cut(text, "\n"); strings.HasPrefix(first, "#") && !strings.HasSuffix(name, "_general.md") {
		text = strings.TrimSpace(rest)
	}
	if text == "" {
		return "", nil
	}
	return text + "\n", nil
}
