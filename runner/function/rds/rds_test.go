package rds_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/salvor-io/salvor/api/event"
	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	"github.com/salvor-io/salvor/internal/blueprint"
	"github.com/salvor-io/salvor/internal/fixture/rdstest"
	"github.com/salvor-io/salvor/internal/kube"
	"github.com/salvor-io/salvor/runner/function"
	"github.com/salvor-io/salvor/runner/function/rds"
	"github.com/salvor-io/salvor/runner/functiontest"
)

const (
	groups      = "- sg-1\n- sg-2\n"
	secretWords = "s3cr3t-of-the-test"
)

// region is a server with an instance db and a cluster aurora, and a snapshot of each.
func region(t *testing.T, gate *functiontest.Gate) *rdstest.Server {
	t.Helper()
	s := rdstest.Start(t, gate.Before)
	s.Add(rdstest.Thing{Kind: rdstest.Instance, ID: "db", Groups: []string{"sg-1", "sg-2"}, Subnets: "private", Engine: "postgres", Version: "15.4", Storage: 20})
	s.Add(rdstest.Thing{Kind: rdstest.Snapshot, ID: "old", Of: "db", Engine: "postgres", Version: "15.4", Storage: 20})
	s.Add(rdstest.Thing{Kind: rdstest.Cluster, ID: "aurora", Groups: []string{"sg-1", "sg-2"}, Subnets: "private", Engine: "aurora-mysql", Version: "8.0"})
	s.Add(rdstest.Thing{Kind: rdstest.Instance, ID: "writer", In: "aurora", Class: "db.r6g.large", Engine: "aurora-mysql"})
	s.Add(rdstest.Thing{Kind: rdstest.ClusterSnapshot, ID: "cold", Of: "aurora", Engine: "aurora-mysql", Version: "8.0"})
	return s
}

func newCall(t *testing.T, s *rdstest.Server, name string, args map[string]any) *function.Call {
	t.Helper()
	clients := &kube.Clients{Kube: fake.NewClientset(
		&corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: "tenant", Name: "keys"}, Type: "secrets.kanister.io/aws",
			Data: map[string][]byte{"aws_access_key_id": []byte("of-profile"), "aws_secret_access_key": []byte(secretWords)},
		},
		&corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: "tenant", Name: "aws"}, Type: "secrets.kanister.io/aws",
			Data: map[string][]byte{"aws_access_key_id": []byte("of-secret"), "aws_secret_access_key": []byte(secretWords)},
		},
	)}
	call := functiontest.NewCall(t, clients, functiontest.Phase{
		Func: name, Args: args,
		Objects: map[string]kanister.ObjectReference{"awssecret": {Kind: "Secret", Namespace: "tenant", Name: "aws"}},
		Params: func(p *blueprint.Params) {
			p.Profile = &blueprint.ProfileRef{
				Namespace: "tenant", Name: "store",
				Location:   kanister.Location{Type: kanister.LocationTypeS3Compliant, Bucket: "b", Region: "eu-west-1"},
				Credential: &kanister.Credential{Type: kanister.CredentialTypeSecret, Secret: &kanister.ObjectReference{Namespace: "tenant", Name: "keys"}},
			}
		},
	})
	call.RDSEndpoint = s.URL
	return call
}

// world is one call in a region of its own, which holds everything back until it is
// released.
func world(t *testing.T, name string, args map[string]any, check func(*testing.T, *rdstest.Server, map[string]any)) functiontest.World {
	t.Helper()
	gate := &functiontest.Gate{}
	s := region(t, gate)
	s.Looks(0)
	s.Hold()
	busy := make(chan struct{})
	go func() { // ends with the test
		for t.Context().Err() == nil {
			for _, action := range s.Asked() {
				if !strings.HasPrefix(action, "Describe") {
					close(busy)
					return
				}
			}
			time.Sleep(5 * time.Millisecond)
		}
	}()
	return functiontest.World{
		Call: newCall(t, s, name, args), Busy: busy, Gate: gate, Release: s.Release,
		Check: func(t *testing.T, output map[string]any) { t.Helper(); check(t, s, output) },
	}
}

