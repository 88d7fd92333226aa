package stream_test

import (
	"strings"
	"testing"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/salvor-io/salvor/internal/natstest"
	"github.com/salvor-io/salvor/internal/stream"
)

// Attribute values come back as they were, through a real server: also those
// that a header would change.
func TestAttributesSurviveTheHeader(t *testing.T) {
	js := natstest.Start(t)
	for _, value := range []string{" spaces at the ends ", "100% \"quoted\"", "%41", "größe 日本", "a\r\nNats-Rollup: all", "%", ""} {
		e := cloudevents.NewEvent()
		e.SetID("id" + value)
		e.SetSource("/app")
		e.SetType("t")
		e.SetSubject(value)
		e.SetExtension("ext", value)
		msg, err := stream.Encode("salvor.events._.t", e)
		require.NoError(t, err)
		ack, err := js.PublishMsg(t.Context(), msg)
		require.NoError(t, err)
		s, err := js.Stream(t.Context(), "EVENTS")
		require.NoError(t, err)
		stored, err := s.GetMsg(t.Context(), ack.Sequence)
		require.NoError(t, err)
		assert.Empty(t, stored.Header.Get("Nats-Rollup"))
		got, err := stream.Decode(stored.Header, stored.Data)
		require.NoError(t, err)
		// The SDK's setters trim these two before anything is encoded.
		assert.Equal(t, strings.TrimSpace("id"+value), got.ID())
		assert.Equal(t, strings.TrimSpace(value), got.Subject())
		assert.Contains(t, got.Extensions(), "ext")
		assert.Equal(t, value, got.Extensions()["ext"])
	}
}
