package pods

import (
	"context"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/clock"
	"sigs.k8s.io/yaml"

	"github.com/salvor-io/salvor/api/event"
	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	"github.com/salvor-io/salvor/internal/blueprint"
	"github.com/salvor-io/salvor/internal/fixture/rdstest"
	"github.com/salvor-io/salvor/internal/kube"
	"github.com/salvor-io/salvor/runner/function"
	"github.com/salvor-io/salvor/runner/function/kubetask"
	"github.com/salvor-io/salvor/runner/function/rds"
	"github.com/salvor-io/salvor/runner/functiontest"
)

const databasePassword = "hunter2-of-the-database"

// rdsBench is a bench and a region of RDS. A pod that dumps says so, as the script
// would.
type rdsBench struct {
	*bench
	aws *rdstest.Server
}

func newRDSBench(t *testing.T, before func(http.Handler) http.Handler) *rdsBench {
	t.Helper()
	b := &rdsBench{bench: newBench(t, clock.RealClock{}), aws: rdstest.Start(t, before)}
	b.aws.Looks(0)
	b.aws.Add(rdstest.Thing{Kind: rdstest.Instance, ID: "db", Groups: []string{"sg-1"}, Subnets: "private", Engine: "postgres", Version: "12.7", Storage: 20})
	b.aws.Add(rdstest.Thing{Kind: rdstest.Snapshot, ID: "old", Of: "db", Engine: "postgres", Version: "12.7", Storage: 20})
	b.runner.openLog = func(_ kubernetes.Interface, ref *podRef) opener {
		text := "working\n"
		if command := ref.pod.Spec.Containers[0].Command; len(command) > 9 && strings.Contains(command[6], "pg_dump") {
			text += marker(t, "backupID", command[10])
		}
		return func(context.Context, bool) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil }
	}
	for name, data := range map[string]map[string]string{
		"keys": {"aws_access_key_id": "id", "aws_secret_access_key": "s3cr3t-of-the-test"},
		"pg":   {"username": "admin\n", "password": databasePassword + "\n"},
	} {
		secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name}, StringData: data}
		if name == "keys" {
			secret.Type = "secrets.kanister.io/aws"
		}
		_, err := b.client.CoreV1().Secrets(b.namespace).Create(t.Context(), secret, metav1.CreateOptions{})
		require.NoError(t, err)
	}
	return b
}

func (b *rdsBench) rdsParams(p *blueprint.Params) {
	p.Profile = &blueprint.ProfileRef{
		Namespace: b.namespace, Name: "store", Location: kanister.Location{Type: kanister.LocationTypeS3Compliant, Bucket: "bk"},
		Credential: &kanister.Credential{Type: kanister.CredentialTypeSecret, Secret: &kanister.ObjectReference{Namespace: b.namespace, Name: "keys"}},
	}
}

func (b *rdsBench) rdsCall(name string, args map[string]any) *function.Call {
	b.t.Helper()
	call := functiontest.NewCall(b.t, &kube.Clients{Kube: b.client}, functiontest.Phase{Func: name, Args: args, Params: b.rdsParams})
	call.Pods, call.Marks, call.RDSEndpoint = b.runner, &attemptMarks{call: call, of: map[int]*partMarks{}}, b.aws.URL
	return call
}