func TestSuites(t *testing.T) {
	t.Parallel()
	bad := []functiontest.Bad{
		{Name: "an unknown source", Set: map[string]any{"credentialsSource": "purse"}, Want: "credentialsSource must be profile, secret or serviceAccount"},
		{Name: "Salvor's own identity", Set: map[string]any{"credentialsSource": "serviceAccount"}, Want: "start the runner with --allow-own-identity", Reason: event.ReasonForbidden},
		{Name: "no name of a secret", Set: map[string]any{"credentialsSource": "secret"}, Want: "argument credentialsSecret is missing"},
		{Name: "a secret that is not there", Set: map[string]any{"credentialsSource": "secret", "credentialsSecret": "x"}, Want: `the phase's objects have "x"`},
	}
	tests := map[string]struct {
		harness functiontest.Harness
		args    map[string]any
		check   func(*testing.T, *rdstest.Server, map[string]any)
	}{
		"create": {functiontest.Harness{Name: "CreateRDSSnapshot", New: rds.NewCreate, Bad: append([]functiontest.Bad{
			{Name: "no instance", Set: map[string]any{"instanceID": nil}, Want: `argument "instanceID" is missing`},
			{Name: "an instance that is not there", Set: map[string]any{"instanceID": "x"}, Want: "RDS instance x: it does not exist", Reason: event.ReasonNotFound},
		}, bad...)}, map[string]any{"instanceID": "db"}, func(t *testing.T, s *rdstest.Server, output map[string]any) {
			t.Helper()
			id, _ := output["snapshotID"].(string)
			assert.Regexp(t, `^db-[0-9a-f]{10}$`, id)
			assert.Equal(t, map[string]any{"snapshotID": id, "instanceID": "db", "securityGroupID": groups, "allocatedStorage": "20GiB", "dbSubnetGroup": "private"}, output)
			assert.Equal(t, []string{id, "old"}, s.IDs(rdstest.Snapshot))
			assert.Equal(t, 1, s.Made(rdstest.Snapshot), "one snapshot")
			assert.Equal(t, "available", s.Get(rdstest.Snapshot, id).Status)
		}},
		"create of Aurora": {
			functiontest.Harness{Name: "CreateRDSSnapshot", New: rds.NewCreate},
			map[string]any{"instanceID": "aurora", "dbEngine": "aurora-mysql"},
			func(t *testing.T, s *rdstest.Server, output map[string]any) {
				t.Helper()
				id, _ := output["snapshotID"].(string)
				assert.Equal(t, map[string]any{"snapshotID": id, "instanceID": "aurora", "securityGroupID": groups, "allocatedStorage": "0GiB", "dbSubnetGroup": "private"}, output)
				assert.Equal(t, []string{id, "cold"}, s.IDs(rdstest.ClusterSnapshot))
				assert.Equal(t, 1, s.Made(rdstest.ClusterSnapshot))
			},
		},
		"delete": {functiontest.Harness{Name: "DeleteRDSSnapshot", New: rds.NewDelete, Bad: append([]functiontest.Bad{
			{Name: "no snapshot", Set: map[string]any{"snapshotID": nil}, Want: `argument "snapshotID" is missing`},
		}, bad...)}, map[string]any{"snapshotID": "old"}, func(t *testing.T, s *rdstest.Server, output map[string]any) {
			t.Helper()
			assert.Nil(t, output)
			assert.Empty(t, s.IDs(rdstest.Snapshot), "it is gone when the phase ends")
			assert.Equal(t, []string{"cold"}, s.IDs(rdstest.ClusterSnapshot))
		}},
		"restore": {functiontest.Harness{Name: "RestoreRDSSnapshot", New: rds.NewRestore, Bad: append([]functiontest.Bad{
			{Name: "no snapshot and no dump", Set: map[string]any{"snapshotID": nil}, Want: "without snapshotID the dump is restored"},
			{Name: "a snapshot that is not there", Set: map[string]any{"snapshotID": "x"}, Want: "snapshot x does not exist", Reason: event.ReasonNotFound},
			{Name: "groups that are no list", Set: map[string]any{"securityGroupID": "a: b"}, Want: "argument securityGroupID must be a list"},
			{Name: "no instance and no groups", Set: map[string]any{"instanceID": "x", "securityGroupID": nil}, Want: "securityGroupID is missing"},
		}, bad...)}, map[string]any{"instanceID": "db", "snapshotID": "old", "securityGroupID": groups, "dbSubnetGroup": "private"}, restored},
		"restore of Aurora": {
			functiontest.Harness{Name: "RestoreRDSSnapshot", New: rds.NewRestore},
			map[string]any{"instanceID": "aurora", "snapshotID": "cold", "dbEngine": "aurora", "securityGroupID": groups, "dbSubnetGroup": "private"},
			func(t *testing.T, s *rdstest.Server, output map[string]any) {
				t.Helper()
				assert.Nil(t, output)
				assert.Equal(t, 1, s.Made(rdstest.Cluster))
				assert.Equal(t, 1, s.Deleted(rdstest.Cluster))
				assert.Equal(t, "cold", s.Get(rdstest.Cluster, "aurora").Of)
				assert.Equal(t, "aurora-mysql", s.Get(rdstest.Cluster, "aurora").Engine)
				assert.Equal(t, []string{"aurora-instance-1", "db"}, s.IDs(rdstest.Instance))
				assert.Equal(t, "available", s.Get(rdstest.Instance, "aurora-instance-1").Status)
			},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tt.harness.World = func(t *testing.T) functiontest.World { t.Helper(); return world(t, tt.harness.Name, tt.args, tt.check) }
			functiontest.Run(t, tt.harness)
		})
	}
}

