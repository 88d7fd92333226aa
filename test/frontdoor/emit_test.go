package frontdoor

import (
	"errors"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	salvor "github.com/salvor-io/salvor/api/salvor/v1alpha1"
	"github.com/salvor-io/salvor/internal/fixture/outtest"
)

// gated waits until a ConfigMap says that it may end, well or not.
const gated = `
apiVersion: cr.kanister.io/v1alpha1
kind: Blueprint
metadata: {name: gated}
actions:
  held:
    phases:
    - {func: Wait, name: gate, args: {timeout: 5m, conditions: {allOf: [{condition: '{{ if eq "{ $.data.open }" "true" }}true{{ end }}', objectReference: {apiVersion: v1, resource: configmaps, name: gate, namespace: '{{ .Namespace.Name }}'}}]}}}
  broken:
    phases:
    - {func: KubeOps, name: breaks, args: {operation: create, namespace: '{{ .Namespace.Name }}', spec: '{apiVersion: v1, kind: ConfigMap, metadata: {name: gate}}'}}
`

const hook = `
metadata: {name: NAME}
spec:
  when: {event: {filters: [{exact: {type: NAME}}]}}
  template:
    spec: {actions: [{name: NAME, blueprint: gated, object: {kind: Namespace, name: NS, namespace: NS}}]}
`

// TestEmitWaits runs `salvor emit --wait` against a whole server, which is killed
// while the command waits.
func TestEmitWaits(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.args[2] = "bridge,dispatcher,runner"
	l.args = append(l.args, "--runner-name", "test", "--namespace", l.namespace)
	var blueprint kanister.Blueprint
	require.NoError(t, yaml.UnmarshalStrict([]byte(gated), &blueprint))
	_, err := l.clients.Blueprints(l.namespace).Create(t.Context(), &blueprint, metav1.CreateOptions{})
	require.NoError(t, err)
	maps := l.clients.Kube.CoreV1().ConfigMaps(l.namespace)
	_, err = maps.Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "gate"}, Data: map[string]string{"open": "false"}}, metav1.CreateOptions{})
	require.NoError(t, err)
	for _, name := range []string{"held", "broken"} {
		var trigger salvor.ActionTrigger
		require.NoError(t, yaml.UnmarshalStrict([]byte(strings.NewReplacer("NAME", name, "NS", l.namespace).Replace(hook)), &trigger))
		_, err := l.clients.ActionTriggers(l.namespace).Create(t.Context(), &trigger, metav1.CreateOptions{})
		require.NoError(t, err)
	}
	l.mayFire("held", "broken")
	server := l.process(t.Context(), l.args...)
	require.Eventually(t, l.ready, patience, tick)

	code, said := l.emit(t, "nobody-listens")
	assert.Equal(t, 3, code, said)
	assert.Contains(t, said, "no ActionTrigger matches")
	code, said = l.emit(t, "broken", "--sign-key-file", l.keyFile)
	assert.Equal(t, 2, code, said)
	assert.Regexp(t, `ActionSet \S+/broken-\S+ failed: .*"breaks"`, said, "it says why")
	code, said = l.emit(t, "held", "--timeout", "3s")
	assert.Equal(t, 4, code, said)
	assert.Regexp(t, `ActionSet \S+/held-\S+ (pending|running)`, said, "it says how far it was")
	code, said = l.emit(t, "held", "--token-file", "/dev/null", "--timeout", "3s")
	assert.Equal(t, 1, code, said)

	// The server goes while the command waits, comes back, and only then the run ends.
	running := l.emitting("held", "--sign-key-file", l.keyFile)
	require.NoError(t, running.Start())
	require.Eventually(t, func() bool { return strings.Contains(l.said(running), "phase gate") }, patience, tick, "the run is seen")
	require.NoError(t, server.Process.Kill())
	_ = server.Wait() // killed
	require.Eventually(t, func() bool { return strings.Contains(l.said(running), "trying again") }, patience, tick, "its absence too")
	l.process(t.Context(), l.args...)
	require.Eventually(t, l.ready, patience, tick)
	_, err = maps.Patch(t.Context(), "gate", types.MergePatchType, []byte(`{"data":{"open":"true"}}`), metav1.PatchOptions{})
	require.NoError(t, err)
	require.NoError(t, running.Wait(), l.said(running))
	assert.Regexp(t, `ActionSet \S+/held-\S+ complete`, l.said(running))
	list, err := l.clients.ActionSets(l.namespace).List(t.Context(), metav1.ListOptions{LabelSelector: salvor.LabelTrigger + "=held"})
	require.NoError(t, err)
	assert.Len(t, list.Items, 2, "one for each event that was sent, with another id")
}

// emitting prepares the command with an id of its own.
func (l *lab) emitting(eventType string, flags ...string) *exec.Cmd {
	args := []string{"emit", "--wait", "--timeout", "2m", "--type", eventType, "--source", "/hook", "--to", l.url}
	if len(flags) == 0 || flags[0] != "--sign-key-file" {
		args = append(args, "--token-file", l.tokenFile)
	}
	cmd := exec.CommandContext(l.t.Context(), *program, append(args, flags...)...)
	cmd.Stdout = &outtest.Buffer{}
	cmd.Stderr = cmd.Stdout
	return cmd
}

func (l *lab) said(cmd *exec.Cmd) string {
	out, ok := cmd.Stdout.(*outtest.Buffer)
	require.True(l.t, ok)
	return out.String()
}

// emit runs the command and returns its exit code and what it said.
func (l *lab) emit(t *testing.T, eventType string, flags ...string) (int, string) {
	t.Helper()
	cmd := l.emitting(eventType, flags...)
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode(), l.said(cmd)
	}
	require.NoError(t, err)
	return 0, l.said(cmd)
}
