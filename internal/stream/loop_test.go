package stream_test

import (
	"context"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/salvor-io/salvor/internal/stream"
)

// silent is a consumer whose server sends no heartbeats, which a real one cannot
// be made to do without waiting for half a minute.
type silent struct {
	jetstream.Consumer
	jetstream.MessagesContext

	stopped int
}

func (s *silent) Messages(...jetstream.PullMessagesOpt) (jetstream.MessagesContext, error) {
	return s, nil
}

func (s *silent) Next(...jetstream.NextOpt) (jetstream.Msg, error) {
	return nil, jetstream.ErrNoHeartbeat
}
func (s *silent) Stop() { s.stopped++ }

// TestRunLoopLeavesNothingBehind: an iterator that is left after an error would
// go on receiving what it has asked for, and those messages would be handled only
// after their ackWait.
func TestRunLoopLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	s := &silent{}
	err := stream.RunLoop(t.Context(), loopOver{s}, func(context.Context, jetstream.Msg) {})
	require.ErrorIs(t, err, jetstream.ErrNoHeartbeat)
	assert.Equal(t, 1, s.stopped)
}

// loopOver hides the methods that Consumer and MessagesContext both have.
type loopOver struct{ *silent }

func (l loopOver) Next(...jetstream.FetchOpt) (jetstream.Msg, error) {
	return nil, jetstream.ErrNoHeartbeat
}
