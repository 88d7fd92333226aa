package output_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/salvor-io/salvor/internal/output"
)

// parse writes text in pieces of a size.
func parse(text string, size int) (values map[string]any, lines []string, err error) {
	p := output.NewParser(output.WithLines(func(l string) { lines = append(lines, l) }))
	for b := []byte(text); len(b) > 0; {
		n := min(size, len(b))
		_, _ = p.Write(b[:n])
		if p.Held() > max(output.MaxLine, output.MaxValue) || len(p.Tail()) > output.TailLines {
			panic("it keeps more than it says")
		}
		b = b[n:]
	}
	values, err = p.Finish()
	return values, lines, err
}

func marker(key, value string) string {
	line, err := output.Format(key, value)
	if err != nil {
		panic(err)
	}
	return line
}

func TestParser(t *testing.T) {
	big := strings.Repeat("0123456789", 30_000)
	tests := map[string]struct {
		text  string
		want  map[string]any
		lines []string
	}{
		"nothing":                    {text: ""},
		"log only":                   {text: "a\n\n  \nb\r\n", lines: []string{"a", "b"}},
		"as kando writes it":         {text: `###Phase-output###: {"key":"k","value":"v"}` + "\n", want: map[string]any{"k": "v"}},
		"no space, no newline":       {text: `###Phase-output###:{"key":"k","value":"v"}`, want: map[string]any{"k": "v"}},
		"inside a line":              {text: `2026 out ###Phase-output###:   {"key":"k","value":"v"}  ` + "\r\n", want: map[string]any{"k": "v"}, lines: []string{"2026 out "}},
		"empty rest":                 {text: "###Phase-output###:  \n###Phase-output###:", want: nil},
		"last of a key wins":         {text: marker("k", "1") + marker("l", "2") + marker("k", "3"), want: map[string]any{"k": "3", "l": "2"}},
		"no key":                     {text: `###Phase-output###: {"value":"v"}`, want: map[string]any{"": "v"}},
		"no value":                   {text: `###Phase-output###: {"key":"k"}`, want: map[string]any{"k": ""}},
		"other fields":               {text: `###Phase-output###: {"key":"k","value":"v","n":1}`, want: map[string]any{"k": "v"}},
		"newline and marker inside":  {text: marker("k", "a\nb ###Phase-output###: c <&>"), want: map[string]any{"k": "a\nb ###Phase-output###: c <&>"}},
		"almost a marker":            {text: "####Phase-output##\n###Phase-output### x\n", lines: []string{"####Phase-output##", "###Phase-output### x"}},
		"marker after extra hashes":  {text: "#" + marker("k", "v"), want: map[string]any{"k": "v"}, lines: []string{"#"}},
		"300 kB":                     {text: "a\n" + marker("k", big) + "b", want: map[string]any{"k": big}, lines: []string{"a", "b"}},
		"line too long to log":       {text: big + "\nb\n", lines: []string{"[a line of 300000 bytes is left out]", "b"}},
		"marker after too long text": {text: big + marker("k", "v") + "b\n", want: map[string]any{"k": "v"}, lines: []string{"[a line of 300000 bytes is left out]", "b"}},
	}
	for name, tt := range tests {
		for _, size := range []int{1, 7, 18, 19, 20, 4096, 1 << 20} {
			t.Run(fmt.Sprintf("%s/%d", name, size), func(t *testing.T) {
				values, lines, err := parse(tt.text, size)
				require.NoError(t, err)
				assert.Equal(t, tt.want, values)
				assert.Equal(t, tt.lines, lines)
			})
		}
	}
}

func TestParserRefuses(t *testing.T) {
	tests := map[string]struct{ rest, want string }{
		"number":        {`{"key":"k","value":12345}`, `line 2 of the log: key "k": "value" must be a string`},
		"number as key": {`{"key":12345,"value":"v"}`, `field "key" must be a string`},
		"object":        {`{"key":"k","value":{"a":"12345"}}`, `"value" must be a string`},
		"no JSON":       {`12345`, "want one JSON object"},
		"list":          {`["12345"]`, "want one JSON object"},
		"null":          {`null`, "want one JSON object"},
		"cut":           {`{"key":"k","value":"12345`, "broken at byte"},
		"text after":    {`{"key":"k","value":"v"} 12345`, "nothing after it"},
		"two objects":   {`{"key":"k","value":"v"}{"key":"l","value":"12345"}`, "nothing after it"},
		"two markers":   {`{"key":"k","value":"v"} ` + marker("l", "12345"), "nothing after it"},
		"too long":      {`{"key":"k","value":"` + strings.Repeat("12345", output.MaxValue/5) + `"}`, "longer than 8388608 bytes"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			text := "first\n" + output.Marker + tt.rest + "\n" + marker("good", "v") + "last\n"
			values, lines, err := parse(text, 4096)
			require.ErrorContains(t, err, "phase output in line 2 of the log: ")
			require.ErrorContains(t, err, tt.want)
			assert.NotContains(t, err.Error(), "12345", "the value is in the error")
			assert.Nil(t, values)
			assert.Equal(t, []string{"first", "last"}, lines, "the log goes on")
		})
	}
}

