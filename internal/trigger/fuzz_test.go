package trigger_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"

	"github.com/salvor-io/salvor/internal/trigger"
)

// FuzzTrigger: whatever a spec says, compiling it and asking it ends, and what Check
// finds nothing wrong with can be compiled.
func FuzzTrigger(f *testing.F) {
	for _, seed := range []string{
		`{"when":{"event":{"filters":[{"exact":{"type":"a"}},{"any":[{"not":{"prefix":{"source":"/"}}},{"cesql":"type LIKE 'a%' AND EXISTS subject"}]}]}},"key":"{{ .Event.subject | lower }}"}`,
		`{"when":{"schedule":{"cron":"*/5 2 * * 1-5","timeZone":"Europe/Berlin","jitter":"5m","missed":"Skip"}},"coalesce":"30s","rateLimit":{"starts":1,"per":"1h"}}`,
		`{"when":{"event":{"filters":[{"all":[{"suffix":{"type":"x"}},{"cesql":"CONCAT(id, 'a') = LEFT(type, 3) OR 1 / 0 = 1"}]}]}},"keep":{"daily":3}}`,
		`{"when":{"event":{"filters":[{"cesql":"'"}]},"kubernetes":{"annotation":{"apiVersion":"v1","kind":"Pod","key":"a"}}}}`,
		`{"when":{"schedule":{"cron":"0 0 30 2 *"}},"template":{"metadata":{"labels":{"a":"{{ range until 9 }}{{ . }}{{ end }}"}}}}`,
	} {
		f.Add([]byte(seed), "com.example.saved", "/source", "subject", `{"a":[1,2.5,null]}`)
	}
	f.Fuzz(func(t *testing.T, spec []byte, typ, source, subject, data string) {
		at := newTrigger(nil)
		if json.Unmarshal(spec, &at.Spec) != nil {
			return
		}
		problems := trigger.Check(at)
		c, err := trigger.Compile(at)
		if (err == nil) != (len(problems) == 0) {
			t.Fatalf("Check finds %v, Compile says %v", problems, err)
		}
		for _, p := range problems {
			if p.Message == "" || !strings.HasPrefix(p.Field, "spec.") {
				t.Fatalf("%#v", p)
			}
		}
		if err != nil {
			return
		}
		e := cloudevents.NewEvent()
		e.SetID("1")
		e.SetType(typ)
		e.SetSource(source)
		e.SetSubject(subject)
		e.DataEncoded = []byte(data)
		c.Match(&e)
		_, _ = c.Key(&e)
		if as, err := c.ActionSet(&e); err == nil && (as.Name != "" || as.Spec == nil) {
			t.Fatalf("%#v", as)
		}
		if s := c.Schedule(); s != nil {
			ticks(t, s)
		}
	})
}

// ticks: they come, one after the other.
func ticks(t *testing.T, s *trigger.Schedule) {
	t.Helper()
	at := time.Date(2026, 3, 28, 23, 59, 59, 5, time.UTC)
	for range 20 {
		next := s.Next(at)
		if !next.After(at) {
			t.Fatalf("%s after %s", next, at)
		}
		if last, n := s.Last(at, next); n != 1 || !last.Equal(next) {
			t.Fatalf("%d up to %s, the last %s", n, next, last)
		}
		at = next
	}
}
