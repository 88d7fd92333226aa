package sink

import (
	"errors"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestJudge(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 3, 4, 5, 0, time.UTC)
	for _, tt := range []struct {
		status int
		after  string
		want   result
		wait   time.Duration
	}{
		{status: 200, want: resultDelivered},
		{status: 204, after: "5", want: resultDelivered},
		{status: 301, want: resultDead},
		{status: 308, want: resultDead},
		{status: 400, want: resultDead},
		{status: 404, after: "5", want: resultDead},
		{status: 410, want: resultDead},
		{status: 408, want: resultAgain},
		{status: 429, after: "7", want: resultAgain, wait: 7 * time.Second},
		{status: 429, after: "-7", want: resultAgain},
		{status: 429, after: "999999", want: resultAgain, wait: time.Hour},
		{status: 429, after: "99999999999999999999", want: resultAgain},
		{status: 503, after: "Sun, 22 Nov 2026 03:05:05 GMT", want: resultAgain, wait: time.Minute},
		{status: 503, after: "Sun, 22 Nov 2026 03:00:05 GMT", want: resultAgain},
		{status: 503, after: "soon", want: resultAgain},
		{status: 599, want: resultAgain},
	} {
		header := http.Header{}
		header.Set("Retry-After", tt.after)
		v := judge(tt.status, header, now)
		assert.Equal(t, tt.want, v.result, tt.status)
		assert.Equal(t, tt.wait, v.wait, "%d %s", tt.status, tt.after)
	}
	v := unanswered(&url.Error{Op: "Post", URL: "https://x/canary", Err: errors.New("refused")})
	assert.Equal(t, verdict{result: resultAgain, reason: "no answer: refused"}, v)
}

func TestBackoff(t *testing.T) {
	t.Parallel()
	for n := 1; n < 100; n++ {
		pause := backoff("x", n)
		full := min(time.Second<<min(n-1, 20), 5*time.Minute)
		assert.LessOrEqual(t, pause, full)
		assert.Greater(t, pause, full*7/10)
	}
	assert.NotEqual(t, backoff("x", 9), backoff("y", 9))
}

func TestOptions(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "ca")
	require.NoError(t, os.WriteFile(file, []byte("nothing"), 0o600))
	for want, change := range map[string]func(o *Options){
		"":                      func(o *Options) { o.URLs = []string{"http://a", "https://b:1/x?y=z"} },
		"not an http or https":  func(o *Options) { o.URLs = []string{"ftp://a"} },
		"URL with a host":       func(o *Options) { o.URLs = []string{"http:///canary"} },
		"cannot be parsed":      func(o *Options) { o.URLs = []string{"http://canary:x"} },
		"holds a password":      func(o *Options) { o.URLs = []string{"http://me:canary@a"} },
		"K_CE_OVERRIDES is not": func(o *Options) { o.Overrides = "[]" },
		`"id" cannot be`:        func(o *Options) { o.Overrides = `{"extensions":{"id":"x"}}` },
		`"A-b" cannot be`:       func(o *Options) { o.Overrides = `{"extensions":{"A-b":"x"}}` },
		"--sink-attempts is 0":  func(o *Options) { o.Attempts = 0 },
		"--sink-max-age is 0s":  func(o *Options) { o.MaxAge = 0 },
		"--sink-timeout is 0s":  func(o *Options) { o.Timeout = 0 },
		"--sink-ca-file: open":  func(o *Options) { o.CAFile = file + "x" },
		"holds no certificate":  func(o *Options) { o.CAFile = file },
		"K_CA_CERTS holds no":   func(o *Options) { o.CA = "x" },
		"--sink-tokens: give a": func(o *Options) { o.Tokens = file + "x" },
		"it is no directory":    func(o *Options) { o.Tokens = file },
	} {
		o := DefaultOptions()
		change(&o)
		err := o.Validate()
		if want == "" {
			require.NoError(t, err)
			continue
		}
		require.ErrorContains(t, err, want)
		assert.NotContains(t, err.Error(), "canary")
	}
	targets, err := (&Options{URLs: []string{"http://a/x", "http://a/x#y", "http://a/z"}}).targets()
	require.NoError(t, err)
	require.Len(t, targets, 2, "the same address twice is one sink")
	assert.NotEqual(t, targets[0].name, targets[1].name)
}
