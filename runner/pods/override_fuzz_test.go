package pods

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"

	"github.com/salvor-io/salvor/runner/function"
)

// Whatever a Blueprint and an ActionSet ask of a pod: building it does not panic,
// it stays the pod of its attempt, its command runs once, and the API server can
// read it.
func FuzzOverride(f *testing.F) {
	for _, seed := range []string{
		`{}`, `null`, `[]`, `"x"`, `{"containers":null}`, `{"containers":[{"name":"container","$patch":"delete"}]}`,
		`{"containers":[{"name":"container","image":"y","restartPolicy":"Always"},{"name":"side"}]}`,
		`{"containers":[{"image":"y"}]}`, `{"restartPolicy":"Always"}`, `{"restartPolicy":null}`, `{"$patch":"replace"}`, `{"$patch":"delete"}`,
		`{"$retainKeys":["restartPolicy"],"restartPolicy":"OnFailure"}`, `{"$setElementOrder/containers":[{"name":"b"}]}`,
		`{"$deleteFromPrimitiveList/containers":[1]}`, `{"tolerations":[{"key":"a","operator":"Exists"}]}`, `{"volumes":[{"name":"v","emptyDir":{}}]}`,
		`{"volumes":[{"name":"v","$patch":"delete"}]}`, `{"metadata":{"labels":{"salvor.io/run":"x"}}}`, `{"securityContext":{"runAsUser":0}}`,
		`{"initContainers":[{"name":"container","restartPolicy":"Always"}]}`, `{"nodeSelector":{"a":"b"},"hostNetwork":true}`, `{"unknown":{"a":1}}`,
		`{"activeDeadlineSeconds":1.5}`, `{"containers":{"name":"container"}}`, `{"containers":[null]}`, `{"containers":[[{"name":"container"}]]}`,
	} {
		f.Add(seed, seed, "salvor.io/attempt", "9")
		f.Add(seed, `{"hostname":"h"}`, "a", "b")
	}
	f.Fuzz(func(t *testing.T, blueprint, actionSet, label, value string) {
		var first, second map[string]any
		if json.Unmarshal([]byte(blueprint), &first) != nil || json.Unmarshal([]byte(actionSet), &second) != nil {
			t.Skip("the caller has maps")
		}
		d := testDraft(func(d *draft) {
			d.spec = function.PodSpec{Image: "postgres:15", Command: []string{"true"}, Override: first, Labels: map[string]string{label: value}}
			d.actionSet = wishes{override: second, labels: map[string]string{label: value}}
		})
		pod, _, err := build(d)
		if err != nil {
			return
		}
		id, err := identify(pod)
		require.NoError(t, err)
		assert.Equal(t, d.call.Key, id.Key)
		assert.Equal(t, d.call.Key.PodName(), pod.Name)
		assert.Equal(t, corev1.RestartPolicyNever, pod.Spec.RestartPolicy)
		main := pod.Spec.Containers[0]
		assert.Equal(t, defaultMainName, main.Name)
		assert.Nil(t, main.RestartPolicy, "the kubelet would run the command again")
		assert.Empty(t, main.RestartPolicyRules)
		data, err := json.Marshal(pod)
		require.NoError(t, err)
		var back corev1.Pod
		require.NoError(t, json.Unmarshal(data, &back))
	})
}
