//go:build e2e

package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
)

const mistakes = `
apiVersion: cr.kanister.io/v1alpha1
kind: Blueprint
metadata: {name: mistakes, namespace: "{ns}"}
actions:
  good:
    phases: [{func: KubeTask, name: a, args: {namespace: "{ns}", image: busybox, command: ["true"]}}]
  failing:
    phases: [{func: KubeTask, name: copy, args: {namespace: "{ns}", image: busybox, command: [sh, -c, 'echo "disk is full"; exit 3']}}]
  missingkey:
    phases: [{func: KubeTask, name: a, args: {namespace: "{ns}", image: busybox, command: [echo, '{{ .Options.nosuchoption }}']}}]
  unpullable:
    phases: [{func: KubeTask, name: a, args: {namespace: "{ns}", image: "localhost:1/no/such:image", command: ["true"]}}]
`

// neverRuns are Blueprints that the API server refuses, by the chart's admission policy,
// and what it says. They are created, not applied: kubectl apply drops nulls.
func neverRuns() map[string][]string {
	return map[string][]string{
		`{func: KubeTusk, name: a, args: {}}`:                                                   {"KubeTusk", "salvor validate"},
		`{func: KubeTask, name: a, args: {image: busybox, command: ["true"], colour: red}}`:     {"colour", "KubeTask"},
		`{func: KubeTask, name: a, args: {command: ["true"]}}`:                                  {"image", "KubeTask"},
		`{func: KubeTask, name: a, args: {image: busybox, command: ["true"], namespace: null}}`: {"namespace", "null"},
	}
}

// TestBadInput gives each mistake to the running release: each is answered with
// a sentence that names the thing, and nothing else is harmed.
func TestBadInput(t *testing.T) {
	t.Parallel()
	const ns = "e2e-input"
	apply(t, ns, mistakes)
	for phase, words := range neverRuns() {
		manifest := fmt.Sprintf("apiVersion: cr.kanister.io/v1alpha1\nkind: Blueprint\nmetadata: {name: never, namespace: %s}\nactions: {good: {phases: [%s]}}", ns, phase)
		_, err := suite.tools.Run(t.Context(), strings.NewReader(manifest), "kubectl", "create", "-f", "-")
		require.Error(t, err, phase)
		for _, word := range words {
			require.ErrorContains(t, err, word)
		}
	}
	pod, err := suite.clients.Kube.CoreV1().Pods("salvor").Get(t.Context(), "salvor-0", metav1.GetOptions{})
	require.NoError(t, err)
	const object = `object: {kind: Namespace, name: "{ns}", namespace: "{ns}"}`
	for _, c := range []struct {
		name, action string
		says         []string
	}{
		{"missing-key", `{name: missingkey, blueprint: mistakes, ` + object + `}`, []string{"nosuchoption"}},
		{"no-blueprint", `{name: good, blueprint: nowhere, ` + object + `}`, []string{"nowhere", ns}},
		{"no-action", `{name: gooood, blueprint: mistakes, ` + object + `}`, []string{"gooood", "good"}},
		{"no-object", `{name: good, blueprint: mistakes, object: {kind: StatefulSet, name: ghost, namespace: "{ns}"}}`, []string{"ghost"}},
		{"no-secret", `{name: good, blueprint: mistakes, secrets: {s: {name: ghost, namespace: "{ns}"}}, ` + object + `}`, []string{"ghost"}},
		{"no-profile", `{name: good, blueprint: mistakes, profile: {name: ghost, namespace: "{ns}"}, ` + object + `}`, []string{"ghost"}},
		{"failing", `{name: failing, blueprint: mistakes, ` + object + `}`, []string{`"copy"`, "3", "disk is full"}},
		{"unpullable", `{name: unpullable, blueprint: mistakes, ` + object + `}`, []string{"localhost:1/no/such:image", "pull"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			created := start(t, ns, c.name, c.action)
			got := ended(t, ns, c.name)
			t.Logf("%s after %s: %s", c.name, time.Since(created.CreationTimestamp.Time).Round(time.Second), got.Status.Error.Message)
			assert.Equal(t, kanister.StateFailed, got.Status.State)
			for _, word := range c.says {
				assert.Contains(t, got.Status.Error.Message, word)
			}
		})
	}
	t.Run("and a good one beside them", func(t *testing.T) {
		t.Parallel()
		start(t, ns, "good", `{name: good, blueprint: mistakes, `+object+`}`)
		complete(t, ns, "good")
	})
	t.Cleanup(func() {
		after, err := suite.clients.Kube.CoreV1().Pods("salvor").Get(suiteContext(), "salvor-0", metav1.GetOptions{})
		require.NoError(t, err)
		assert.Equal(t, pod.UID, after.UID)
		assert.Equal(t, pod.Status.ContainerStatuses[0].RestartCount, after.Status.ContainerStatuses[0].RestartCount, "restarts of Salvor")
		noPods(t, ns)
	})
}

func TestBadEvents(t *testing.T) {
	t.Parallel()
	const ns = "e2e-event"
	send := func(body []byte, headers map[string]string) (int, string) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, suite.events+ns, bytes.NewReader(body))
		require.NoError(t, err)
		for name, value := range headers {
			request.Header.Set(name, value)
		}
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		defer response.Body.Close()
		answer, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		return response.StatusCode, string(answer)
	}
	status, answer := send([]byte(`{"specversion":"1.0","id":"1"}`), map[string]string{"Content-Type": "application/cloudevents+json"})
	assert.Equal(t, http.StatusBadRequest, status, answer)
	assert.Contains(t, answer, "source")
	status, answer = send([]byte(`{`), map[string]string{"Content-Type": "application/cloudevents+json"})
	assert.Equal(t, http.StatusBadRequest, status, answer)
	status, answer = send([]byte(strings.Repeat("x", 300<<10)), map[string]string{
		"Content-Type": "text/plain", "ce-specversion": "1.0", "ce-id": "1", "ce-source": "/x", "ce-type": "t",
	})
	assert.Equal(t, http.StatusRequestEntityTooLarge, status, answer)
	assert.Contains(t, answer, "262144")
	status, answer = send([]byte(`{}`), map[string]string{
		"Content-Type": "application/json", "ce-specversion": "1.0", "ce-id": "1", "ce-source": "/x", "ce-type": "t",
	})
	assert.Equal(t, http.StatusAccepted, status, answer)
}
