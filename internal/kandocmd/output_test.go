package kandocmd

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/salvor-io/salvor/internal/output"
)

func TestOutputIsThatOfKanister(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{
		"V":            `###Phase-output###: {"key":"K","value":"V"}` + "\n",
		"":             `###Phase-output###: {"key":"K","value":""}` + "\n",
		"-5":           `###Phase-output###: {"key":"K","value":"-5"}` + "\n",
		"-v":           `###Phase-output###: {"key":"K","value":"-v"}` + "\n",
		"two\nlines":   `###Phase-output###: {"key":"K","value":"two\nlines"}` + "\n",
		`{"a":"ä\"b"}`: `###Phase-output###: {"key":"K","value":"{\"a\":\"ä\\\"b\"}"}` + "\n",
		"a & b < c":    `###Phase-output###: {"key":"K","value":"a \u0026 b \u003c c"}` + "\n",
	} {
		assert.Equal(t, want, succeed(t, nil, "output", "K", value))
	}
}

// Kanister's kando takes flags anywhere.
func TestOutputWithFlagsAnywhere(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"-v", "debug", "output", "k", "v"},
		{"output", "-v", "debug", "k", "v"},
		{"output", "k", "-v", "debug", "v"},
		{"output", "k", "v", "--verbosity", "debug"},
		{"output", "k", "v", "--verbosity=debug"},
		{"output", "--", "k", "v"},
		{"output", "k", "--", "v"},
	} {
		assert.Equal(t, `###Phase-output###: {"key":"k","value":"v"}`+"\n", succeed(t, nil, args...), args)
	}
	assert.Contains(t, succeed(t, nil, "output", "k", "--", "-5"), `"value":"-5"`)
	assert.Contains(t, fails(t, nil, "output", "k", "v", "--verbosity", "loud"), `--verbosity "loud"`)
}

func TestOutputRefuses(t *testing.T) {
	t.Parallel()
	assert.Contains(t, fails(t, nil, "output", "back-up", "v"), "use _ instead of -")
	assert.Contains(t, fails(t, nil, "output", "", "v"), "key is empty")
	assert.Contains(t, fails(t, nil, "output", "k"), "got 1 arguments")
	assert.Contains(t, fails(t, nil, "output", "k", "two", "words"), "quote a value")
	assert.Contains(t, fails(t, nil, "output", "k", "v", "--colour"), "unknown flag: --colour")
	assert.Contains(t, fails(t, nil, "output", "--file", "x", "k", "v"), "a key alone")
	assert.Contains(t, fails(t, nil, "output", "--file", "/none/x", "k"), "no such file")
	for _, key := range []string{"a.b", "a b", "ä", "k\n", "{{"} {
		assert.Contains(t, fails(t, nil, "output", key, "v"), "letters, digits and _ only")
	}
}

// What is too long for an argument comes from a file or a pipe, byte for byte, up to
// what the parser takes.
func TestOutputOfLongValues(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("0123456789\n\"\\<ä", 300_000/15)
	file := filepath.Join(t.TempDir(), "value")
	require.NoError(t, os.WriteFile(file, []byte(long), 0o600))
	for name, got := range map[string]string{
		"argument":    succeed(t, nil, "output", "k", long),
		"file":        succeed(t, nil, "output", "--file", file, "k"),
		"flag behind": succeed(t, nil, "output", "k", "-f", file),
		"short reads": succeed(t, iotest.OneByteReader(strings.NewReader(long)), "output", "-f", "-", "k"),
	} {
		p := output.NewParser()
		_, err := p.Write([]byte(got))
		require.NoError(t, err)
		values, err := p.Finish()
		require.NoError(t, err, name)
		value, _ := values["k"].(string)
		assert.Zero(t, strings.Compare(long, value), name)
	}
	assert.Contains(t, fails(t, bytes.NewReader(make([]byte, output.MaxValue)), "output", "-f", "-", "k"), "object store")
	assert.Contains(t, fails(t, iotest.ErrReader(errors.New("pipe broke")), "output", "-f", "-", "k"), "pipe broke")
}

func TestOutputWarnsOfBadBytes(t *testing.T) {
	t.Parallel()
	r := kando(t, nil, "output", "k", "a\xffb")
	assert.Zero(t, r.code)
	assert.Equal(t, `###Phase-output###: {"key":"k","value":"a\ufffdb"}`+"\n", r.out)
	assert.Contains(t, r.err, "not UTF-8")
}
