package blueprint

import (
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"

	"github.com/salvor-io/salvor/internal/profile"
)

// anyKey is what a key of the reader's choice is called in Fields.
var anyKey = regexp.MustCompile(`<[^>]+>`)

// leaves walks the data and returns the path of every field that has none below it.
// Secrets and ConfigMaps are Kubernetes' own, and described as a whole.
func leaves(t reflect.Type, path string) []string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t {
	case reflect.TypeFor[corev1.Secret](), reflect.TypeFor[corev1.ConfigMap](), reflect.TypeFor[profile.Secret]():
		return []string{path}
	}
	switch t.Kind() { //nolint:exhaustive // the others are leaves
	case reflect.Map:
		return leaves(t.Elem(), path+".<>")
	case reflect.Struct:
		var all []string
		for field := range t.Fields() {
			if field.IsExported() {
				all = append(all, leaves(field.Type, path+"."+field.Name)...)
			}
		}
		return all
	}
	return []string{path}
}

func documented() []string {
	var paths []string
	for _, group := range Fields() {
		for _, f := range group.Fields {
			paths = append(paths, anyKey.ReplaceAllString(f.Path, "<>"))
		}
	}
	return paths
}

func TestEveryFieldOfTheDataIsDocumentedAndNoOther(t *testing.T) {
	t.Parallel()
	want, got := leaves(reflect.TypeFor[data](), ""), documented()
	slices.Sort(want)
	slices.Sort(got)
	assert.Equal(t, want, got)
	for _, group := range Fields() {
		for _, f := range group.Fields {
			assert.NotEmpty(t, f.Doc, f.Path)
		}
	}
}

// fill sets every field to something, maps have the one key "key".
func fill(v reflect.Value) {
	switch v.Kind() { //nolint:exhaustive // the data has no others
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() && !strings.HasPrefix(v.Type().PkgPath(), "k8s.io/") {
				fill(v.Field(i))
			}
		}
	case reflect.Map:
		elem := reflect.New(v.Type().Elem()).Elem()
		fill(elem)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf("key"), elem)
	case reflect.Slice:
		elem := reflect.New(v.Type().Elem()).Elem()
		fill(elem)
		v.Set(reflect.Append(v, elem))
	case reflect.String:
		v.SetString("text")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Interface:
		v.Set(reflect.ValueOf("text"))
	case reflect.Int, reflect.Int64:
		v.SetInt(7)
	case reflect.Uint8:
		v.SetUint('t')
	}
}

func TestEveryDocumentedFieldRenders(t *testing.T) {
	t.Parallel()
	var d data
	fill(reflect.ValueOf(&d).Elem())
	for _, group := range Fields() {
		for _, f := range group.Fields {
			e := newEngine()
			tmpl, err := e.parse(fmt.Sprintf("{{ %s | toJson }}", anyKey.ReplaceAllString(f.Path, "key")))
			require.NoError(t, err, f.Path)
			got, err := e.execute(tmpl, &d)
			require.NoError(t, err, f.Path)
			assert.NotEmpty(t, got, f.Path)
			assert.NotEqual(t, "null", got, f.Path)
		}
	}
}

// printing are text/template's own functions, which are only wrapped.
func TestEveryFunctionOfTemplatesIsDocumentedAndNoOther(t *testing.T) {
	t.Parallel()
	known := functions(&guard{})
	maps.DeleteFunc(known, func(name string, _ any) bool {
		_, own := printers(&guard{})[name]
		return own
	})
	var got []string
	for _, group := range TemplateFunctions() {
		got = append(got, group.Names...)
	}
	slices.Sort(got)
	assert.Equal(t, slices.Sorted(maps.Keys(known)), got)
}
