package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	yaml "go.yaml.in/yaml/v3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	sigsyaml "sigs.k8s.io/yaml"
)

// Position is a place in a file, both from 1 on.
type Position struct{ Line, Column int }

// Mistake is something that keeps a document from being read.
type Mistake struct {
	Position
	Message, Hint string
}

// Document is one document of a file.
type Document struct {
	// Type is its apiVersion and kind.
	Type metav1.TypeMeta
	// JSON is the document as the API server would be sent it; nil when it cannot be
	// read.
	JSON []byte
	// Mistakes are what is wrong with its YAML.
	Mistakes []Mistake

	source []string
	line   int
	root   *yaml.Node
}

// Read reads all documents of a file.
func Read(text []byte) []*Document {
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	var documents []*Document
	for _, p := range split(text) {
		d := &Document{source: strings.Split(string(p.text), "\n"), line: p.line}
		d.read(p.text)
		documents = append(documents, d)
	}
	return documents
}

func (d *Document) read(text []byte) {
	if json.Valid(text) {
		// Tabs may stand between the parts of JSON, which YAML does not take.
		text = bytes.ReplaceAll(text, []byte("\t"), []byte(" "))
	}
	node := &yaml.Node{}
	if err := yaml.Unmarshal(text, node); err != nil {
		d.Mistakes = append(d.Mistakes, d.syntax(err))
		return
	}
	if node.Kind == yaml.DocumentNode && len(node.Content) > 0 {
		d.root = node.Content[0]
	}
	d.duplicates(d.root, map[*yaml.Node]bool{})
	converted, err := sigsyaml.YAMLToJSON(text)
	if err != nil {
		if len(d.Mistakes) == 0 {
			d.Mistakes = append(d.Mistakes, d.syntax(err))
		}
		return
	}
	d.JSON = converted
	// A wrong type here is found when the fields are checked.
	_ = json.Unmarshal(converted, &d.Type)
}

var (
	errorLine = regexp.MustCompile(`line (\d+): `)
	leadin    = regexp.MustCompile(`^(error converting YAML to JSON: )?(yaml: )?(unmarshal errors:\s*)?(line \d+: )?`)
)

const hintQuotes = "put quotes around the template, or write it as a block (|)"

// syntax turns an error of the parser, which has a line at best, into a mistake.
func (d *Document) syntax(err error) Mistake {
	m := Mistake{Position: Position{Line: 1, Column: 1}, Message: leadin.ReplaceAllString(err.Error(), "")}
	if match := errorLine.FindStringSubmatch(err.Error()); match != nil {
		if line, err := strconv.Atoi(match[1]); err == nil {
			m.Line = min(max(line, 1), len(d.source))
		}
	}
	// The parser often is a line late or early with tabs.
	for _, line := range []int{m.Line, m.Line - 1, m.Line + 1} {
		if line < 1 || line > len(d.source) {
			continue
		}
		row := d.source[line-1]
		blanks := row[:len(row)-len(strings.TrimLeft(row, " \t"))]
		if i := strings.IndexByte(blanks, '\t'); i >= 0 {
			m.Position = d.position(line, i+1)
			m.Message, m.Hint = "a tab indents this line, and YAML takes spaces only", "replace it by spaces"
			return m
		}
	}
	row := d.source[m.Line-1]
	m.Position = d.position(m.Line, len(row)-len(strings.TrimLeft(row, " "))+1)
	m.Message = "cannot be read as YAML: " + m.Message
	m.Hint = "correct the YAML here or just before"
	if strings.Contains(row, "{{") {
		m.Hint = hintQuotes
	}
	return m
}

// duplicates finds keys that stand twice in one map.
func (d *Document) duplicates(n *yaml.Node, seen map[*yaml.Node]bool) {
	if n == nil || seen[n] {
		return
	}
	seen[n] = true
	if n.Kind == yaml.MappingNode {
		first := map[string]*yaml.Node{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := n.Content[i]
			if key.Kind == yaml.MappingNode {
				d.Mistakes = append(d.Mistakes, Mistake{
					Position: d.position(n.Line, n.Column),
					Message:  "a value that begins with {{ is a map to YAML", Hint: hintQuotes,
				})
			}
			if key.Kind != yaml.ScalarNode || key.Tag == "!!merge" {
				continue
			}
			if other, ok := first[key.Value]; ok {
				d.Mistakes = append(d.Mistakes, Mistake{
					Position: d.position(key.Line, key.Column),
					Message:  fmt.Sprintf("the key %q stands in line %d already", key.Value, other.Line+d.line),
					Hint:     "remove one of them",
				})
				continue
			}
			first[key.Value] = key
		}
	}
	for _, child := range n.Content {
		d.duplicates(child, seen)
	}
}

func (d *Document) position(line, column int) Position {
	return Position{Line: line + d.line, Column: max(column, 1)}
}

// Start is where the document begins.
func (d *Document) Start() Position {
	if d.root == nil {
		return d.position(1, 1)
	}
	return d.position(d.root.Line, d.root.Column)
}

// errEmpty is for documents that hold nothing.
var errEmpty = errors.New("holds nothing")

// Items returns the documents in a List, and the document itself if it is none.
func (d *Document) Items() ([]*Document, error) {
	if d.Type.Kind != "List" || d.Type.APIVersion != "v1" {
		return []*Document{d}, nil
	}
	var list struct {
		Items []json.RawMessage `json:"items"`
	}
	if err := json.Unmarshal(d.JSON, &list); err != nil {
		return nil, fmt.Errorf("items: %w", err)
	}
	if len(list.Items) == 0 {
		return nil, errEmpty
	}
	documents := make([]*Document, 0, len(list.Items))
	for i, item := range list.Items {
		found := d.find([]any{"items", i})
		part := &Document{JSON: item, source: d.source, line: d.line, root: found.value}
		_ = json.Unmarshal(item, &part.Type) // as above
		documents = append(documents, part)
	}
	return documents, nil
}
