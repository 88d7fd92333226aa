package docs

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// Difference is one row of docs/compatibility.md.
type Difference struct {
	// File of docs/src/compatibility that it stands in.
	File string
	// Thing that is compared; Kanister's behaviour; how Salvor does; and why.
	Thing, Kanister, Salvor, Why string
}

// Verdict is the first word of what Salvor does: same, better or different.
func (d Difference) Verdict() string {
	word, _, _ := strings.Cut(strings.ToLower(strings.TrimLeft(d.Salvor, "*_ ")), " ")
	return strings.Trim(word, "*_.,:;()")
}

// tableHead are the columns of every table of differences.
func tableHead() []string { return []string{"", "Kanister 0.119", "Salvor", "why, and what it is"} }

// Compatibility is docs/compatibility.md: the general part, then a section for each
// file of docs/src/compatibility, in the order of the names. A file holds rows of four
// cells. A heading and prose may stand before them; without a heading the name is one.
func Compatibility(src fs.FS) (string, error) {
	general, err := prose(src, "compatibility/_general.md")
	if err != nil {
		return "", err
	}
	files, err := compatibilityFiles(src)
	if err != nil {
		return "", err
	}
	var out strings.Builder
	out.WriteString(generated + general)
	for _, file := range files {
		data, err := fs.ReadFile(src, file)
		if err != nil {
			return "", fmt.Errorf("read the differences: %w", err)
		}
		out.WriteString("\n" + differencesSection(file, string(data)))
	}
	return out.String(), nil
}

// Differences are all rows of docs/src/compatibility.
func Differences(src fs.FS) ([]Difference, error) {
	files, err := compatibilityFiles(src)
	if err != nil {
		return nil, err
	}
	var all []Difference
	for _, file := range files {
		data, err := fs.ReadFile(src, file)
		if err != nil {
			return nil, fmt.Errorf("read the differences: %w", err)
		}
		for line := range strings.Lines(string(data)) {
			cells := cells(line)
			if cells == nil || isHead(cells) {
				continue
			}
			if len(cells) < 3 {
				return nil, fmt.Errorf("%s: a row needs three or four cells, thing | Kanister | Salvor | why: %s", file, strings.TrimSpace(line))
			}
			d := Difference{File: file, Thing: cells[0], Kanister: cells[1], Salvor: cells[2]}
			if len(cells) > 3 {
				d.Why = strings.Join(cells[3:], " | ")
			}
			all = append(all, d)
		}
	}
	return all, nil
}

func compatibilityFiles(src fs.FS) ([]string, error) {
	files, err := fs.Glob(src, "compatibility/*.md")
	if err != nil {
		return nil, fmt.Errorf("list the differences: %w", err)
	}
	files = slices.DeleteFunc(files, func(file string) bool { return strings.HasPrefix(path.Base(file), "_") })
	slices.Sort(files)
	return files, nil
}

// differencesSection is a file with a heading of the second level and one head for
// each of its tables.
func differencesSection(file, text string) string {
	var out strings.Builder
	headed, inTable := false, false
	for line := range strings.Lines(strings.TrimSpace(text) + "\n") {
		cells := cells(line)
		switch {
		case cells != nil && isHead(cells):
			continue
		case cells != nil:
			if !headed {
				out.WriteString("## " + title(file) + "\n\n")
				headed = true
			}
			if !inTable {
				out.WriteString((&table{head: tableHead()}).String())
				inTable = true
			}
			for len(cells) < len(tableHead()) {
				cells = append(cells, "")
			}
			t := table{head: cells}
			row, _, _ := strings.Cut(t.String(), "\n")
			out.WriteString(row + "\n")
			continue
		case strings.HasPrefix(line, "#"):
			level := "## "
			if headed {
				level = "### "
			}
			line, headed = level+strings.TrimLeft(line, "# "), true
		}
		inTable = inTable && strings.TrimSpace(line) == ""
		out.WriteString(line)
	}
	return out.String()
}

// title is the heading of a file that has none: 20-kando.md is Kando.
func title(file string) string {
	name := strings.TrimSuffix(path.Base(file), ".md")
	name = strings.TrimPrefix(name, "compat-")
	name = strings.TrimLeft(name, "0123456789-")
	if name == "" {
		return "More"
	}
	return strings.ToUpper(name[:1]) + strings.ReplaceAll(name[1:], "-", " ")
}

// cells are those of a row, nil when the line is none. A bar behind a backslash is
// text, as in Markdown.
func cells(line string) []string {
	line = strings.TrimSpace(line)
	if !strings.HasPrefix(line, "|") || len(line) < 2 {
		return nil
	}
	const bar = "\x00"
	line = strings.ReplaceAll(line, `\|`, bar)
	line = strings.TrimSuffix(strings.TrimPrefix(line, "|"), "|")
	parts := strings.Split(line, "|")
	for i, part := range parts {
		parts[i] = strings.ReplaceAll(strings.TrimSpace(part), bar, "|")
	}
	return parts
}

// isHead reports whether the cells are a head or the line below one.
func isHead(cells []string) bool {
	if strings.Trim(strings.Join(cells, ""), ":- ") == "" {
		return true
	}
	return len(cells) > 2 && strings.HasPrefix(strings.ToLower(cells[1]), "kanister") && strings.HasPrefix(strings.ToLower(cells[2]), "salvor")
}
