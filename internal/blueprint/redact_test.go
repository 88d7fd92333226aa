package blueprint

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"pgregory.net/rapid"
)

func redactorOf(values ...string) *redactor {
	secret := &corev1.Secret{Data: map[string][]byte{}}
	for i, value := range values {
		secret.Data[fmt.Sprint(i)] = []byte(value)
	}
	return newRedactor(map[SecretRef]*corev1.Secret{{}: secret})
}

func TestRedact(t *testing.T) {
	v := loaded(t)
	encoded := base64.StdEncoding.EncodeToString([]byte(canary + "-pg"))
	for in, want := range map[string]string{
		"nothing here":                                   "nothing here",
		"pw " + canary + "-pg.":                          "pw ***.",
		"id AKIA-ID key " + canary + "-s3":               "id *** key ***",
		"data: " + encoded:                               "data: ***",
		"raw: " + strings.TrimRight(encoded, "="):        "raw: ***",
		canary + "-pg" + canary + "-aws":                 "******",
		`{"a":"` + canary + `-pg"}` + "\n" + "AKIA-ID\n": `{"a":"***"}` + "\n***\n",
	} {
		assert.Equal(t, want, v.Redact(in))
	}
}

func TestRedactForms(t *testing.T) {
	pem := "-----BEGIN KEY-----\nabcdefghijkl\nmnopqrstuvwx\n-----END KEY-----\n"
	wrapped := base64.StdEncoding.EncodeToString([]byte("inner-value"))
	r := redactorOf("abc", "p@ss w/rd<&>", pem, wrapped, "secret-long", "secret", "line\r\nends\r\n", "  spaced  ")
	escaped, err := json.Marshal("p@ss w/rd<&>")
	require.NoError(t, err)
	for in, want := range map[string]string{
		"abc is too short":                       "abc is too short",
		"u=" + url.QueryEscape("p@ss w/rd<&>"):   "u=***",
		"u=" + url.PathEscape("p@ss w/rd<&>"):    "u=***",
		"j=" + string(escaped):                   `j="***"`,
		"one row mnopqrstuvwx of a key":          "one row *** of a key",
		"decoded inner-value":                    "decoded ***",
		"secret-long is not secret with a -long": "*** is not *** with a -long",
		"line then ends":                         "*** then ***",
		"was spaced":                             "was ***",
	} {
		assert.Equal(t, want, r.redact(in))
	}
	assert.Equal(t, "x***y", redactorOf("abcdef", "defghi").redact("xabcdefghiy"), "values may overlap")
	assert.Equal(t, "***", redactorOf("aaaa").redact(strings.Repeat("a", 1000)))
	assert.Empty(t, redactorOf("aaaa").redact(""))
}

// Whatever the secrets and the text, no secret is left, and what is between stays.
func TestRedactLeavesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.StringMatching(`[ab\n=]{4,9}`), 1, 4).Draw(t, "values")
		text := rapid.StringMatching(`[ab\nc]{0,60}`).Draw(t, "text")
		if rapid.Bool().Draw(t, "in") {
			text += rapid.SampledFrom(values).Draw(t, "value") + rapid.StringMatching(`[abc]{0,5}`).Draw(t, "rest")
		}
		r := redactorOf(values...)
		got := r.redact(text)
		for _, value := range values {
			if strings.Contains(got, value) {
				t.Fatalf("%q still has %q", got, value)
			}
		}
		if strings.Count(got, "c") != strings.Count(text, "c") {
			t.Fatalf("%q became %q", text, got)
		}
		if r.holds(text) == (got == text) {
			t.Fatalf("holds does not agree with redact on %q", text)
		}
	})
}