func restored(t *testing.T, s *rdstest.Server, output map[string]any) {
	t.Helper()
	assert.Nil(t, output)
	assert.Equal(t, 1, s.Deleted(rdstest.Instance), "the new one is not taken away")
	assert.Equal(t, 1, s.Made(rdstest.Instance))
	db := s.Get(rdstest.Instance, "db")
	require.NotNil(t, db)
	assert.Equal(t, [3]string{"old", "private", "available"}, [3]string{db.Of, db.Subnets, db.Status})
	assert.Equal(t, []string{"sg-1", "sg-2"}, db.Groups)
}

func TestBehaviour(t *testing.T) {
	t.Parallel()
	execute := func(t *testing.T, s *rdstest.Server, f function.Factory, name string, args map[string]any) (map[string]any, error) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
		defer cancel()
		return f().Execute(ctx, newCall(t, s, name, args))
	}
	tests := map[string]struct {
		new     function.Factory
		name    string
		args    map[string]any
		arrange func(*rdstest.Server)
		wantErr string
		check   func(*testing.T, *rdstest.Server, map[string]any)
	}{
		"the profile's credential is the default": {
			new: rds.NewDelete, name: "DeleteRDSSnapshot", args: map[string]any{"snapshotID": "old"},
			check: func(t *testing.T, s *rdstest.Server, _ map[string]any) {
				t.Helper()
				assert.Contains(t, s.Keys(), "of-profile")
				assert.Equal(t, "eu-west-1", s.Regions()[0], "and its region")
			},
		},
		"a secret of the phase's objects": {
			new: rds.NewDelete, name: "DeleteRDSSnapshot",
			args: map[string]any{"snapshotID": "old", "credentialsSource": "secret", "credentialsSecret": "awssecret", "region": "us-west-2"},
			check: func(t *testing.T, s *rdstest.Server, _ map[string]any) {
				t.Helper()
				assert.Contains(t, s.Keys(), "of-secret")
				assert.NotContains(t, s.Keys(), "of-profile")
				assert.Equal(t, "us-west-2", s.Regions()[0], "the argument goes before the profile's region")
			},
		},
		"a snapshot that was deleted before": {
			new: rds.NewDelete, name: "DeleteRDSSnapshot", args: map[string]any{"snapshotID": "gone-already"},
			check: func(t *testing.T, _ *rdstest.Server, output map[string]any) { t.Helper(); assert.Nil(t, output) },
		},
		"throttled": {
			new: rds.NewCreate, name: "CreateRDSSnapshot", args: map[string]any{"instanceID": "db"},
			arrange: func(s *rdstest.Server) {
				s.Refuse("", "Throttling", "RequestLimitExceeded")
				s.Refuse("CreateDBSnapshot", "Throttling")
			},
			check: func(t *testing.T, s *rdstest.Server, _ map[string]any) {
				t.Helper()
				assert.Equal(t, 1, s.Made(rdstest.Snapshot))
			},
		},
		"another backup is being taken": {
			new: rds.NewCreate, name: "CreateRDSSnapshot", args: map[string]any{"instanceID": "db"},
			arrange: func(s *rdstest.Server) { s.Refuse("CreateDBSnapshot", "InvalidDBInstanceState") },
			check: func(t *testing.T, s *rdstest.Server, _ map[string]any) {
				t.Helper()
				assert.Equal(t, 1, s.Made(rdstest.Snapshot))
			},
		},
		"a snapshot that fails": {
			new: rds.NewCreate, name: "CreateRDSSnapshot", args: map[string]any{"instanceID": "db"},
			arrange: func(s *rdstest.Server) { s.Fate(rdstest.Snapshot, "failed") }, wantErr: "is failed",
		},
		"no right": {
			new: rds.NewCreate, name: "CreateRDSSnapshot", args: map[string]any{"instanceID": "db"},
			arrange: func(s *rdstest.Server) { s.Refuse("CreateDBSnapshot", "AccessDenied") }, wantErr: "AccessDenied",
		},
		"an instance that cannot be restored": {
			new: rds.NewRestore, name: "RestoreRDSSnapshot", args: map[string]any{"instanceID": "db", "snapshotID": "old"},
			arrange: func(s *rdstest.Server) { s.Fate(rdstest.Instance, "incompatible-restore") }, wantErr: "RDS instance db is incompatible-restore",
		},
		"a missing snapshot leaves the instance alone": {
			new: rds.NewRestore, name: "RestoreRDSSnapshot", args: map[string]any{"instanceID": "db", "snapshotID": "x"}, wantErr: "snapshot x does not exist",
			check: func(t *testing.T, s *rdstest.Server, _ map[string]any) {
				t.Helper()
				assert.Zero(t, s.Deleted(rdstest.Instance))
			},
		},
		"a snapshot that goes with the instance leaves the instance alone": {
			new: rds.NewRestore, name: "RestoreRDSSnapshot", args: map[string]any{"instanceID": "db", "snapshotID": "rds:db-2026-01-02-03-04"},
			arrange: func(s *rdstest.Server) {
				s.Add(rdstest.Thing{Kind: rdstest.Snapshot, ID: "rds:db-2026-01-02-03-04", Of: "db", Engine: "postgres", Version: "15.4", Storage: 20})
			},
			wantErr: "copy it to a snapshot of your own",
			check: func(t *testing.T, s *rdstest.Server, _ map[string]any) {
				t.Helper()
				assert.Zero(t, s.Deleted(rdstest.Instance))
			},
		},
		"such a snapshot into another instance": {
			new: rds.NewRestore, name: "RestoreRDSSnapshot", args: map[string]any{"instanceID": "copy", "snapshotID": "rds:db-2026-01-02-03-04", "securityGroupID": groups},
			arrange: func(s *rdstest.Server) {
				s.Add(rdstest.Thing{Kind: rdstest.Snapshot, ID: "rds:db-2026-01-02-03-04", Of: "db", Engine: "postgres", Version: "15.4", Storage: 20})
			},
			check: func(t *testing.T, s *rdstest.Server, _ map[string]any) {
				t.Helper()
				assert.Equal(t, "available", s.Get(rdstest.Instance, "copy").Status)
			},
		},
		"the security groups of the instance that is there": {
			new: rds.NewRestore, name: "RestoreRDSSnapshot", args: map[string]any{"instanceID": "db", "snapshotID": "old", "dbSubnetGroup": "private"}, check: restored,
		},
		"the default subnet group, a new instance": {
			new: rds.NewRestore, name: "RestoreRDSSnapshot", args: map[string]any{"instanceID": "copy", "snapshotID": "old", "securityGroupID": []any{"sg-9"}},
			check: func(t *testing.T, s *rdstest.Server, _ map[string]any) {
				t.Helper()
				assert.Equal(t, "default", s.Get(rdstest.Instance, "copy").Subnets)
				assert.Equal(t, []string{"sg-9"}, s.Get(rdstest.Instance, "copy").Groups)
				assert.Zero(t, s.Deleted(rdstest.Instance))
			},
		},
		"the class of the cluster's writer": {
			new: rds.NewRestore, name: "RestoreRDSSnapshot", args: map[string]any{"instanceID": "aurora", "snapshotID": "cold", "dbEngine": "aurora-mysql"},
			check: func(t *testing.T, s *rdstest.Server, _ map[string]any) {
				t.Helper()
				assert.Equal(t, "db.r6g.large", s.Get(rdstest.Instance, "aurora-instance-1").Class)
				assert.Equal(t, []string{"sg-1", "sg-2"}, s.Get(rdstest.Cluster, "aurora").Groups)
			},
		},
		"an engine that cannot be dumped": {
			new: rds.NewExport, name: "ExportRDSSnapshotToLocation",
			args: map[string]any{"namespace": "n", "instanceID": "db", "snapshotID": "old", "dbEngine": "MySQL"}, wantErr: "dbEngine must be PostgreSQL",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := region(t, &functiontest.Gate{})
			if tt.arrange != nil {
				tt.arrange(s)
			}
			output, err := execute(t, s, tt.new, tt.name, tt.args)
			if tt.wantErr != "" {
				require.ErrorContains(t, err, tt.wantErr)
				assert.NotContains(t, err.Error(), secretWords)
			} else {
				require.NoError(t, err)
			}
			if tt.check != nil {
				tt.check(t, s, output)
			}
		})
	}
}

