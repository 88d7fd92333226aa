package dispatcher_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/salvor-io/salvor/api/event"
	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	"github.com/salvor-io/salvor/dispatcher"
	"github.com/salvor-io/salvor/internal/blueprint"
	"github.com/salvor-io/salvor/internal/kube"
	"github.com/salvor-io/salvor/internal/stream"
)

// apiServer answers reads with what the table says, the first times with an
// internal error.
func apiServer(t *testing.T, failures int32, objects map[string]any) *kube.Clients {
	t.Helper()
	var count atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		answer, code := objects[r.URL.Path], http.StatusOK
		switch {
		case count.Add(1) <= failures:
			code = http.StatusInternalServerError
			answer = metav1.Status{Status: "Failure", Reason: metav1.StatusReasonInternalError, Code: 500, Message: "etcd has no leader"}
		case answer == nil:
			code = http.StatusNotFound
			answer = metav1.Status{Status: "Failure", Reason: metav1.StatusReasonNotFound, Code: 404, Message: "not found"}
		}
		w.WriteHeader(code)
		_ = json.NewEncoder(w).Encode(answer)
	}))
	t.Cleanup(server.Close)
	clients, err := kube.New(&rest.Config{Host: server.URL})
	require.NoError(t, err)
	return clients
}

func TestPlansFromTheCluster(t *testing.T) {
	t.Parallel()
	bp := &kanister.Blueprint{
		TypeMeta: metav1.TypeMeta{APIVersion: "cr.kanister.io/v1alpha1", Kind: "Blueprint"},
		ObjectMeta: metav1.ObjectMeta{
			Name: "wait", Namespace: "library", ResourceVersion: "7", ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "kubectl"}},
		},
		Actions: map[string]*kanister.BlueprintAction{
			"check": {Phases: []kanister.BlueprintPhase{{
				Name: "scale", Func: "ScaleWorkload", Args: kanister.JSONMap{"replicas": 0, "namespace": "ns", "name": "db", "kind": "deployment"},
			}}},
			"broken": {Phases: []kanister.BlueprintPhase{{Name: "p", Func: "KubeTusk", Args: kanister.JSONMap{}}}},
		},
	}
	clients := apiServer(t, 2, map[string]any{
		"/apis/cr.kanister.io/v1alpha1/namespaces/library/blueprints/wait": bp,
		"/api/v1/namespaces/ns": &corev1.Namespace{
			TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"}, ObjectMeta: metav1.ObjectMeta{Name: "ns"},
		},
		"/api": metav1.APIVersions{TypeMeta: metav1.TypeMeta{Kind: "APIVersions"}, Versions: []string{"v1"}},
		"/api/v1": metav1.APIResourceList{
			TypeMeta: metav1.TypeMeta{Kind: "APIResourceList"}, GroupVersion: "v1",
			APIResources: []metav1.APIResource{{Name: "namespaces", SingularName: "namespace", Kind: "Namespace"}},
		},
		"/apis": metav1.APIGroupList{TypeMeta: metav1.TypeMeta{Kind: "APIGroupList"}},
	})
	s := startServer(t)
	o := options()
	o.Library = "library"
	startDispatcher(t, dispatcher.Deps{JS: s.js, Clients: clients}, o)
	r := startRunner(t, s.js, &runner{})
	spec := func(name, bp string) kanister.ActionSpec {
		return kanister.ActionSpec{Name: name, Blueprint: bp, Object: kanister.ObjectReference{Kind: "namespace", Name: "ns"}}
	}
	s.create("ns", "ok", spec("check", "wait"))
	run := ended(t, s.runs, "ns", "ok")
	require.Equal(t, event.StateComplete, run.State, "an API server that comes back is no failure: %+v", run.Failure)
	assert.Equal(t, map[string]int{"ok.0.p0.1": 1}, r.executed())
	var pinned kanister.Blueprint
	require.NoError(t, stream.NewBlobs(s.js).Get(t.Context(), run.Actions[0].Blueprint.Content, &pinned))
	assert.Equal(t, "library", pinned.Namespace)
	assert.Empty(t, pinned.ManagedFields)
	var params blueprint.Params
	require.NoError(t, stream.NewBlobs(s.js).Get(t.Context(), *run.Actions[0].Params, &params))
	assert.Equal(t, "ns", params.ObjectRef.Name)

	for name, c := range map[string]struct {
		spec   kanister.ActionSpec
		reason event.Reason
		text   string
	}{
		"no-blueprint":   {spec("check", "absent"), event.ReasonNotFound, "absent"},
		"unnamed":        {spec("check", ""), event.ReasonInvalid, "spec.actions[0].blueprint"},
		"no-action":      {spec("restore", "wait"), event.ReasonInvalid, "restore"},
		"bad-function":   {spec("broken", "wait"), event.ReasonInvalid, "KubeTusk"},
		"missing-object": {kanister.ActionSpec{Name: "check", Blueprint: "wait", Object: kanister.ObjectReference{Kind: "namespace", Name: "gone"}}, event.ReasonNotFound, "gone"},
	} {
		s.create("ns", name, c.spec)
		run := ended(t, s.runs, "ns", name)
		assert.Equal(t, event.StateFailed, run.State, name)
		assert.Equal(t, c.reason, run.Failure.Reason, name)
		assert.Contains(t, run.Failure.Message, c.text)
		t.Log(run.Failure.Message)
	}
}
