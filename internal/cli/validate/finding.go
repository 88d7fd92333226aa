package validate

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"

	"github.com/salvor-io/salvor/internal/blueprint"
	"github.com/salvor-io/salvor/internal/manifest"
)

// finding is one thing that was found, as --output json prints it.
type finding struct {
	// File is empty for what is in the cluster.
	File   string `json:"file,omitempty"`
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
	// Severity is error or warning.
	Severity  string `json:"severity"`
	Kind      string `json:"kind,omitempty"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name,omitempty"`
	// Field is the place in the object.
	Field   string `json:"field,omitempty"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

func (f *finding) where() string {
	switch {
	case f.File == "" && f.Namespace == "":
		return f.Kind + " " + f.Name
	case f.File == "":
		return f.Kind + " " + f.Namespace + "/" + f.Name
	}
	return fmt.Sprintf("%s:%d:%d", f.File, f.Line, f.Column)
}

// line is the finding as a compiler prints it.
func (f *finding) text() string {
	text := fmt.Sprintf("%s: %s: ", f.where(), f.Severity)
	if f.Field != "" {
		text += f.Field + ": "
	}
	text += f.Message
	if f.Hint != "" {
		text += " (" + f.Hint + ")"
	}
	return text
}

// report collects what is found in all objects.
type report struct {
	objects  []*object
	findings []finding
}

// add notes a problem of an object, where it stands.
func (r *report) add(o *object, p blueprint.Problem) {
	f := finding{
		File: o.file, Severity: p.Severity.String(), Kind: o.kind, Namespace: o.namespace, Name: o.name,
		Field: p.Field, Message: p.Message, Hint: p.Hint,
	}
	if o.document != nil {
		at := o.document.Position(manifest.Place{Path: p.Path, Key: p.Key, Line: p.Line, Column: p.Column})
		f.Line, f.Column = at.Line, at.Column
	}
	r.findings = append(r.findings, f)
	o.findings++
}

// mistake notes something that is wrong with a file.
func (r *report) mistake(file string, at manifest.Position, message, hint string) {
	r.findings = append(r.findings, finding{
		File: file, Line: at.Line, Column: at.Column, Severity: blueprint.SeverityError.String(), Message: message, Hint: hint,
	})
}

func (r *report) count(severity blueprint.Severity) int {
	n := 0
	for i := range r.findings {
		if r.findings[i].Severity == severity.String() {
			n++
		}
	}
	return n
}

// sorted puts what is found into the order of the files as they were given, and of
// their lines.
func (r *report) sorted() []finding {
	order := map[string]int{}
	for i := range r.findings {
		if _, ok := order[r.findings[i].File]; !ok {
			order[r.findings[i].File] = len(order)
		}
	}
	slices.SortStableFunc(r.findings, func(a, b finding) int {
		return cmp.Or(cmp.Compare(order[a.File], order[b.File]), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return r.findings
}

// shown is an object that was looked at, as --output json prints it.
type shown struct {
	File      string `json:"file,omitempty"`
	Line      int    `json:"line,omitempty"`
	Kind      string `json:"kind"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
}

func (r *report) writeJSON(w io.Writer) error {
	out := struct {
		Objects  []shown   `json:"objects"`
		Findings []finding `json:"findings"`
		Errors   int       `json:"errors"`
		Warnings int       `json:"warnings"`
	}{[]shown{}, []finding{}, r.count(blueprint.SeverityError), r.count(blueprint.SeverityWarning)}
	for _, o := range r.objects {
		s := shown{File: o.file, Kind: o.kind, Namespace: o.namespace, Name: o.name}
		if o.document != nil {
			s.Line = o.document.Start().Line
		}
		out.Objects = append(out.Objects, s)
	}
	out.Findings = append(out.Findings, r.sorted()...)
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(out); err != nil {
		return fmt.Errorf("print the findings: %w", err)
	}
	return nil
}

// summary is nil when there is no error.
func (r *report) summary() error {
	errs, warnings := r.count(blueprint.SeverityError), r.count(blueprint.SeverityWarning)
	switch {
	case errs == 0:
		return nil
	case warnings == 0:
		return fmt.Errorf("%s found", plural(errs, "error"))
	}
	return fmt.Errorf("%s and %s found", plural(errs, "error"), plural(warnings, "warning"))
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
