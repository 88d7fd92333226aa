package runner

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/salvor-io/salvor/api/event"
	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	"github.com/salvor-io/salvor/internal/blueprint"
	"github.com/salvor-io/salvor/internal/stream"
	"github.com/salvor-io/salvor/runner/function"
)

// goodArgs are arguments that each function takes. A function without an entry
// fails the tests below.
func goodArgs() map[string]kanister.JSONMap {
	pod := kanister.JSONMap{"namespace": "shop", "image": "x", "command": []any{"x"}}
	conditions := map[string]any{"anyOf": []any{map[string]any{
		"condition":       "true",
		"objectReference": map[string]any{"apiVersion": "v1", "resource": "configmaps", "namespace": "shop", "name": "x"},
	}}}
	volumes := map[string]any{"c": "/c"}
	return map[string]kanister.JSONMap{
		"BackupData":                  {"namespace": "shop", "pod": "p", "container": "c", "includePath": "/d", "backupArtifactPrefix": "x"},
		"BackupDataAll":               {"namespace": "shop", "container": "c", "includePath": "/d", "backupArtifactPrefix": "x"},
		"BackupDataStats":             {"namespace": "shop", "backupArtifactPrefix": "x", "backupID": "1"},
		"CheckRepository":             {"backupArtifactPrefix": "x"},
		"CopyVolumeData":              {"namespace": "shop", "volume": "c", "dataArtifactPrefix": "x"},
		"DeleteData":                  {"namespace": "shop", "backupArtifactPrefix": "x", "backupID": "1"},
		"DeleteDataAll":               {"namespace": "shop", "backupArtifactPrefix": "x", "backupInfo": "{}"},
		"RestoreData":                 {"namespace": "shop", "image": "x", "backupArtifactPrefix": "x", "backupIdentifier": "1", "volumes": volumes},
		"RestoreDataAll":              {"namespace": "shop", "image": "x", "backupArtifactPrefix": "x", "backupInfo": "{}"},
		"KubeExec":                    {"namespace": "shop", "pod": "p", "command": []any{"x"}},
		"KubeExecAll":                 {"namespace": "shop", "pods": "p", "containers": "c", "command": []any{"x"}},
		"KubeOps":                     {"operation": "create", "namespace": "shop", "spec": "x"},
		"KubeTask":                    pod,
		"LocationDelete":              {"artifact": "x"},
		"CreateRDSSnapshot":           {"instanceID": "db"},
		"DeleteRDSSnapshot":           {"snapshotID": "s"},
		"ExportRDSSnapshotToLocation": {"namespace": "shop", "instanceID": "db", "snapshotID": "s", "dbEngine": "PostgreSQL"},
		"RestoreRDSSnapshot":          {"instanceID": "db", "snapshotID": "s"},
		"MultiContainerRun": {
			"namespace": "shop", "backgroundImage": "x", "backgroundCommand": []any{"x"}, "outputImage": "x", "outputCommand": []any{"x"},
		},
		"PrepareData":              {"namespace": "shop", "image": "x", "command": []any{"x"}, "volumes": volumes},
		"ScaleWorkload":            {"replicas": 0, "kind": "Deployment", "namespace": "shop", "name": "x"},
		"Wait":                     {"timeout": "1m", "conditions": conditions},
		"WaitV2":                   {"timeout": "1m", "conditions": conditions},
		"CreateCSISnapshot":        {"pvc": "data", "namespace": "shop", "snapshotClass": "x"},
		"CreateCSISnapshotStatic":  {"name": "x", "namespace": "shop", "driver": "x", "snapshotHandle": "x", "snapshotClass": "x"},
		"DeleteCSISnapshot":        {"name": "x", "namespace": "shop"},
		"DeleteCSISnapshotContent": {"name": "x"},
		"RestoreCSISnapshot":       {"name": "x", "pvc": "data", "namespace": "shop", "storageClass": "x", "restoreSize": "1Gi"},
	}
}

// podOnly is what all functions with one pod do. It stands for those that need a
// profile or read what their pod says, which package pods proves of them.
func podOnly() function.Function { return podOnlyFunction{} }

type podOnlyFunction struct{}

// Execute implements function.Function.
func (podOnlyFunction) Execute(ctx context.Context, call *function.Call) (map[string]any, error) {
	return call.Pods.Run(ctx, call, function.PodSpec{Namespace: "shop", Image: "x", Command: []string{"x"}})
}

// loss is what a runner leaves behind that is lost at one step of a phase.
type loss struct {
	step  string
	leave func(b *bench, k event.Key)
	// reported: its end is known; nothing is reported again.
	reported bool
	// started: what it did cannot be known unless there is a pod.
	started bool
	// pod: 1 it made one, 2 which has ended.
	pod int
}

