package validate

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	kjson "sigs.k8s.io/json"

	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	salvor "github.com/salvor-io/salvor/api/salvor/v1alpha1"
	"github.com/salvor-io/salvor/internal/blueprint"
	"github.com/salvor-io/salvor/internal/manifest"
	"github.com/salvor-io/salvor/internal/nearest"
)

// object is one resource to look at: of a file, or of the cluster.
type object struct {
	kind, namespace, name string
	// file and document are where it stands; document is nil for the cluster's.
	file     string
	document *manifest.Document
	// value is a *kanister.Blueprint, *kanister.ActionSet, *kanister.Profile or
	// *salvor.ActionTrigger.
	value any
	// findings counts what was found in it.
	findings int
}

// The kinds that can be validated.
const (
	kindBlueprint = "Blueprint"
	kindActionSet = "ActionSet"
	kindProfile   = "Profile"
	kindTrigger   = "ActionTrigger"
)

func kinds() []string { return []string{kindActionSet, kindTrigger, kindBlueprint, kindProfile} }

// versionOf is the API version of a kind of ours.
func versionOf(kind string) schema.GroupVersion {
	if kind == kindTrigger {
		return salvor.GroupVersion
	}
	return kanister.GroupVersion
}

func newOf(kind string) any {
	switch kind {
	case kindBlueprint:
		return &kanister.Blueprint{}
	case kindActionSet:
		return &kanister.ActionSet{}
	case kindProfile:
		return &kanister.Profile{}
	}
	return &salvor.ActionTrigger{}
}

// load reads the objects of all files. What cannot be read is in the report.
func (r *report) load(files []source, want string) {
	for _, file := range files {
		for _, d := range manifest.Read(file.text) {
			for _, m := range d.Mistakes {
				r.mistake(file.name, m.Position, m.Message, m.Hint)
			}
			if d.JSON == nil {
				continue
			}
			items, err := d.Items()
			if err != nil {
				r.mistake(file.name, d.Start(), "the List "+err.Error(), "")
				continue
			}
			for _, item := range items {
				r.item(file, item, want)
			}
		}
	}
}

// item reads one object, if it is of a kind of ours.
func (r *report) item(file source, d *manifest.Document, want string) {
	kind, version := d.Type.Kind, d.Type.APIVersion
	group, _, _ := strings.Cut(version, "/")
	ours := slices.Contains(kinds(), kind)
	switch {
	case ours && version == versionOf(kind).String() && (want == "" || want == kind):
	case want != "":
		r.mistake(file.name, d.Position(manifest.Place{Path: []any{"kind"}}),
			fmt.Sprintf("holds apiVersion %q, kind %q; want %s, %s", version, kind, versionOf(want), want), "")
		return
	case ours && group == versionOf(kind).Group:
		r.mistake(file.name, d.Position(manifest.Place{Path: []any{"apiVersion"}}),
			fmt.Sprintf("apiVersion %s of kind %s is not known", version, kind), "write "+versionOf(kind).String())
		return
	case group == kanister.GroupVersion.Group || group == salvor.GroupVersion.Group:
		hint := "Salvor has " + strings.Join(kinds(), ", ")
		if near := nearest.Name(kind, kinds()); near != "" {
			hint = fmt.Sprintf("did you mean %s?", near)
		}
		r.mistake(file.name, d.Position(manifest.Place{Path: []any{"kind"}}), fmt.Sprintf("kind %s of %s is not known", kind, version), hint)
		return
	case kind == "" && !file.inFolder:
		r.mistake(file.name, d.Start(), "this document has no kind", "begin it with apiVersion and kind")
		return
	default:
		return // something else, which is not ours to judge
	}
	o := &object{kind: kind, file: file.name, document: d, value: newOf(kind)}
	r.objects = append(r.objects, o)
	r.decode(o)
}

// decode fills the object, and says which of its fields do not fit. An unknown field is
// an error if it looks like one that is known: a backup without the option that was
// meant is found out too late. Any other is dropped by the API server and harms nobody.
func (r *report) decode(o *object) {
	into := o.value
	wrong := o.document.Fields(reflect.TypeOf(into))
	var meta metav1.PartialObjectMetadata
	if _, err := kjson.UnmarshalStrict(o.document.JSON, &meta); err == nil {
		o.namespace, o.name = meta.Namespace, meta.Name
		if o.name == "" && meta.GenerateName != "" {
			o.name = meta.GenerateName + "*"
		}
	}
	broken := false
	for _, w := range wrong {
		p := blueprint.Problem{Path: w.Path, Key: w.Key, Field: manifest.Field(w.Path), Message: w.Message, Hint: w.Hint}
		if w.Unknown {
			p.Field = ""
			if !w.Typo {
				p.Severity = blueprint.SeverityWarning
			}
		}
		broken = broken || !w.Unknown
		r.add(o, p)
	}
	if err := kjson.UnmarshalCaseSensitivePreserveInts(o.document.JSON, into); err != nil {
		if !broken {
			r.add(o, blueprint.Problem{Message: "cannot be read: " + err.Error()})
		}
		o.value = nil
		return
	}
	for _, p := range named(&meta) {
		r.add(o, p)
	}
}

// named checks the name of an object.
func named(meta *metav1.PartialObjectMetadata) []blueprint.Problem {
	switch {
	case meta.Name == "" && meta.GenerateName == "":
		return []blueprint.Problem{problem("metadata.name", "is missing", "name it")}
	case meta.Name != "":
		if wrong := validation.NameIsDNSSubdomain(meta.Name, false); len(wrong) > 0 {
			return []blueprint.Problem{problem("metadata.name", fmt.Sprintf("%q is no name: %s", meta.Name, strings.Join(wrong, "; ")), "use lower-case letters, digits, - and .")}
		}
	}
	return nil
}

// problem is an error in a field that is written as spec.actions[0].name.
func problem(field, message, hint string) blueprint.Problem {
	return blueprint.Problem{Field: field, Path: manifest.Path(field), Message: message, Hint: hint}
}

func warning(field, message, hint string) blueprint.Problem {
	p := problem(field, message, hint)
	p.Field, p.Severity = manifest.Field(p.Path), blueprint.SeverityWarning
	return p
}

// ofError makes a problem of an error whose text begins with the field.
func ofError(err error) blueprint.Problem {
	text := err.Error()
	if known, ok := errors.AsType[*blueprint.Error](err); ok {
		text = known.Err.Error()
	}
	field, message, ok := strings.Cut(text, ": ")
	if !ok || strings.ContainsAny(field, " \"") {
		return blueprint.Problem{Message: text}
	}
	return problem(field, message, "")
}
