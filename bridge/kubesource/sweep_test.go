package kubesource

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/salvor-io/salvor/api/event"
	salvor "github.com/salvor-io/salvor/api/salvor/v1alpha1"
	"github.com/salvor-io/salvor/internal/natstest"
	"github.com/salvor-io/salvor/internal/stream"
)

// growing has one more trigger, which begins its record, while records are listed.
type growing struct {
	Triggers
	Store

	t   *testing.T
	all []*salvor.ActionTrigger
}

func (g *growing) All() []*salvor.ActionTrigger { return g.all }

func (g *growing) Follow(ctx context.Context, keys string, update func(stream.GateUpdate), synced func()) error {
	g.all = []*salvor.ActionTrigger{{
		ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: "new", UID: "new"},
		Spec:       salvor.ActionTriggerSpec{When: salvor.TriggerSource{Kubernetes: &salvor.KubernetesSource{}}},
	}}
	for _, uid := range []string{"new", "gone"} {
		value, err := json.Marshal(&record{Namespace: "n"})
		require.NoError(g.t, err)
		_, err = g.Put(ctx, event.BaselineKey(uid), value, 0)
		require.NoError(g.t, err)
	}
	return g.Store.Follow(ctx, keys, update, synced)
}

// A trigger that is made while records of old ones are looked for keeps its own.
func TestSweepLeavesWhatIsNew(t *testing.T) {
	t.Parallel()
	g := &growing{t: t, Store: stream.NewGates(natstest.Start(t))}
	c := &Controller{Config: Config{Triggers: g, Store: g, Log: zerolog.Nop(), Serves: func(string) bool { return true }}}
	c.sweep(t.Context())
	left, _, err := g.Get(t.Context(), event.BaselineKey("new"))
	require.NoError(t, err)
	assert.NotEmpty(t, left)
	gone, _, err := g.Get(t.Context(), event.BaselineKey("gone"))
	require.NoError(t, err)
	assert.Empty(t, gone)
}
