package kubesource

import (
	"testing"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"

	"github.com/salvor-io/salvor/api/event"
	salvor "github.com/salvor-io/salvor/api/salvor/v1alpha1"
	"github.com/salvor-io/salvor/internal/natstest"
	"github.com/salvor-io/salvor/internal/stream"
)

// silent has no status to write.
type silent struct{}

func (silent) Tell(*salvor.ActionTrigger, func(*salvor.ActionTriggerStatus)) {}

// bridge is one of several, with what its watch has seen.
type bridge struct {
	*Controller

	l *lookout
}

func newBridge(store Store, events Publisher) *bridge {
	c := &Controller{
		Config: Config{Clock: clock.RealClock{}, Log: zerolog.Nop(), Statuses: silent{}, Events: events, Store: store},
		queue:  workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[key]()), seen: map[key]*memory{},
	}
	informer := cache.NewSharedIndexInformer(&cache.ListWatch{}, &metav1.PartialObjectMetadata{}, 0, cache.Indexers{})
	return &bridge{Controller: c, l: &lookout{watched: []*watching{{informer: informer}}, selector: labels.Everything()}}
}

// sees takes the object as it is now, and tells what is new.
func (b *bridge) sees(t *testing.T, owner *salvor.ActionTrigger, value string) {
	t.Helper()
	object := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Name: "db", UID: "db"}}
	if value != "" {
		object.Annotations = map[string]string{"k": value}
	}
	require.NoError(t, b.l.watched[0].informer.GetStore().Add(object))
	k := key{owner.Namespace, owner.Name}
	for { // as the queue does, until there is nothing to do again
		m := b.seen[k]
		if m == nil {
			var err error
			m, err = b.recall(t.Context(), owner)
			require.NoError(t, err)
			b.seen[k] = m
		}
		require.NoError(t, b.compare(t.Context(), k, owner, b.l, m))
		if b.seen[k] != nil {
			return
		}
	}
}

// Two bridges watch the same object. One sees each change, for the other two came
// together: each is told once all the same.
func TestTwoBridgesTellOnce(t *testing.T) {
	t.Parallel()
	js := natstest.Start(t)
	store, events := stream.NewGates(js), stream.NewEvents(js)
	first, second := newBridge(store, events), newBridge(store, events)
	owner := &salvor.ActionTrigger{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "wanted", UID: "t1"},
		Spec: salvor.ActionTriggerSpec{When: salvor.TriggerSource{Kubernetes: &salvor.KubernetesSource{
			Annotation: &salvor.AnnotationSource{APIVersion: "v1", Kind: "ConfigMap", Key: "k"},
		}}},
	}
	first.sees(t, owner, "0")
	second.sees(t, owner, "0")
	first.sees(t, owner, "1")
	first.sees(t, owner, "2")
	second.sees(t, owner, "2")
	second.sees(t, owner, "3")
	first.sees(t, owner, "3")
	s, err := js.Stream(t.Context(), event.StreamEvents)
	require.NoError(t, err)
	assert.EqualValues(t, 3, s.CachedInfo().State.Msgs)
}
