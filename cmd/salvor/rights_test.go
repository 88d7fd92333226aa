package main

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"

	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	"github.com/salvor-io/salvor/internal/cli/app"
	"github.com/salvor-io/salvor/internal/kube"
)

// What the program meets: reads of everything that a blueprint can name, a scaled
// workload, a backup that is replaced, and one that is not kept.
const rightsManifests = `
apiVersion: v1
kind: Secret
metadata: {name: password}
stringData: {a: b}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {a: b}
---
apiVersion: cr.kanister.io/v1alpha1
kind: Profile
metadata: {name: backups}
location: {type: s3Compliant, bucket: b, endpoint: "http://127.0.0.1:1", prefix: "", region: x}
credential: {type: keyPair, keyPair: {idField: a, secretField: a, secret: {kind: Secret, name: password, namespace: "{ns}"}}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: database}
spec:
  serviceName: database
  selector: {matchLabels: {app: database}}
  template: {metadata: {labels: {app: database}}, spec: {containers: [{name: c, image: i}]}}
---
apiVersion: cr.kanister.io/v1alpha1
kind: Blueprint
metadata: {name: everything}
actions:
  backup:
    outputArtifacts: {made: {keyValue: {count: '{{ .Phases.scale.Output.originalReplicaCount }}'}}}
    phases:
    - func: ScaleWorkload
      name: scale
      objects: {password: {kind: Secret, name: password, namespace: "{ns}"}}
      args: {namespace: "{ns}", name: database, kind: StatefulSet, replicas: 2, waitForReady: false}
  delete:
    inputArtifactNames: [made]
    phases:
    - {func: ScaleWorkload, name: scale, args: {namespace: "{ns}", name: database, kind: StatefulSet, replicas: 1, waitForReady: false}}
---
apiVersion: salvor.io/v1alpha1
kind: ActionTrigger
metadata: {name: nightly}
spec:
  when: {event: {filters: [{exact: {type: com.example.night}}]}}
  concurrency: Replace
  keep: {count: 1}
  template:
    spec:
      actions:
      - name: backup
        blueprint: everything
        object: {kind: StatefulSet, name: database, namespace: "{ns}"}
        profile: {name: backups, namespace: "{ns}"}
        configMaps: {settings: {name: settings, namespace: "{ns}"}}
`

// TestTheRightsOfTheChart runs the program as the service account that the chart makes,
// on an API server with RBAC: an event becomes a backup, a second one too, and the first
// is removed as it is not kept. Nothing on the way is forbidden.
func TestTheRightsOfTheChart(t *testing.T) {
	namespace, admin := server.Namespace(t), server.Kubeconfig(t)
	apply := func(manifests []byte) {
		tool(t, manifests, "kubectl", "--kubeconfig", admin, "apply", "-n", namespace, "-f", "-")
	}
	apply(tool(t, nil, "helm", "template", namespace, chart, "--namespace", namespace, "--kube-version", "1.37.0", "--show-only", "templates/rbac.yaml"))
	apply([]byte(strings.ReplaceAll(rightsManifests, "{ns}", namespace)))

	config, probes, events := kubeconfigOf(t, admin, namespace), freeAddress(t), freeAddress(t)
	ctx, stop := context.WithCancel(t.Context())
	var log output
	done := make(chan int, 1)
	go func() {
		done <- salvor(ctx, &log, "serve", "--kubeconfig", config, "--namespace", namespace, "--data-dir", t.TempDir(),
			"--probe-listen", probes, "--listen", events, "--runner-name", "test", "--retention-interval", "1s")
	}()
	defer func() {
		stop()
		assert.Equal(t, app.ExitOK, <-done)
		if t.Failed() {
			t.Log(log.String())
		}
	}()
	awaitReady(t, probes)

	clients, err := kube.New(server.Config())
	require.NoError(t, err)
	for _, id := range []string{"monday", "tuesday"} {
		var screen output
		code := salvor(t.Context(), &screen, "emit", "--wait", "--timeout", "3m", "--to", "http://"+events+"/events/"+namespace,
			"--type", "com.example.night", "--source", "/test", "--id", id)
		require.Equal(t, app.ExitOK, code, screen.String())
	}
	var left []string
	require.Eventually(t, func() bool {
		list, err := clients.ActionSets(namespace).List(t.Context(), metav1.ListOptions{})
		require.NoError(t, err)
		left = nil
		for i := range list.Items {
			left = append(left, stateOf(&list.Items[i]))
		}
		return len(left) == 1
	}, 3*time.Minute, 100*time.Millisecond, "one is kept, with a status")
	assert.Equal(t, []string{"backup complete"}, left)
	list, err := clients.Kube.CoreV1().Events(namespace).List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	assert.NotEmpty(t, list.Items, "Kubernetes Events are written")
	assert.NotContains(t, strings.ToLower(log.String()), "forbidden")
}

func stateOf(as *kanister.ActionSet) string {
	if as.Status == nil {
		return ""
	}
	return as.Spec.Actions[0].Name + " " + string(as.Status.State)
}

// kubeconfigOf writes the kubeconfig of the service account that the chart's roles are
// bound to, by its name, for the release that is called as its namespace.
func kubeconfigOf(t *testing.T, admin, namespace string) string {
	t.Helper()
	config, err := clientcmd.LoadFromFile(admin)
	require.NoError(t, err)
	for _, user := range config.AuthInfos {
		user.Impersonate = "system:serviceaccount:" + namespace + ":" + namespace
		user.ImpersonateGroups = []string{"system:serviceaccounts", "system:serviceaccounts:" + namespace, "system:authenticated"}
	}
	path := filepath.Join(t.TempDir(), "kubeconfig")
	require.NoError(t, clientcmd.WriteToFile(*config, path))
	return path
}