func TestParserBoundsTheTotal(t *testing.T) {
	p := output.NewParser()
	value := strings.Repeat("v", output.MaxTotal/8)
	for i := range 7 {
		_, _ = p.Write([]byte(marker(fmt.Sprintf("k%d", i), value)))
	}
	for range 10 { // the same key again does not count twice
		_, _ = p.Write([]byte(marker("k0", value)))
	}
	_, _ = p.Write([]byte(marker("last", value)))
	_, err := p.Finish()
	require.ErrorContains(t, err, fmt.Sprintf(`key "last" makes all outputs of the phase more than %d bytes`, output.MaxTotal))
}

func TestTail(t *testing.T) {
	p := output.NewParser()
	for i := range 15 {
		_, _ = fmt.Fprintf(p, "line %d\n\n%s", i, marker("k", "secret"))
	}
	_, _ = p.Write([]byte("no newline"))
	_, err := p.Finish()
	require.NoError(t, err)
	tail := p.Tail()
	require.Len(t, tail, output.TailLines)
	assert.Equal(t, "line 6", tail[0])
	assert.Equal(t, "no newline", tail[9])
}

func TestLogOnly(t *testing.T) {
	var lines []string
	p := output.NewParser(output.LogOnly(), output.WithLines(func(l string) { lines = append(lines, l) }))
	_, _ = p.Write([]byte("a\nb " + output.Marker + " 1\nc"))
	values, err := p.Finish()
	require.NoError(t, err)
	assert.Nil(t, values)
	assert.Equal(t, []string{"a", "b " + output.Marker + " 1", "c"}, lines)
}

func TestExcerptCutsLinesBetweenCharacters(t *testing.T) {
	long := "x" + strings.Repeat("ä", 400)
	assert.Equal(t, "a\nx"+strings.Repeat("ä", 149)+"…\nb", output.Excerpt([]string{"a", long, "b"}))
}

func TestFormatChecksTheKey(t *testing.T) {
	for _, key := range []string{"", "a b", "a.b", "a-b", "ä"} {
		_, err := output.Format(key, "v")
		require.ErrorIs(t, err, output.ErrKey, key)
	}
}

// Whatever a program writes, and however it is cut into pieces: the parser does not
// panic, keeps no more than it says, and finds the same.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"a\n" + marker("k", "v") + "b", output.Marker + `{"value":1}`, "x" + marker("k", "a\u2028<\x00"),
		strings.Repeat("#", 40) + output.Marker, marker("k", "1") + marker("k", "2"), output.Marker + "\r\n\r\n" + output.Marker + "null",
		output.Marker + `{"key":"k","value":"` + strings.Repeat("v", 300), "\xff\xfe" + output.Marker + `{"key":"\ud800"}`, "###Phase-out\nput###: {}",
		output.Marker + output.Marker, output.Marker + `{"key":"k","value":"v"}` + output.Marker + "{}",
	} {
		f.Add(seed, 3, 1)
		f.Add(seed, 18, 4000)
	}
	f.Fuzz(func(t *testing.T, text string, size, times int) {
		size = max(size, 1)
		if times > 1 && times*len(text) < 1<<18 { // long lines, which the fuzzer would not come to by itself
			text, size = strings.Repeat(text, times), max(size, len(text)/7)
		}
		values, lines, err := parse(text, size)
		whole, wholeLines, wholeErr := parse(text, len(text)+1)
		require.Equal(t, fmt.Sprint(wholeErr), fmt.Sprint(err))
		require.Equal(t, whole, values)
		require.Equal(t, wholeLines, lines)
		for _, l := range lines {
			require.NotContains(t, l, output.Marker)
			require.NotContains(t, l, "\n")
			require.LessOrEqual(t, len(l), output.MaxLine)
		}
	})
}

func FuzzFormat(f *testing.F) {
	f.Add("k", "v")
	f.Add("K_1", "\n"+output.Marker+`{"key":"k"}`)
	f.Fuzz(func(t *testing.T, key, value string) {
		line, err := output.Format(key, value)
		if err != nil {
			require.ErrorIs(t, err, output.ErrKey)
			return
		}
		values, lines, err := parse("before"+line+"after", 5)
		require.NoError(t, err)
		assert.Equal(t, []string{"before", "after"}, lines)
		assert.Equal(t, collapse(value), collapse(fmt.Sprint(values[key])))
	})
}

// collapse undoes that encoding/json writes one replacement for each bad byte,
// strings.ToValidUTF8 one for each run of them.
func collapse(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	for strings.Contains(s, "\uFFFD\uFFFD") {
		s = strings.ReplaceAll(s, "\uFFFD\uFFFD", "\uFFFD")
	}
	return s
}
