package output_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/salvor-io/salvor/internal/output"
)

// row is a row of the phase-output protocol as it was measured with Kanister
// (KANISTER.md, 2.3): a log, and what Kanister makes of it.
type row struct {
	name, log string
	// values are nil where Kanister's outputs are; refused where it fails the phase.
	values  map[string]any
	refused bool
	// logged are the lines that are no output; those of a refused row are not
	// looked at.
	logged []string
}

func measured() []row {
	long := strings.Repeat("x", 300_000)
	one := map[string]any{"k": "v"}
	return []row{
		{name: "the writer's own line", log: `###Phase-output###: {"key":"k","value":"v"}` + "\n", values: one},
		{name: "marker in the middle of a line", log: `Oct 11 out: ###Phase-output###: {"key":"k","value":"v"}` + "\n", values: one, logged: []string{"Oct 11 out: "}},
		{name: "the rest is trimmed", log: "###Phase-output###: \t {\"key\":\"k\",\"value\":\"v\"} \t\r\n", values: one},
		{name: "no space needed", log: `###Phase-output###:{"key":"k","value":"v"}` + "\n", values: one},
		{name: "the last line has no newline", log: `###Phase-output###: {"key":"k","value":"v"}`, values: one},
		{name: "empty rest", log: "###Phase-output###:\n###Phase-output###:   \n", values: nil},
		{name: "duplicate key", log: `###Phase-output###: {"key":"k","value":"old"}` + "\n" + `###Phase-output###: {"key":"k","value":"v"}` + "\n", values: one},
		{name: "missing key", log: `###Phase-output###: {"value":"v"}` + "\n", values: map[string]any{"": "v"}},
		{name: "the key is not checked", log: `###Phase-output###: {"key":"a b-c","value":"v"}` + "\n", values: map[string]any{"a b-c": "v"}},
		{name: "a number as value", log: `###Phase-output###: {"key":"k","value":1}` + "\n", refused: true},
		{name: "no JSON", log: "###Phase-output###: k=v\n", refused: true},
		{name: "text after the object", log: `###Phase-output###: {"key":"k","value":"v"} and more` + "\n", refused: true},
		{name: "half an object", log: `###Phase-output###: {"key":"k","val` + "\n", refused: true},
		{name: "300 KB", log: `###Phase-output###: {"key":"k","value":"` + long + `"}` + "\n", values: map[string]any{"k": long}},
		{name: "many lines", log: strings.Repeat("log\n", 3) + `###Phase-output###: {"key":"k","value":"v"}` + "\nlog\n", values: one, logged: []string{"log", "log", "log", "log"}},
		{name: "no output", log: "log\n", values: nil, logged: []string{"log"}},
		{name: "nothing", log: "", values: nil},
	}
}

// Kanister fails a phase whose marker comes in two writes of an exec stream: each
// write is a line to it. Here no way to cut a log changes what is found: at one
// place, at any two of the first places, or into pieces of one size.
func TestEveryMeasuredRowHoweverItIsCut(t *testing.T) {
	t.Parallel()
	for _, r := range measured() {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			check := func(pieces ...string) {
				t.Helper()
				values, lines, err := parsePieces(pieces)
				if r.refused {
					require.Error(t, err)
					assert.Nil(t, values)
					return
				}
				require.NoError(t, err)
				assert.Equal(t, r.values, values)
				assert.Equal(t, r.logged, lines)
			}
			check(r.log)
			for _, at := range cuts(len(r.log)) {
				check(r.log[:at], r.log[at:])
			}
			for first := range min(len(r.log), 24) {
				for second := first; second < min(len(r.log), 48) && len(r.log) < 1000; second++ {
					check(r.log[:first], r.log[first:second], r.log[second:])
				}
			}
			for _, size := range []int{1, 2, 3, 17, 18, 19, 20, 32 << 10, 64 << 10} {
				if len(r.log)/size > 20_000 {
					continue
				}
				var pieces []string
				for rest := r.log; rest != ""; {
					n := min(size, len(rest))
					pieces, rest = append(pieces, rest[:n]), rest[n:]
				}
				check(pieces...)
			}
		})
	}
}

// cuts are the places to cut a log of n bytes at: all, or of a long one the first,
// the last, and those around the frames of an exec stream.
func cuts(n int) []int {
	var places []int
	for at := range n + 1 {
		frame := at % (32 << 10)
		if n < 1000 || at < 24 || at > n-8 || frame == 0 {
			places = append(places, at)
		}
	}
	return places
}

func parsePieces(pieces []string) (values map[string]any, lines []string, err error) {
	p := output.NewParser(output.WithLines(func(l string) { lines = append(lines, l) }))
	for _, piece := range pieces {
		if n, err := p.Write([]byte(piece)); n != len(piece) || err != nil {
			return nil, nil, fmt.Errorf("Write took %d of %d bytes: %w", n, len(piece), err)
		}
	}
	values, err = p.Finish()
	return values, lines, err
}

// A thousand outputs between the lines of another program, each written in one piece.
func TestLinesOfManyWriters(t *testing.T) {
	t.Parallel()
	p := output.NewParser()
	want := map[string]any{}
	for i := range 1000 {
		key := fmt.Sprintf("key_%d", i)
		value := strings.Repeat(string(rune('a'+i%26)), i)
		want[key] = value
		_, _ = p.Write([]byte(fmt.Sprintf("noise %d\n", i) + marker(key, value)))
	}
	values, err := p.Finish()
	require.NoError(t, err)
	assert.Equal(t, want, values)
}
