package trigger

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"

	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	salvor "github.com/salvor-io/salvor/api/salvor/v1alpha1"
	"github.com/salvor-io/salvor/internal/kube"
)

// A namespace whose webhook does not answer does not hold up the others.
func TestSlowNamespaceHoldsUpNobody(t *testing.T) {
	t.Parallel()
	ended, end := context.WithCancel(t.Context())
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/namespaces/slow/") {
			<-ended.Done()
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusCreated)
		_ = json.NewEncoder(w).Encode(&kanister.ActionSet{})
	}))
	t.Cleanup(server.Close)
	clients, err := kube.New(&rest.Config{Host: server.URL})
	require.NoError(t, err)
	watcher, err := NewWatcher(clients, zerolog.Nop(), nil)
	require.NoError(t, err)
	c := New(Config{Clients: clients, Clock: clock.RealClock{}, Log: zerolog.Nop(), Watcher: watcher})
	e := cloudevents.NewEvent()
	e.SetID("1")
	e.SetSource("/s")
	e.SetType("t.a")
	trigger := func(namespace string) *salvor.ActionTrigger {
		tr := aTrigger("t")
		tr.Namespace, tr.UID, tr.Spec.Key = namespace, "u-"+tr.UID, ""
		tr.Spec.When.Event = &salvor.EventSource{Filters: []salvor.EventFilter{{Exact: map[string]string{"type": "t.a"}}}}
		tr.Spec.Template.Metadata = salvor.TemplateMetadata{}
		tr.Spec.Template.Spec.Actions[0].Blueprint = "b"
		tr.Spec.Template.Spec.Actions[0].Object = kanister.ObjectReference{Kind: "Namespace", Name: namespace}
		return tr
	}
	slow, quick := trigger("slow"), trigger("quick")
	quick.UID = "other"
	var running sync.WaitGroup
	defer running.Wait()
	defer end()
	for i := range 200 {
		running.Go(func() {
			_, _ = c.create(ended, slow, &order{name: fmt.Sprint("slow-", i), event: &e, patience: time.Hour})
		})
	}
	require.Eventually(t, func() bool {
		c.making.mu.Lock()
		defer c.making.mu.Unlock()
		return c.making.of["slow"] != nil && c.making.of["slow"].users == 200
	}, 3*time.Minute, time.Millisecond)
	limited, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	made, err := c.create(limited, quick, &order{name: "quick", event: &e, patience: patienceEvent})
	require.NoError(t, err)
	assert.True(t, made.fresh)

	_, err = c.create(limited, slow, &order{name: "one-more", event: &e, patience: time.Millisecond})
	require.ErrorContains(t, err, "slow")
	assert.Nil(t, asPermanent(err), "it is tried again")
}
