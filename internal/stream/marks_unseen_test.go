package stream

import (
	"context"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/salvor-io/salvor/api/event"
)

// unfinished is a bucket of three servers whose leader has taken a write and not
// stored it yet: creating is a conflict, reading finds nothing.
type unfinished struct {
	jetstream.KeyValue

	stored []byte
}

func (u *unfinished) Create(context.Context, string, []byte, ...jetstream.KVCreateOpt) (uint64, error) {
	return 0, jetstream.ErrKeyExists
}

func (u *unfinished) Get(context.Context, string) (jetstream.KeyValueEntry, error) {
	if u.stored == nil {
		return nil, jetstream.ErrKeyNotFound
	}
	return entry{value: u.stored}, nil
}

type entry struct {
	jetstream.KeyValueEntry

	value []byte
}

func (e entry) Value() []byte { return e.value }

// A pod must not be taken for lost because its mark is still being written: the
// answer to the first try got lost, the second one meets it.
func TestAMarkThatIsBeingWritten(t *testing.T) {
	t.Parallel()
	kv := &unfinished{}
	l, k := &Leases{kv: kv}, event.Key{UID: "u", Namespace: "ns", Kind: event.KindCore, Attempt: 1}
	err := l.MarkPod(t.Context(), k, "", "pod-1")
	require.Error(t, err)
	require.NotErrorIs(t, err, ErrExists, "another pod is not marked; ask again")
	require.Error(t, l.MarkStarted(t.Context(), k, "me"))
	require.NotErrorIs(t, l.MarkStarted(t.Context(), k, "me"), ErrExists)

	kv.stored = []byte("pod-1")
	require.NoError(t, l.MarkPod(t.Context(), k, "", "pod-1"))
	kv.stored = []byte("pod-2")
	assert.ErrorIs(t, l.MarkPod(t.Context(), k, "", "pod-1"), ErrExists)
}
