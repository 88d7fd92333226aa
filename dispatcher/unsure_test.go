package dispatcher_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/dispatcher"
)

// unanswered loses the answer to the first publication of a job, after the job
// was stored and done.
type unanswered struct {
	jetstream.JetStream

	once sync.Once
	done func()
}

func (u *unanswered) PublishMsg(ctx context.Context, msg *nats.Msg, opts ...jetstream.PublishOpt) (*jetstream.PubAck, error) {
	ack, err := u.JetStream.PublishMsg(ctx, msg, opts...)
	if strings.HasPrefix(msg.Subject, "salvor.jobs.") {
		u.once.Do(func() {
			u.done()
			ack, err = nil, nats.ErrTimeout
		})
	}
	return ack, err // as the client does
}

// TestAJobThatMayHaveBeenQueuedIsNotDoneTwice: the job was stored and done, the
// dispatcher knows neither, and the report is still on its way.
func TestAJobThatMayHaveBeenQueuedIsNotDoneTwice(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	r := startRunner(t, s.js, &runner{})
	js := &unanswered{JetStream: s.js, done: func() {
		eventually(t, "the job is done", func() bool {
			st, err := s.js.Stream(t.Context(), event.StreamJobs)
			return err == nil && st.CachedInfo().State.Msgs == 0 && len(r.executed()) == 1
		})
	}}
	d := startDispatcher(t, dispatcher.Deps{JS: js}, options())
	eventually(t, "ready", func() bool { return d.Ready() == nil })
	_, err := s.js.PauseConsumer(t.Context(), event.StreamReports, "dispatchers", time.Now().Add(time.Hour))
	require.NoError(t, err)

	s.create("ns", "u1", action("restore", "load"))
	eventually(t, "the dispatcher tries again", func() bool { return d.metric(t, "retries_total") >= 1 })
	require.Never(t, func() bool { return s.messages(event.StreamJobs) > 1 }, 3*time.Second, 50*time.Millisecond)
	_, err = s.js.ResumeConsumer(t.Context(), event.StreamReports, "dispatchers")
	require.NoError(t, err)
	assert.Equal(t, event.StateComplete, ended(t, s.runs, "ns", "u1").State)
	assert.Equal(t, map[string]int{"u1.0.p0.1": 1}, r.executed())
}
