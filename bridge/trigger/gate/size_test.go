package gate_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/salvor-io/salvor/bridge/trigger/gate"
)

// A record fits into a message, which has a megabyte, whatever comes.
func TestRecordsStaySmall(t *testing.T) {
	const limit = 1<<20 - 64<<10
	body := json.RawMessage(`"` + strings.Repeat("b", 64<<10-2) + `"`)
	for name, rules := range map[string]gate.Rules{
		"one window":   {Coalesce: time.Hour},
		"many starts":  {Starts: 1000, Per: time.Second},
		"all rejected": {Starts: 1, Per: time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			rules.Name = func(identity string) string { return fmt.Sprintf("%.63s", strings.Repeat("n", 60)+identity) }
			s := &gate.State{Owner: gate.Owner{Namespace: "n", Trigger: "t", UID: "u", Key: strings.Repeat("k", 1024)}}
			now, largest := time.Unix(0, 0), 0
			for i := range 20_000 {
				e := gate.Event{
					Source: "/" + strings.Repeat("s", 100), ID: fmt.Sprint(i), Type: "t", Sequence: uint64(i), At: now,
					Body: body,
				}
				s.Arrive(&rules, &e, now)
				if i%1000 != 999 {
					continue
				}
				todo := s.Turn(&rules, false, now)
				data, err := s.Encode()
				require.NoError(t, err)
				largest = max(largest, len(data))
				for _, start := range todo.Start {
					s.Started(&rules, start.Name, now)
				}
				now = now.Add(2 * time.Second)
			}
			t.Logf("largest record: %d KiB", largest>>10)
			assert.Less(t, largest, limit)
		})
	}
}