// The functions with a pod and a region pass the suite.
func TestRDSFunctionsWithAPod(t *testing.T) {
	t.Parallel()
	engine := functiontest.Bad{Name: "another engine", Set: map[string]any{"dbEngine": "MySQL"}, Want: "dbEngine must be PostgreSQL"}
	t.Run("ExportRDSSnapshotToLocation", func(t *testing.T) {
		t.Parallel()
		functiontest.Run(t, functiontest.Harness{
			Name: "ExportRDSSnapshotToLocation", New: rds.NewExport,
			World: func(t *testing.T) functiontest.World {
				t.Helper()
				return rdsWorld(t, "ExportRDSSnapshotToLocation", map[string]any{"snapshotID": "old", "databases": "- shop\n"}, func(t *testing.T, b *rdsBench, output map[string]any) {
					t.Helper()
					id, _ := output["backupID"].(string)
					assert.Regexp(t, `^backup-[0-9a-f]{10}\.tar\.gz$`, id)
					assert.Equal(t, map[string]any{"backupID": id, "snapshotID": "old", "instanceID": "db", "securityGroupID": "- sg-1\n"}, output)
					b.onlyTheDatabase(t)
				})
			},
			Bad: []functiontest.Bad{
				engine,
				{Name: "no snapshot", Set: map[string]any{"snapshotID": nil}, Want: `argument "snapshotID" is missing`},
				{Name: "databases that are no list", Set: map[string]any{"databases": "a: b"}, Want: "argument databases must be a list"},
			},
		})
	})
	t.Run("RestoreRDSSnapshot", func(t *testing.T) {
		t.Parallel()
		functiontest.Run(t, functiontest.Harness{
			Name: "RestoreRDSSnapshot", New: rds.NewRestore,
			World: func(t *testing.T) functiontest.World {
				t.Helper()
				return rdsWorld(t, "RestoreRDSSnapshot", map[string]any{"backupArtifactPrefix": "p", "backupID": "b"}, func(t *testing.T, b *rdsBench, output map[string]any) {
					t.Helper()
					assert.Equal(t, map[string]any{"endpoint": "db.rds.test"}, output)
					assert.Zero(t, b.aws.Deleted(rdstest.Instance))
				})
			},
			Bad: []functiontest.Bad{
				engine,
				{Name: "no password", Set: map[string]any{"password": nil}, Want: `argument "password" is missing`},
				{Name: "an instance that is not there", Set: map[string]any{"instanceID": "x"}, Want: "RDS instance x: it does not exist", Reason: event.ReasonNotFound},
			},
		})
	})
}

// onlyTheDatabase: no temporary instance is left.
func (b *rdsBench) onlyTheDatabase(t *testing.T) {
	t.Helper()
	for _, id := range b.aws.IDs(rdstest.Instance) {
		if thing := b.aws.Get(rdstest.Instance, id); id != "db" && thing != nil {
			assert.Equal(t, "deleting", thing.Status, id)
		}
	}
	assert.Zero(t, strings.Count(strings.Join(b.aws.IDs(rdstest.Instance), " "), "db ")-1, "the database itself stays")
}

func rdsWorld(t *testing.T, name string, args map[string]any, check func(*testing.T, *rdsBench, map[string]any)) functiontest.World {
	t.Helper()
	gate := &functiontest.Gate{}
	b := newRDSBench(t, gate.Before)
	b.aws.Refuse("DeleteDBInstance", "InvalidDBInstanceState") // it is asked again
	all := map[string]any{"namespace": b.namespace, "instanceID": "db", "dbEngine": "PostgreSQL", "username": "admin", "password": databasePassword}
	maps.Copy(all, args)
	busy := make(chan struct{})
	b.play(func() bool {
		list, err := b.client.CoreV1().Pods(b.namespace).List(t.Context(), metav1.ListOptions{})
		if err == nil && len(list.Items) > 0 {
			close(busy)
			return false
		}
		return t.Context().Err() == nil
	})
	return functiontest.World{
		Call: b.rdsCall(name, all), Busy: busy, Gate: gate,
		Release: sync.OnceFunc(func() { b.play(func() bool { return b.end("") }) }),
		Check:   func(t *testing.T, output map[string]any) { t.Helper(); check(t, b, output) },
	}
}

// Cancelled, the temporary instance is taken away; when the runner is shut down it
// stays for the next one.
func TestTemporaryInstanceOfAnExport(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		cause error
		left  bool
	}{
		"cancelled": {function.Errorf(event.ReasonCancelled, "the run was cancelled"), false},
		"late":      {function.Errorf(event.ReasonTimeout, "too late"), false},
		"shut down": {context.Canceled, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newRDSBench(t, nil)
			b.aws.Looks(1000)
			call := b.rdsCall("ExportRDSSnapshotToLocation", map[string]any{"namespace": b.namespace, "instanceID": "db", "snapshotID": "old", "dbEngine": "PostgreSQL"})
			ctx, cancel := context.WithCancelCause(t.Context())
			ended := make(chan error, 1)
			go func() {
				_, err := rds.NewExport().Execute(ctx, call)
				ended <- err
			}()
			require.Eventually(t, func() bool { return b.aws.Made(rdstest.Instance) == 1 }, 3*time.Minute, 5*time.Millisecond)
			cancel(tt.cause)
			require.ErrorIs(t, <-ended, tt.cause)
			assert.Equal(t, tt.left, b.aws.Deleted(rdstest.Instance) == 0)
		})
	}
}

