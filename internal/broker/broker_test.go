package broker_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/salvor-io/salvor/internal/broker"
	"github.com/salvor-io/salvor/internal/fixture/outtest"
)

func start(t *testing.T, o broker.Options) (*broker.Broker, jetstream.JetStream) {
	t.Helper()
	b, err := broker.Start(t.Context(), o)
	require.NoError(t, err)
	nc, err := b.Connect()
	require.NoError(t, err)
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	return b, js
}

func TestWhatIsAcknowledgedIsThereAfterARestart(t *testing.T) {
	t.Parallel()
	o := broker.Options{StoreDir: t.TempDir()}
	b, js := start(t, o)
	_, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}})
	require.NoError(t, err)
	_, err = js.Publish(t.Context(), "s", []byte("kept"))
	require.NoError(t, err)
	b.Stop()

	b, js = start(t, o)
	defer b.Stop()
	s, err := js.Stream(t.Context(), "S")
	require.NoError(t, err)
	msg, err := s.GetLastMsgForSubject(t.Context(), "s")
	require.NoError(t, err)
	assert.Equal(t, "kept", string(msg.Data))
}

func TestNothingListensUnlessAsked(t *testing.T) {
	t.Parallel()
	b, _ := start(t, broker.Options{StoreDir: t.TempDir(), NoSync: true})
	defer b.Stop()
	assert.Empty(t, b.URL())
	open, err := broker.Start(t.Context(), broker.Options{StoreDir: t.TempDir(), NoSync: true, Host: "127.0.0.1", Port: -1})
	require.NoError(t, err)
	defer open.Stop()
	nc, err := nats.Connect(open.URL())
	require.NoError(t, err)
	nc.Close()
}

func TestStoreThatCannotBe(t *testing.T) {
	t.Parallel()
	_, err := broker.Start(t.Context(), broker.Options{})
	require.ErrorContains(t, err, "--data-dir")
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, err = broker.Start(t.Context(), broker.Options{StoreDir: file})
	require.ErrorContains(t, err, file)
}

func TestTheServerSaysWhatItDoes(t *testing.T) {
	t.Parallel()
	var log outtest.Buffer
	b, _ := start(t, broker.Options{StoreDir: t.TempDir(), NoSync: true, Log: zerolog.New(&log)})
	b.Stop()
	assert.Contains(t, log.String(), "JetStream")
}
