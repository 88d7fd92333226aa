package event_test

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/salvor-io/salvor/api/event"
)

func TestTimerWireForm(t *testing.T) {
	t.Parallel()
	e, err := event.NewTimerEvent(&event.Timer{UID: sampleKey().UID, Namespace: "shop", At: at})
	require.NoError(t, err)
	got, err := json.MarshalIndent(e, "", "  ")
	require.NoError(t, err)
	const path = "testdata/timer.golden.json"
	if *update {
		require.NoError(t, os.WriteFile(path, append(got, '\n'), 0o600))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, string(bytes.TrimSpace(want)), string(got))
}
