package bridge_test

import (
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/salvor-io/salvor/api/event"
	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	salvor "github.com/salvor-io/salvor/api/salvor/v1alpha1"
	"github.com/salvor-io/salvor/internal/stream"
)

// lifecycle waits for the event of an ActionSet's end.
func (w *world) lifecycle(as *kanister.ActionSet, typ string) (source string, l event.Lifecycle) {
	w.t.Helper()
	s, err := w.js.Stream(w.t.Context(), event.StreamEvents)
	require.NoError(w.t, err)
	require.Eventually(w.t, func() bool {
		msg, err := s.GetLastMsgForSubject(w.t.Context(), event.EventSubject(as.Namespace, typ))
		if err != nil {
			return false
		}
		e, err := stream.Decode(msg.Header, msg.Data)
		require.NoError(w.t, err)
		require.NoError(w.t, e.DataAs(&l))
		source = e.Source()
		return l.UID == string(as.UID)
	}, patience, tick, "no %s of %s", typ, as.Name)
	return source, l
}

// What never becomes a run ends too, and whoever listens hears of it.
func TestTheEndOfWhatNeverRanIsTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil).start()
	bad := &kanister.ActionSet{
		ObjectMeta: metav1.ObjectMeta{
			Name: "bad", Labels: map[string]string{salvor.LabelTrigger: "closed"}, Annotations: map[string]string{salvor.AnnotationChain: "t1"},
		},
		Spec: &kanister.ActionSetSpec{Actions: []kanister.ActionSpec{{
			Name: "backup", Blueprint: "b", PreferredVersion: "not-a-version",
			Object: kanister.ObjectReference{Kind: "namespace", Name: w.namespace},
		}}},
	}
	as, err := w.clients.ActionSets(w.namespace).Create(t.Context(), bad, metav1.CreateOptions{})
	require.NoError(t, err)
	w.status(as, kanister.StateFailed)
	source, l := w.lifecycle(as, event.TypeRunFailed)
	assert.Equal(t, event.SourceBridge, source)
	assert.Equal(t, "closed", l.Trigger)
	assert.Equal(t, "t1", l.Chain)
	assert.Equal(t, event.ReasonInvalid, l.Failure.Reason)
	assert.Contains(t, l.Failure.Message, "preferredVersion")

	response, err := http.Get("http://" + w.bridge.EventsAddr().String() + "/lifecycle/" + w.namespace + "?type=run.failed") //nolint:noctx // a test
	require.NoError(t, err)
	shown, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	assert.Contains(t, string(shown), `"id":"`+string(as.UID)+`.failed"`, "the feed shows it")

	never := bad.DeepCopy()
	never.Name, never.Annotations = "never", map[string]string{salvor.AnnotationCancel: "not today"}
	never.Spec.Actions[0].PreferredVersion = ""
	as, err = w.clients.ActionSets(w.namespace).Create(t.Context(), never, metav1.CreateOptions{})
	require.NoError(t, err)
	_, l = w.lifecycle(as, event.TypeRunCancelled)
	assert.Equal(t, "not today", l.Failure.Message)
}