func lossesOf(resume blueprint.Resume) []loss {
	report := func(b *bench, k event.Key) {
		require.NoError(b.t, stream.NewReports(b.js, event.SourceRunner).Publish(b.t.Context(),
			&event.Report{Kind: event.ReportSucceeded, Key: k, At: time.Unix(5, 0), Runner: "dead"}, ""))
	}
	all := []loss{
		{step: "after the claim", leave: func(*bench, event.Key) {}},
		{step: "after the report", leave: report, reported: true, started: true},
	}
	started := func(b *bench, k event.Key) { require.NoError(b.t, b.leases.MarkStarted(b.t.Context(), k, "dead")) }
	mark := func(b *bench, k event.Key) { require.NoError(b.t, b.leases.MarkPod(b.t.Context(), k, "", "pod-1")) }
	switch resume {
	case blueprint.Once:
		all = append(all, loss{step: "after the started mark", leave: started, started: true})
	case blueprint.Idempotent:
		all = append(all, loss{step: "while it works", leave: func(*bench, event.Key) {}})
	case blueprint.Adoptable:
		all = append(all,
			loss{step: "after the pod was made", leave: func(*bench, event.Key) {}, pod: 1},
			loss{step: "after the pod was marked", leave: mark, pod: 1},
			loss{step: "before the report", leave: mark, pod: 2},
			loss{step: "after the report, before the pod is deleted", leave: func(b *bench, k event.Key) { mark(b, k); report(b, k) }, reported: true, pod: 2},
		)
	}
	return all
}

// A runner is lost at each step, with each function that there is; another one
// takes the job. The phase ends once, and its work is done once, or the failure says
// that this is not known.
func TestLossAtEachStep(t *testing.T) {
	args := goodArgs()
	for name := range Functions() {
		signature, known := blueprint.Lookup(name)
		require.True(t, known, name)
		require.Contains(t, args, name, "a new function: say which arguments it takes")
		for _, l := range lossesOf(signature.Resume) {
			t.Run(name+" "+l.step, func(t *testing.T) {
				b := newBench(t, func(a *kanister.BlueprintAction) {
					a.Phases = []kanister.BlueprintPhase{{Func: name, Name: "dump", Args: args[name]}}
				})
				key := b.key(event.KindCore, 0)
				if l.pod > 0 {
					b.leftover()
				}
				l.leave(b, key)
				if l.pod == 2 {
					b.exit(b.pod(), 0)
				}
				_, err := b.leases.Claim(t.Context(), key, stream.Holder{Name: "r1", Incarnation: "dead"}, time.Hour)
				require.NoError(t, err)
				made := b.created()
				effects := returns(nil, nil)
				functions := function.Registry{name: effects.factory}
				if signature.Resume == blueprint.Adoptable {
					functions = nil // the real one: its effect is the pod
					if signature.Takes("backupArtifactPrefix") || signature.Takes("dataArtifactPrefix") {
						functions = function.Registry{name: podOnly}
					}
				}
				b.start("r1", functions, nil)
				b.publish(event.Job{Key: key})
				switch {
				case l.reported:
					b.settled()
					assert.Empty(t, effects.began)
					assert.Equal(t, made, b.created())
					require.Eventually(t, func() bool { return b.pods() == 0 }, patience, 10*time.Millisecond)
					assert.Equal(t, "dead", b.report().Runner, "its report is the only one")
					b.noReport()
				case l.started:
					r := b.report()
					assert.Equal(t, event.ReasonInterrupted, r.Failure.Reason)
					assert.Empty(t, effects.began)
				case signature.Resume == blueprint.Adoptable:
					if l.pod < 2 {
						b.exit(b.pod(), 0)
					}
					assert.Equal(t, event.ReportSucceeded, b.report().Kind)
					if l.pod > 0 {
						assert.Equal(t, made, b.created(), "the pod is adopted")
					} else {
						assert.Equal(t, made+1, b.created())
					}
				default:
					assert.Equal(t, event.ReportSucceeded, b.report().Kind)
					assert.Len(t, effects.began, 1)
				}
				b.settled()
				b.noReport()
			})
		}
	}
}

// Each function passes the suite of package functiontest somewhere.
func TestEachFunctionPassesTheSuite(t *testing.T) {
	var suites strings.Builder
	require.NoError(t, filepath.WalkDir(".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") || path == "loss_test.go" {
			return err
		}
		text, err := os.ReadFile(path)
		if strings.Contains(string(text), "functiontest.Run(") {
			suites.Write(text)
		}
		return err
	}))
	constants := map[string]string{
		"BackupData": "restic.NameBackupData,", "BackupDataAll": "restic.NameBackupDataAll,",
		"CreateCSISnapshot": "Name: csi.NameCreate,", "CreateCSISnapshotStatic": "Name: csi.NameCreateStatic,", "RestoreCSISnapshot": "Name: csi.NameRestore,",
		"DeleteCSISnapshot": "Name: csi.NameDelete,", "DeleteCSISnapshotContent": "Name: csi.NameDeleteContent,",
		"KubeExec": "kubeexec.Name,", "KubeExecAll": "kubeexec.NameAll,", "KubeOps": "kubeops.Name,", "ScaleWorkload": "scale.Name,",
		"Wait": "harness(wait.Name,", "WaitV2": "harness(wait.NameV2,",
	}
	for name := range Functions() {
		want := constants[name]
		if want == "" {
			want = `"` + name + `"`
		}
		assert.True(t, strings.Contains(suites.String(), want), "function %s has no test that calls functiontest.Run", name) //nolint:testifylint // the text is that of all tests
	}
}
