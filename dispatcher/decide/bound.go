package decide

import (
	"encoding/json"
	"fmt"
	"unicode/utf8"

	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"

	"github.com/salvor-io/salvor/api/event"
)

// ArtifactsLimit bounds the output artifacts of all actions of a run together, in
// bytes: they travel with the run and end in the ActionSet's status.
const ArtifactsLimit = 256 << 10

// bound cuts the middle out of a text of more than limit bytes: its head says
// what failed, its tail holds the last lines of a log.
func bound(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	const room = 40 // for the note
	head, tail := (limit-room)/2, (limit-room)/2
	for head > 0 && !utf8.RuneStart(s[head]) {
		head--
	}
	from := len(s) - tail
	for from < len(s) && !utf8.RuneStart(s[from]) {
		from++
	}
	return s[:head] + fmt.Sprintf(" […%d bytes cut…] ", from-head) + s[from:]
}

// boundExcerpt drops an excerpt that is none.
func boundExcerpt(excerpt map[string]any) map[string]any {
	data, err := json.Marshal(excerpt)
	if err != nil || len(data) > event.InlineLimit {
		return nil
	}
	return excerpt
}

func artifactsSize(artifacts map[string]kanister.Artifact) int {
	size := 0
	for name, a := range artifacts {
		size += len(name) + len(a.KopiaSnapshot)
		for k, v := range a.KeyValue {
			size += len(k) + len(v)
		}
	}
	return size
}