// The official blueprint runs through all its phases: backup, restore, delete. AWS and
// the kubelet are played, all else is real.
func TestBlueprintOfRDSDump(t *testing.T) {
	t.Parallel()
	b := newRDSBench(t, nil)
	b.play(func() bool { return b.end("") })
	text, err := os.ReadFile(filepath.Join("..", "..", "internal", "blueprint", "testdata", "kanister", "aws-rds-postgres-dump-blueprint.yaml"))
	require.NoError(t, err)
	var bp kanister.Blueprint
	require.NoError(t, yaml.Unmarshal(text, &bp))
	_, err = b.client.CoreV1().ConfigMaps(b.namespace).Create(t.Context(), &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: "dbconfig"},
		Data: map[string]string{
			"postgres.instanceid": "db", "postgres.databases": "- shop\n- users\n", "postgres.secret": "pg", "aws.region": "eu-west-1", "aws.secret": "keys",
		},
	}, metav1.CreateOptions{})
	require.NoError(t, err)
	clients, err := kube.New(functiontest.Wired(server.Config()))
	require.NoError(t, err)
	functions := function.Registry{
		"CreateRDSSnapshot": rds.NewCreate, "ExportRDSSnapshotToLocation": rds.NewExport, "DeleteRDSSnapshot": rds.NewDelete,
		"RestoreRDSSnapshot": rds.NewRestore, "KubeTask": kubetask.New,
	}
	artifacts := map[string]kanister.Artifact{}
	for n, name := range []string{"backup", "restore", "delete"} {
		spec := kanister.ActionSpec{
			Name: name, Blueprint: "rds", Artifacts: artifacts,
			Object: kanister.ObjectReference{APIVersion: "v1", Group: "", Resource: "configmaps", Name: "dbconfig", Namespace: b.namespace},
		}
		if name == "delete" {
			spec.Object = kanister.ObjectReference{Kind: "Namespace", Name: b.namespace, Namespace: b.namespace}
		}
		params, err := blueprint.Resolve(t.Context(), blueprint.Cluster{Clients: clients}, blueprint.ResolveInput{Spec: spec, Namespace: b.namespace, Now: time.Now()})
		require.NoError(t, err)
		b.rdsParams(params)
		outputs := map[string]map[string]any{}
		for i, phase := range bp.Actions[name].Phases {
			values, err := blueprint.Load(t.Context(), blueprint.Cluster{Clients: clients}, blueprint.Scope{
				Params: params, Blueprint: &bp, Action: name, Kind: event.KindCore, Phase: i, Outputs: outputs,
			})
			require.NoError(t, err, phase.Name)
			call := b.call()
			call.Key = event.Key{UID: "uid-" + b.namespace, Namespace: b.namespace, Kind: event.KindCore, Action: n, Phase: i, Attempt: 1}
			call.Values, call.Kube, call.Pods, call.Clock, call.RDSEndpoint = values, clients, b.runner, clock.RealClock{}, b.aws.URL
			call.Progress = func(kanister.PhaseProgress) {}
			call.Args, err = values.Args()
			require.NoError(t, err, phase.Name)
			output, err := functions[phase.Func]().Execute(t.Context(), call)
			require.NoError(t, err, phase.Name)
			outputs[phase.Name] = output
			if i == len(bp.Actions[name].Phases)-1 && len(bp.Actions[name].OutputArtifacts) > 0 {
				artifacts, err = values.Artifacts(output)
				require.NoError(t, err)
			}
		}
	}
	info := artifacts["backupInfo"].KeyValue
	assert.Regexp(t, `^backup-[0-9a-f]{10}\.tar\.gz$`, info["backupID"])
	assert.Equal(t, "- sg-1\n", info["securityGroupID"])
	assert.Equal(t, "private", info["dbSubnetGroup"])
	assert.Equal(t, []string{"old"}, b.aws.IDs(rdstest.Snapshot), "the snapshot of the backup is deleted")
	b.onlyTheDatabase(t)

	list, err := b.client.CoreV1().Pods(b.namespace).List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	require.Len(t, list.Items, 3)
	var commands []string
	for _, pod := range list.Items {
		commands = append(commands, strings.Join(pod.Spec.Containers[0].Command[1:], " "))
		data, err := pod.Marshal()
		require.NoError(t, err)
		assert.NotContains(t, string(data), databasePassword, "not in the pod")
	}
	slices.Sort(commands)
	all := strings.Join(commands, "\n")
	assert.Regexp(t, `salvor db-[0-9a-f]{10}\.rds\.test test-postgresql-instance/postgres backup-[0-9a-f]{10}\.tar\.gz shop users`, all)
	assert.Contains(t, all, "salvor db.rds.test test-postgresql-instance/postgres/"+info["backupID"]+" LC_COLLATE", "PostgreSQL 12")
	assert.NotContains(t, b.log.String(), databasePassword)
}
