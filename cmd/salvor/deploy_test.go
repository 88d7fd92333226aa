package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/clock"
	"sigs.k8s.io/yaml"

	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	salvorv1 "github.com/salvor-io/salvor/api/salvor/v1alpha1"
	"github.com/salvor-io/salvor/internal/blueprint"
	"github.com/salvor-io/salvor/internal/cli"
	"github.com/salvor-io/salvor/internal/cli/app"
	"github.com/salvor-io/salvor/internal/fixture/proctest"
	"github.com/salvor-io/salvor/internal/trigger"
)

// deployed is a chart, or a file of manifests, with values.
type deployed struct {
	path   string
	values string
	// noPod says that there is none of Salvor's in it.
	noPod bool
}

// Whatever is set, the API server takes what the charts and samples make, and the
// program takes the arguments that they give it.
var deployments = map[string]deployed{
	"chart": {path: "deploy/chart"},
	"chart with everything": {path: "deploy/chart", values: `
image: {tag: x}
bridge:
  extraArgs: [--resync=1m]
  ingress:
    tokenSecret: tokens
    tokenAudience: salvor
    hmacSecret: keys
    tls: {secret: tls, clientCASecret: authorities}
    rate: 10000000
    burst: 20000000
    webhookOrigins: [a.example.com, b.example.com]
    service: {type: LoadBalancer, port: 80, annotations: {a: b}}
  natsEvents: [salvor.in.*]
  natsEventsStreams: [ORDERS/orders.*]
  sinks: ["http://a.example.com/x?y=z", "https://b.example.com"]
  sinkSecret: sink
  sinkTokensSecret: tokens
  kubernetesSources:
  - {apiGroups: [apps], resources: [statefulsets]}
  - {apiGroups: [""], resources: [events, persistentvolumeclaims]}
nats: {url: "nats://nats.nats.svc:4222", credsSecret: nats}
telemetry: {otlpEndpoint: "http://otel:4318"}
runner: {slots: 1000000, rdsEndpoint: "https://rds.example.com", allowOwnIdentity: true, extraArgs: [--pod-start-timeout=30m]}
dispatcher: {extraArgs: [--window=128]}
extraEnv: [{name: A, value: b}]
rbac: {clusterWide: true}
podLabels: {a: b}
podAnnotations: {a: b, prometheus.io/scrape: "false"}
`},
	"sample helm-pre-upgrade": {path: "deploy/samples/helm-pre-upgrade", values: `
postgresql: {password: x}
backup: {profile: {name: backups}}
`},
	"sample helm-pre-upgrade with a token of its account": {path: "deploy/samples/helm-pre-upgrade", values: `
postgresql: {password: x}
backup: {profile: {name: backups, namespace: other}}
salvor: {tokenAudience: salvor}
`},
	"sample helm-pre-upgrade with a token": {path: "deploy/samples/helm-pre-upgrade", values: `
postgresql: {password: x}
backup: {profile: {name: backups}}
salvor: {tokenSecret: token}
`},
	"sample postgresql":     {path: "deploy/samples/postgresql/trigger.yaml", noPod: true},
	"sample argocd-presync": {path: "deploy/samples/argocd-presync/backup.yaml"},
	"sample cronjob":        {path: "deploy/samples/cronjob/cronjob.yaml"},
}

func TestWhatIsDeployedIsValid(t *testing.T) {
	client, err := kubernetes.NewForConfig(server.Config())
	require.NoError(t, err)
	_, err = client.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop"}}, metav1.CreateOptions{})
	require.NoError(t, err)
	kubeconfig := server.Kubeconfig(t)
	for name, d := range deployments {
		t.Run(name, func(t *testing.T) {
			manifests := d.manifests(t)
			tool(t, manifests, "kubectl", "--kubeconfig", kubeconfig, "apply", "--dry-run=server", "--validate=strict", "-n", "shop", "-f", "-")
			pods := 0
			for document := range bytes.SplitSeq(manifests, []byte("\n---\n")) {
				checkMeaning(t, document)
				if spec := podOf(t, document); spec != nil {
					pods++
					checkCommand(t, spec)
				}
			}
			assert.Equal(t, d.noPod, pods == 0)
		})
	}
}

