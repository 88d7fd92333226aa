package trigger

import (
	"testing"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	salvor "github.com/salvor-io/salvor/api/salvor/v1alpha1"
	"github.com/salvor-io/salvor/internal/kube"
)

// An event that is addressed to a namespace is seen by the triggers of that one, and
// one addressed to none by all; a name that begins alike is another namespace.
func TestTriggersOfANamespace(t *testing.T) {
	clients, err := kube.New(&rest.Config{Host: "http://127.0.0.1:1"}) // nothing is contacted
	require.NoError(t, err)
	w, err := NewWatcher(clients, zerolog.Nop(), nil)
	require.NoError(t, err)
	for _, namespace := range []string{"shop", "shop", "shops", "bank"} {
		name := namespace + "-" + string(rune('a'+len(w.All())))
		require.NoError(t, w.informers[0].GetIndexer().Add(&salvor.ActionTrigger{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}))
	}
	names := func(found []*salvor.ActionTrigger) []string {
		out := []string{}
		for _, one := range found {
			out = append(out, one.Name)
		}
		return out
	}
	assert.ElementsMatch(t, []string{"shop-a", "shop-b"}, names(w.In("shop")))
	assert.ElementsMatch(t, []string{"bank-d"}, names(w.In("bank")))
	assert.Empty(t, w.In("elsewhere"))
	assert.ElementsMatch(t, []string{"shop-a", "shop-b", "shops-c", "bank-d"}, names(w.All()))
}
