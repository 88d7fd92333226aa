package trigger

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"

	"github.com/salvor-io/salvor/api/event"
	salvor "github.com/salvor-io/salvor/api/salvor/v1alpha1"
	"github.com/salvor-io/salvor/bridge/trigger/gate"
	"github.com/salvor-io/salvor/internal/kube"
	"github.com/salvor-io/salvor/internal/natstest"
	"github.com/salvor-io/salvor/internal/stream"
)

// emptyCluster is an API server on which there is nothing.
func emptyCluster(t *testing.T) *kube.Clients {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		parts := strings.Split(r.URL.Path, "/")
		gone := apierrors.NewNotFound(salvor.GroupVersion.WithResource("actiontriggers").GroupResource(), parts[len(parts)-1])
		status := gone.Status()
		status.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusNotFound)
		_ = json.NewEncoder(w).Encode(status)
	}))
	t.Cleanup(server.Close)
	clients, err := kube.New(&rest.Config{Host: server.URL})
	require.NoError(t, err)
	return clients
}

// A run that ends while its trigger is deleted must not keep the gate, and those who
// wait for its window, for ever.
func TestRunEndsWhileItsTriggerIsDeleted(t *testing.T) {
	t.Parallel()
	js, clients := natstest.Start(t), emptyCluster(t)
	watcher, err := NewWatcher(clients, zerolog.Nop(), nil)
	require.NoError(t, err)
	c := New(Config{
		Clients: clients, Clock: clock.RealClock{}, Log: zerolog.New(zerolog.NewTestWriter(t)), Watcher: watcher,
		Events: stream.NewEvents(js), Gates: stream.NewGates(js), Outcomes: stream.NewOutcomes(js),
	})
	s := gate.State{
		Owner:  gate.Owner{Namespace: "shop", Trigger: "t", UID: "u"},
		Window: &gate.Window{Key: event.WindowKey("u", "", "/s", "1"), Count: 1, Due: time.Now().Add(time.Hour)},
		Active: []gate.Active{{Name: "backup-1"}},
	}
	data, err := s.Encode()
	require.NoError(t, err)
	key := event.GateKey("u", "")
	_, err = c.Gates.Put(t.Context(), key, data, 0)
	require.NoError(t, err)
	c.keeper.entry(key, s.Owner)

	c.keeper.tell(key, endOf("backup-1"))
	c.keeper.write(t.Context(), key)

	told, _, err := c.Outcomes.Window(t.Context(), s.Window.Key)
	require.NoError(t, err)
	assert.Equal(t, event.ResultRejected, told.Result)
	left, _, err := c.Gates.Get(t.Context(), key)
	require.NoError(t, err)
	assert.Empty(t, left)
	assert.False(t, c.keeper.has(key))
}