// A retry after a snapshot that failed takes another one, under the same name.
func TestRetryAfterAFailedSnapshot(t *testing.T) {
	t.Parallel()
	s := region(t, &functiontest.Gate{})
	s.Fate(rdstest.Snapshot, "failed")
	call := newCall(t, s, "CreateRDSSnapshot", map[string]any{"instanceID": "db"})
	_, err := rds.NewCreate().Execute(t.Context(), call)
	require.ErrorContains(t, err, "is failed")
	call.Key.Attempt++
	output, err := rds.NewCreate().Execute(t.Context(), call)
	require.NoError(t, err)
	id, _ := output["snapshotID"].(string)
	assert.Equal(t, "available", s.Get(rdstest.Snapshot, id).Status)
	assert.Equal(t, []string{id, "old"}, s.IDs(rdstest.Snapshot))
}

// No log tells a secret.
func TestNothingSecretIsLogged(t *testing.T) {
	t.Parallel()
	s := region(t, &functiontest.Gate{})
	var log strings.Builder
	call := newCall(t, s, "CreateRDSSnapshot", map[string]any{"instanceID": "db"})
	call.Log = zerolog.New(&log)
	s.Refuse("CreateDBSnapshot", "InvalidDBInstanceState")
	_, err := rds.NewCreate().Execute(t.Context(), call)
	require.NoError(t, err)
	assert.Contains(t, log.String(), "asking again")
	assert.NotContains(t, log.String(), secretWords)
}
