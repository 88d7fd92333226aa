package main

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	"github.com/salvor-io/salvor/internal/fixture/outtest"
	"github.com/salvor-io/salvor/internal/kube"
	"github.com/salvor-io/salvor/internal/stream"
)

// mixed has an action for each place at which a run can be when the store goes:
// its first phase, a later one, and the deferPhase. Each is held there by a gate,
// and each has an effect that can be counted: an object with a new name.
const mixed = `
apiVersion: cr.kanister.io/v1alpha1
kind: Blueprint
metadata: {name: mixed}
actions:
  first:
    phases:
    - {func: Wait, name: held, args: {timeout: 1h, conditions: {allOf: [&gate {condition: '{{ if eq "{ $.data.open }" "true" }}true{{ end }}', objectReference: {apiVersion: v1, resource: configmaps, name: gate, namespace: '{{ .Namespace.Name }}'}}]}}}
    - &make {func: KubeOps, name: make, args: {operation: create, namespace: '{{ .Namespace.Name }}', spec: '{apiVersion: v1, kind: ConfigMap, metadata: {generateName: effect-, labels: {run: "{{ .Options.run }}"}}}'}}
  later:
    phases:
    - *make
    - {func: Wait, name: held, args: {timeout: 1h, conditions: {allOf: [*gate]}}}
  defer:
    phases:
    - *make
    deferPhase: {func: Wait, name: held, args: {timeout: 1h, conditions: {allOf: [*gate]}}}
`

const wipedRuns = 50

// TestAWipedStore kills the whole server, with its broker, while runs are at all
// places, removes the store and starts the server again.
func TestAWipedStore(t *testing.T) {
	loseTheStore(t, func(p *exec.Cmd, args []string, data, _ string) {
		require.NoError(t, p.Process.Kill())
		_ = p.Wait() // killed
		require.NoError(t, os.RemoveAll(data))
		serveProcess(t, args)
	})
}

// TestStreamsDeletedUnderTheServer takes the streams away from the server that
// runs: it has to notice, and to go on in the same process.
func TestStreamsDeletedUnderTheServer(t *testing.T) {
	loseTheStore(t, func(_ *exec.Cmd, _ []string, _, url string) {
		nc, err := nats.Connect(url)
		require.NoError(t, err)
		defer nc.Close()
		js, err := jetstream.New(nc)
		require.NoError(t, err)
		for _, name := range stream.Names() {
			require.NoError(t, js.DeleteStream(t.Context(), name))
		}
		require.Eventually(t, func() bool {
			all, err := stream.Survey(t.Context(), js)
			return err == nil && !slices.ContainsFunc(all, func(c stream.Copies) bool { return c.Missing })
		}, 3*time.Minute, 50*time.Millisecond, "the streams are made anew")
	})
}

// loseTheStore brings runs to all places, loses the store, and lets them go on.
// Every run has to complete and to have had its effect once: also a phase that is
// run again, as the first ones of a run that is made anew may be.
func loseTheStore(t *testing.T, lose func(p *exec.Cmd, args []string, data, url string)) {
	t.Helper()
	namespace := server.Namespace(t)
	clients, err := kube.New(server.Config())
	require.NoError(t, err)
	var blueprint kanister.Blueprint
	require.NoError(t, yaml.UnmarshalStrict([]byte(mixed), &blueprint))
	_, err = clients.Blueprints(namespace).Create(t.Context(), &blueprint, metav1.CreateOptions{})
	require.NoError(t, err)
	gate := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "gate"}, Data: map[string]string{"open": "false"}}
	_, err = clients.Kube.CoreV1().ConfigMaps(namespace).Create(t.Context(), gate, metav1.CreateOptions{})
	require.NoError(t, err)

	data := filepath.Join(t.TempDir(), "store")
	probes, url := freeAddress(t), freeAddress(t)
	args := []string{
		"serve", "--kubeconfig", server.Kubeconfig(t), "--namespace", namespace, "--data-dir", data, "--probe-listen", probes,
		"--listen", freeAddress(t), "--runner-name", "test", "--runner-slots", "100",
		"--nats-listen", url,
	}
	first := serveProcess(t, args)
	awaitReady(t, probes)
	places := []string{"first", "later", "defer"}
	for i := range wipedRuns {
		name := fmt.Sprintf("run-%d", i)
		_, err := clients.ActionSets(namespace).Create(t.Context(), &kanister.ActionSet{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			Spec: &kanister.ActionSetSpec{Actions: []kanister.ActionSpec{{
				Name: places[i%len(places)], Blueprint: "mixed", Options: map[string]string{"run": name},
				Object: kanister.ObjectReference{Kind: "namespace", Name: namespace, Namespace: namespace},
			}}},
		}, metav1.CreateOptions{})
		require.NoError(t, err)
	}
	states := func() map[string]int { return countStates(t, clients, namespace) }
	held := map[string]int{"running/held": wipedRuns}
	require.Eventually(t, func() bool { return assert.ObjectsAreEqual(held, states()) }, 5*time.Minute, 100*time.Millisecond, "all are at their gates")

	lose(first, args, data, "nats://"+url)
	awaitReady(t, probes)
	_, err = clients.Kube.CoreV1().ConfigMaps(namespace).Patch(t.Context(), "gate", types.MergePatchType, []byte(`{"data":{"open":"true"}}`), metav1.PatchOptions{})
	require.NoError(t, err)
	var last map[string]int
	if !assert.Eventually(t, func() bool {
		last = states()
		return last["complete"] == wipedRuns
	}, 5*time.Minute, 100*time.Millisecond, "all end well") {
		t.Log(last)
	}

	made, err := clients.Kube.CoreV1().ConfigMaps(namespace).List(t.Context(), metav1.ListOptions{LabelSelector: "run"})
	require.NoError(t, err)
	effects := map[string]int{}
	for i := range made.Items {
		effects[made.Items[i].Labels["run"]]++
	}
	assert.Len(t, effects, wipedRuns, "each run had its effect")
	assert.Len(t, made.Items, wipedRuns, "once")
}

// countStates counts the ActionSets by state, and those that run by where they do.
func countStates(t *testing.T, clients *kube.Clients, namespace string) map[string]int {
	t.Helper()
	list, err := clients.ActionSets(namespace).List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	counts := map[string]int{}
	for i := range list.Items {
		status := list.Items[i].Status
		if status == nil || len(status.Actions) == 0 {
			counts["new"]++
			continue
		}
		state := string(status.State)
		phases := status.Actions[0].Phases
		if last := status.Actions[0].DeferPhase; last != nil {
			phases = append(phases, *last)
		}
		for _, phase := range phases {
			if status.State == kanister.StateRunning && phase.State == kanister.StateRunning {
				state += "/" + phase.Name
			}
		}
		counts[state]++
	}
	return counts
}

// serveProcess runs the program in a process of its own, which a test may kill.
func serveProcess(t *testing.T, args []string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestHelper$")
	cmd.Env = append(os.Environ(), helper+"=serve", helperArgs+"="+strings.Join(args, "\n"))
	var log outtest.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()         // killed
		if t.Failed() {
			text := log.String()
			t.Log(text[max(0, len(text)-20_000):])
		}
	})
	return cmd
}

func awaitReady(t *testing.T, probes string) {
	t.Helper()
	require.Eventually(t, func() bool {
		code, _ := get(t, "http://"+probes+"/readyz")
		return code == http.StatusOK
	}, 3*time.Minute, 50*time.Millisecond)
}