// manifests is the file, or what helm makes of the chart.
func (d deployed) manifests(t *testing.T) []byte {
	t.Helper()
	path := filepath.Join("..", "..", filepath.FromSlash(d.path))
	if strings.HasSuffix(path, ".yaml") {
		content, err := os.ReadFile(path)
		require.NoError(t, err)
		return content
	}
	values := filepath.Join(t.TempDir(), "values.yaml")
	require.NoError(t, os.WriteFile(values, []byte(d.values), 0o600))
	tool(t, nil, "helm", "lint", "--strict", "--kube-version", "1.37.0", path, "--values", values)
	return tool(t, nil, "helm", "template", "release", path, "--namespace", "shop", "--kube-version", "1.37.0", "--values", values)
}

func tool(t *testing.T, stdin []byte, name string, args ...string) []byte {
	t.Helper()
	path, found := proctest.LocalBin(t, name)
	require.True(t, found, "%s is not there; run `make test-tools`", name)
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(stdin), &out, &errs
	require.NoError(t, cmd.Run(), "%s %s\n%s%s", name, strings.Join(args, " "), out.String(), errs.String())
	return out.Bytes()
}

// podOf is the pod that a document describes, if it describes one of Salvor's.
func podOf(t *testing.T, document []byte) *corev1.PodSpec {
	t.Helper()
	var kind metav1.TypeMeta
	require.NoError(t, yaml.Unmarshal(document, &kind))
	var spec *corev1.PodSpec
	switch kind.Kind {
	case "StatefulSet":
		var object appsv1.StatefulSet
		require.NoError(t, yaml.UnmarshalStrict(document, &object))
		spec = &object.Spec.Template.Spec
	case "Job":
		var object batchv1.Job
		require.NoError(t, yaml.UnmarshalStrict(document, &object))
		spec = &object.Spec.Template.Spec
	case "CronJob":
		var object batchv1.CronJob
		require.NoError(t, yaml.UnmarshalStrict(document, &object))
		spec = &object.Spec.JobTemplate.Spec.Template.Spec
	}
	if spec == nil || !strings.Contains(spec.Containers[0].Image, "/salvor:") {
		return nil
	}
	return spec
}

// checkMeaning looks at what the API server cannot judge: triggers and blueprints.
func checkMeaning(t *testing.T, document []byte) {
	t.Helper()
	var kind metav1.TypeMeta
	require.NoError(t, yaml.Unmarshal(document, &kind))
	switch kind.Kind {
	case "ActionTrigger":
		var object salvorv1.ActionTrigger
		require.NoError(t, yaml.UnmarshalStrict(document, &object))
		assert.Empty(t, trigger.Check(&object))
	case "Blueprint":
		var object kanister.Blueprint
		require.NoError(t, yaml.UnmarshalStrict(document, &object))
		for name := range object.Actions {
			assert.Empty(t, blueprint.Check(&object, name))
		}
	}
}

// checkCommand gives the arguments of a pod to the program, and looks whether the
// files that they name are mounted.
func checkCommand(t *testing.T, spec *corev1.PodSpec) {
	t.Helper()
	container := spec.Containers[0]
	a := &app.App{Clock: clock.RealClock{}, Getenv: func(string) string { return "" }}
	root, err := cli.New(a, cli.Program{Name: "salvor", Version: "test", Roles: roles()})
	require.NoError(t, err)
	cmd, rest, err := root.Find(container.Args)
	require.NoError(t, err)
	require.NoError(t, cmd.ParseFlags(rest), "%v", container.Args)
	volumes := map[string]bool{}
	for _, v := range spec.Volumes {
		volumes[v.Name] = true
	}
	for _, m := range container.VolumeMounts {
		assert.True(t, volumes[m.Name] || m.Name == "data", "the volume %s is defined", m.Name)
	}
	for _, arg := range container.Args {
		flag, path, ok := strings.Cut(arg, "=/")
		if !ok || strings.HasPrefix(flag, "--source") {
			continue
		}
		mounted := false
		for _, m := range container.VolumeMounts {
			mounted = mounted || strings.HasPrefix("/"+path+"/", m.MountPath+"/")
		}
		assert.True(t, mounted, "%s is in a volume", arg)
	}
}

// TestTheExamplesInTheDocs are triggers that fire: who copies one gets no condition.
func TestTheExamplesInTheDocs(t *testing.T) {
	content, err := os.ReadFile(filepath.Join("..", "..", "docs", "events.md"))
	require.NoError(t, err)
	checked := 0
	for block := range strings.SplitSeq(string(content), "```yaml\n") {
		document, _, _ := strings.Cut(block, "```")
		if strings.HasPrefix(document, "apiVersion: salvor.io/") {
			checkMeaning(t, []byte(document))
			checked++
		}
	}
	assert.Equal(t, 2, checked)
}
