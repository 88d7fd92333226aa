package runner

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"github.com/salvor-io/salvor/api/event"
	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	"github.com/salvor-io/salvor/internal/kube"
	"github.com/salvor-io/salvor/runner/pods"
)

// A pod goes only where it is proved that nobody waits for it.
func TestPodOver(t *testing.T) {
	actionSet := func(uid string, state kanister.State) any {
		a := &kanister.ActionSet{
			TypeMeta:   metav1.TypeMeta{APIVersion: "cr.kanister.io/v1alpha1", Kind: "ActionSet"},
			ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "backup-1", UID: types.UID(uid)},
		}
		if state != "" {
			a.Status = &kanister.ActionSetStatus{State: state}
		}
		return a
	}
	status := func(code int32, reason metav1.StatusReason) any {
		return &metav1.Status{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: metav1.StatusFailure, Code: code, Reason: reason}
	}
	const gone = "gone"
	tests := map[string]struct {
		run     any // nil leaves the run as it is: running
		answer  any
		code    int
		want    bool
		wantErr bool
	}{
		"run is running":                      {want: false},
		"run has ended":                       {run: event.StateComplete, want: true},
		"no run, no ActionSet":                {run: gone, answer: status(404, metav1.StatusReasonNotFound), code: 404, want: true},
		"no run, another ActionSet":           {run: gone, answer: actionSet("u2", ""), want: true},
		"no run, ActionSet has ended":         {run: gone, answer: actionSet("u1", kanister.StateFailed), want: true},
		"store lost, ActionSet runs":          {run: gone, answer: actionSet("u1", kanister.StateRunning), want: false},
		"store lost, ActionSet is new":        {run: gone, answer: actionSet("u1", ""), want: false},
		"no run, the API server does not say": {run: gone, answer: status(403, metav1.StatusReasonForbidden), code: 403, wantErr: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, nil)
			switch tt.run {
			case nil:
			case gone:
				require.NoError(t, b.runs.Delete(t.Context(), "shop", "u1"))
			default:
				b.update(func(r *event.Run) { r.State = event.StateComplete })
			}
			api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				assert.Equal(t, "/apis/cr.kanister.io/v1alpha1/namespaces/shop/actionsets/backup-1", r.URL.Path)
				w.Header().Set("Content-Type", "application/json")
				if tt.code != 0 {
					w.WriteHeader(tt.code)
				}
				assert.NoError(t, json.NewEncoder(w).Encode(tt.answer))
			}))
			t.Cleanup(api.Close)
			clients, err := kube.New(&rest.Config{Host: api.URL})
			require.NoError(t, err)
			r := &Runner{runs: b.runs, clients: clients}
			over, err := r.podOver(t.Context(), pods.Identity{Key: b.key(event.KindCore, 0), ActionSet: "backup-1"})
			assert.Equal(t, tt.wantErr, err != nil, "%v", err)
			assert.Equal(t, tt.want, over)
		})
	}
}
