package dispatcher_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/dispatcher"
	"github.com/salvor-io/salvor/internal/eventschema/schematest"
	"github.com/salvor-io/salvor/internal/stream"
)

// What real runs tell is what the schemas say, and no member is there that they do
// not know.
func TestEventsKeepToTheirSchemas(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	startDispatcher(t, dispatcher.Deps{JS: s.js}, options())
	startRunner(t, s.js, &runner{script: func(j event.Job) *event.Report {
		switch j.PhaseName {
		case "boom":
			return failed()
		case "stopped": // somebody asked for the end before
			assert.NoError(t, stream.NewReports(s.js, event.SourceBridge).Publish(t.Context(), &event.Report{
				Kind: event.ReportCancel, Key: event.Key{UID: "cancelled", Namespace: "ns"}, Reason: "not today",
			}, ""))
			return &event.Report{Kind: event.ReportCancelled, Failure: &event.Failure{Reason: event.ReasonCancelled, Message: "asked for"}}
		}
		return nil
	}})
	s.create("ns", "one", action("backup", "dump artifacts"))
	s.create("ns", "many", action("backup", "quiesce dump defer:release artifacts"), action("verify", "look"))
	s.create("ns", "bad", action("backup", "quiesce boom defer:release"))
	s.create("ns", "none")
	s.create("ns", "cancelled", action("backup", "quiesce stopped"))
	runs := []string{"one", "many", "bad", "none", "cancelled"}
	for _, uid := range runs {
		ended(t, s.runs, "ns", uid)
	}
	ends := func() int {
		n := 0
		for id := range lifecycle(t, s.js) {
			if bytes.HasPrefix([]byte(id), []byte("io.salvor.run.")) {
				n++
			}
		}
		return n
	}
	eventually(t, "the events of all ends", func() bool { return ends() == len(runs) })

	st, err := s.js.Stream(t.Context(), event.StreamEvents)
	require.NoError(t, err)
	types := map[string]int{}
	for seq := st.CachedInfo().State.FirstSeq; seq <= st.CachedInfo().State.LastSeq; seq++ {
		msg, err := st.GetMsg(t.Context(), seq)
		require.NoError(t, err)
		e, err := stream.Decode(msg.Header, msg.Data)
		require.NoError(t, err)
		types[e.Type()]++
		require.NoError(t, schematest.Check(t, e.Type(), e.Data()), string(e.Data()))
		decoder := json.NewDecoder(bytes.NewReader(e.Data()))
		decoder.DisallowUnknownFields()
		var l event.Lifecycle
		require.NoError(t, decoder.Decode(&l))
		assert.True(t, event.IsLifecycle(e.Source(), e.Type()))
	}
	for _, typ := range event.LifecycleTypes() {
		assert.Positive(t, types[typ], "no run told of a %s", typ)
	}
}
