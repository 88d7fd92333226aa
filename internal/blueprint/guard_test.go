package blueprint

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Each of these would take the process's memory, its stack or its processor,
// were there no allowance.
func TestBombsAreDefused(t *testing.T) {
	v := loaded(t)
	for name, bomb := range map[string]string{
		"output":                 `{{ range until 60000 }}{{ range until 60000 }}xxxxxxxxxxxxxxxxxxxxxxxx{{ end }}{{ end }}`,
		"long loop":              `{{ range 1000000000000 }}{{ end }}`,
		"loop in loop":           `{{ range 1000000 }}{{ range 1000000 }}{{ end }}{{ end }}`,
		"large body":             `{{ range 100000 }}` + strings.Repeat(`{{ $x := 1 }}`, 2000) + `{{ end }}`,
		"template calls":         `{{ define "a" }}{{ template "b" . }}{{ template "b" . }}{{ end }}` + doubling(30) + `{{ template "a" . }}`,
		"recursion":              `{{ define "a" }}{{ template "a" . }}{{ end }}{{ template "a" . }}`,
		"repeat":                 `{{ repeat 1000000000 "x" }}`,
		"until":                  `{{ range until 1000000000 }}{{ end }}`,
		"untilStep":              `{{ range untilStep 0 9223372036854775807 1 }}{{ end }}`,
		"untilStep down":         `{{ range untilStep 9223372036854775807 -9223372036854775807 -1 }}{{ end }}`,
		"random":                 `{{ randAlphaNum 1000000000 }}`,
		"indent":                 `{{ indent 1000000000 "x" }}`,
		"doubling text":          `{{ $x := "xxxxxxxx" }}{{ range 60 }}{{ $x = print $x $x }}{{ end }}`,
		"doubling list":          `{{ $x := list 1 2 3 4 }}{{ range 60 }}{{ $x = concat $x $x }}{{ end }}`,
		"nested list":            `{{ $x := list "x" }}{{ range 60 }}{{ $x = list $x $x }}{{ end }}{{ toJson $x }}`,
		"nested map":             `{{ $x := dict "x" 1 }}{{ range 60 }}{{ $x = dict "a" $x "b" $x }}{{ end }}{{ toJson $x }}`,
		"map in itself":          `{{ $x := dict }}{{ $_ := set $x "x" $x }}{{ $x }}`,
		"map in itself, deep":    `{{ $x := dict }}{{ $y := dict "x" $x }}{{ $_ := set $x "y" (list $y) }}{{ $x }}`,
		"data in itself":         `{{ $_ := set .Object "self" .Object }}{{ .Object }}`,
		"replace":                `{{ $x := repeat 100000 "x" }}{{ replace "x" $x $x }}`,
		"regexReplaceAll":        `{{ $x := repeat 100000 "x" }}{{ regexReplaceAll "x" $x $x }}`,
		"regexReplaceAll groups": `{{ $x := repeat 100000 "x" }}{{ regexReplaceAll ".*" $x (repeat 50000 "$0") }}`,
		"large regex":            `{{ regexMatch (repeat 100000 "(x{1000})") "x" }}`,
		"join":                   `{{ join (repeat 100000 "x") (until 60000) }}`,
		"wrapWith":               `{{ wrapWith 1 (repeat 100000 "x") (repeat 100000 "x") }}`,
		"split":                  `{{ split "" (repeat 1000000 "x") }}`,
		"printf width":           `{{ printf (repeat 100000 "%[1]999999d") 1 }}`,
		"printf star":            `{{ printf (repeat 100000 "%[1]*[1]d") 999999 }}`,
		"printf text":            `{{ printf (repeat 100000 "%[1]s") (repeat 100000 "x") }}`,
		"uniq":                   `{{ uniq (until 60000) }}`,
		"keys":                   `{{ range 1000 }}{{ genPrivateKey "ed25519" }}{{ end }}`,
		"merge into itself":      `{{ $x := dict "a" (dict "b" 1) }}{{ range 60 }}{{ $_ := merge (index $x "a") (dict "n" $x) }}{{ end }}{{ $x }}`,
		"json":                   `{{ fromJson (print "[" (repeat 400000 "1,") "1]") }}`,
		"deep json":              `{{ fromJson (print (repeat 5000 "[") (repeat 5000 "]")) }}`,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := v.Render(bomb)
			require.Error(t, err)
			assert.Regexp(t, "failed to render template: (what \\w+ (makes|would make) is too large for a template|rendering it is too much work|set would make a map that is too large|the rendered text is over)", err.Error())
			assert.Less(t, len(err.Error()), 500)
			// Nothing is left over that hurts later.
			got, err := v.Render(`{{ .StatefulSet.Name }}{{ toJson .Object.metadata.name }}`)
			require.NoError(t, err)
			assert.Equal(t, `pg"pg"`, got)
		})
	}
}

// doubling defines b, and templates of which each calls the next twice.
func doubling(n int) string {
	var b strings.Builder
	b.WriteString(`{{ define "b" }}{{ template "t0" . }}{{ end }}`)
	for i := range n {
		fmt.Fprintf(&b, `{{ define "t%d" }}{{ template "t%d" . }}{{ template "t%d" . }}{{ end }}`, i, i+1, i+1)
	}
	fmt.Fprintf(&b, `{{ define "t%d" }}{{ end }}`, n)
	return b.String()
}

func TestFunctionsThatAreListedExist(t *testing.T) {
	e := newEngine()
	for name := range strings.FieldsSeq(allowed + " " + extra) {
		assert.Contains(t, e.funcs, name)
	}
	for name := range strings.FieldsSeq(decimal) {
		assert.Contains(t, strings.Fields(allowed), name)
	}
	for _, name := range []string{"env", "expandenv", "getHostByName", "derivePassword", "bcrypt", "htpasswd", stepFunc} {
		assert.NotContains(t, e.funcs, name)
	}
}

func TestLargeButHonestTemplatesRender(t *testing.T) {
	v := loaded(t)
	for name, tc := range map[string]struct {
		in   string
		size int
	}{
		"500 kB of text around": {strings.Repeat("x", 500_000) + `{{ .StatefulSet.Name }}`, 500_002},
		"a value of 500 kB":     {`{{ repeat 500000 "x" | b64enc | b64dec | upper | trim }}`, 500_000},
		"a thousand lines":      {`{{ range $i := until 1000 }}{{ printf "%04d %s\n" $i $.StatefulSet.Name }}{{ end }}`, 8000},
		"hundreds of values":    {strings.Repeat(`{{ index .Object.metadata.labels "app.kubernetes.io/instance" | quote }}`, 500), 6000},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := v.Render(tc.in)
			require.NoError(t, err)
			assert.Len(t, got, tc.size)
		})
	}
}

func BenchmarkLoadedRender(b *testing.B) {
	e := newEngine()
	d := &data{Time: "2026-10-24T09:05:07.123456789Z", StatefulSet: &Workload{Name: "pg", Namespace: "app"}}
	b.Run("engine", func(b *testing.B) {
		for b.Loop() {
			newEngine()
		}
	})
	b.Run("render", func(b *testing.B) {
		for b.Loop() {
			t, err := e.parse(`pg_backups/{{ .StatefulSet.Namespace }}/{{ .StatefulSet.Name }}/{{ toDate "2006-01-02T15:04:05.999999999Z07:00" .Time | date "2006" }}`)
			if err != nil {
				b.Fatal(err)
			}
			if _, err := e.execute(t, d); err != nil {
				b.Fatal(err)
			}
		}
	})
}
