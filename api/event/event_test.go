package event_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/salvor-io/salvor/api/event"
	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
)

var update = flag.Bool("update", false, "write the golden files")

var at = time.Date(2026, 11, 22, 3, 4, 5, 678901234, time.UTC)

const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

func sampleKey() event.Key {
	return event.Key{UID: "7c0b2c4e-1111-4222-8333-944445555566", Namespace: "shop", Action: 0, Kind: event.KindCore, Phase: 1, Attempt: 1}
}

func sampleRun() *event.Run {
	started := at.Add(time.Second)
	return &event.Run{
		Version: event.RunVersion, UID: sampleKey().UID, Namespace: "shop", Name: "backup-x7k2p",
		Labels: map[string]string{"kanister.io/JobID": "42"}, Traceparent: trace,
		CreatedAt: at, UpdatedAt: started, State: event.StateRunning,
		Actions: []event.Action{{
			Spec: kanister.ActionSpec{
				Name: "backup", Blueprint: "postgresql",
				Object:  kanister.ObjectReference{Kind: "StatefulSet", Name: "db", Namespace: "shop"},
				Profile: &kanister.ObjectReference{Name: "backups", Namespace: "shop"},
				Options: map[string]string{"pitr": "2026-11-22T00:00:00Z"},
			},
			State: event.StateRunning,
			Blueprint: &event.BlueprintRef{
				Namespace: "salvor", Name: "postgresql",
				Content: event.Payload{Digest: "sha256:" + strings.Repeat("ab", 32), Size: 9000},
			},
			Params: &event.Payload{Inline: json.RawMessage(`{"time":"2026-11-22T03:04:05Z"}`), Digest: "sha256:" + strings.Repeat("cd", 32), Size: 31},
			Phases: []event.Phase{
				{
					Name: "quiesce", Func: "KubeExec", State: event.StateComplete, Attempt: 1, StartedAt: &at, EndedAt: &started,
					Output: &event.Payload{Inline: json.RawMessage(`{"lsn":"0/16B3748"}`), Digest: "sha256:" + strings.Repeat("ef", 32), Size: 19},
				},
				{Name: "dump", Func: "KubeTask", State: event.StateRunning, Attempt: 1, StartedAt: &started},
			},
			DeferPhase:      &event.Phase{Func: "KubeExec", State: event.StatePending},
			RenderArtifacts: true,
			StartedAt:       &at,
		}},
	}
}

// TestWireForms pins what the processes say to each other. A difference here is
// a change of the contract: programs of different versions meet on the streams.
func TestWireForms(t *testing.T) {
	t.Parallel()
	run, err := event.NewRunEvent(event.SourceDispatcher, sampleRun())
	require.NoError(t, err)
	job, err := event.NewJobEvent(&event.Job{
		Key: sampleKey(), ActionSet: "backup-x7k2p", PhaseName: "dump", Func: "KubeTask", RenderArtifacts: true,
	}, at, trace)
	require.NoError(t, err)
	succeeded, err := event.NewReportEvent(event.SourceRunner, &event.Report{
		Kind: event.ReportSucceeded, Key: sampleKey(), At: at, Runner: "salvor-0", Pod: "shop/salvor-7c0b2c4e-0p1-1-1234567890",
		Output:    &event.Payload{Digest: "sha256:" + strings.Repeat("01", 32), Size: 10000},
		Excerpt:   map[string]any{"path": "pg/backup.sql.gz"},
		Artifacts: map[string]kanister.Artifact{"dump": {KeyValue: map[string]string{"path": "pg/backup.sql.gz"}}},
	}, trace)
	require.NoError(t, err)
	failed, err := event.NewReportEvent(event.SourceRunner, &event.Report{
		Kind: event.ReportFailed, Key: sampleKey(), At: at, Runner: "salvor-0",
		Failure: &event.Failure{Reason: event.ReasonPodFailed, Message: "exit code 1"},
	}, "")
	require.NoError(t, err)
	cancel, err := event.NewReportEvent(event.SourceBridge, &event.Report{
		Kind: event.ReportCancel, Key: event.Key{UID: sampleKey().UID, Namespace: "shop"}, At: at, Reason: "the ActionSet was deleted",
	}, "")
	require.NoError(t, err)
	lifecycle := lifecycleEvent(t, sampleEnded())
	dead, err := event.NewDeadLetterEvent(&event.DeadLetter{
		Key: sampleKey(), ActionSet: "backup-x7k2p", PhaseName: "dump", Func: "KubeTask", At: at,
		Reason: "its runner was lost 3 times", Crashes: []event.Crash{{Runner: "salvor-0", At: at}},
	})
	require.NoError(t, err)
	unread, err := event.NewDeadLetterEvent(&event.DeadLetter{At: at, Reason: "cannot be read", Subject: "salvor.jobs.x", Message: []byte("x")})
	require.NoError(t, err)

	var ids []string
	for _, message := range []string{"first", "second", "second"} {
		report, err := event.NewDeadLetterEvent(&event.DeadLetter{Key: sampleKey(), At: at, Subject: "salvor.reports.x", Message: []byte(message)})
		require.NoError(t, err)
		ids = append(ids, report.ID())
	}
	assert.NotEqual(t, ids[0], ids[1], "the stream would take the second of two reports on one job for the first")
	assert.Equal(t, ids[1], ids[2])
	assert.NotContains(t, ids, dead.ID())

	for name, e := range map[string]cloudevents.Event{
		"deadletter": dead, "deadletter-unread": unread,
		"run": run, "job": job, "report-succeeded": succeeded, "report-failed": failed, "report-cancel": cancel, "lifecycle": lifecycle,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.NoError(t, e.Validate())
			got, err := json.MarshalIndent(e, "", "  ")
			require.NoError(t, err)
			path := filepath.Join("testdata", name+".golden.json")
			if *update {
				require.NoError(t, os.WriteFile(path, append(got, '\n'), 0o600))
			}
			want, err := os.ReadFile(path)
			require.NoError(t, err)
			assert.Equal(t, string(bytes.TrimSpace(want)), string(got))
		})
	}
}

func TestRunRoundTrip(t *testing.T) {
	t.Parallel()
	e, err := event.NewRunEvent(event.SourceBridge, sampleRun())
	require.NoError(t, err)
	var back event.Run
	require.NoError(t, e.DataAs(&back))
	assert.Equal(t, sampleRun(), &back)
}

func TestSubjects(t *testing.T) {
	t.Parallel()
	k := sampleKey()
	assert.Equal(t, "salvor.jobs.default.shop."+k.UID+".0.p1.1", event.JobSubject(event.DefaultPool, k))
	k.Kind = event.KindDefer
	assert.Equal(t, "salvor.jobs.default.shop."+k.UID+".0.defer.1", event.JobSubject(event.DefaultPool, k))
	k.Kind = event.KindRender
	assert.Equal(t, k.UID+".0.render.1", k.String())
	assert.Equal(t, "salvor.events._.com.example.x", event.EventSubject("", "com.example.x"))
	// What NATS gives a meaning to cannot widen a subject.
	assert.Equal(t, "salvor.events.a_b._._.c_d", event.EventSubject("a.b", "*.>.c d"))
	assert.Equal(t, "salvor.events.ns._._", event.EventSubject("ns", "."))
	assert.Regexp(t, `^salvor\.runs\.\d+\.shop\.`, event.RunSubject("shop", k.UID))
	assert.NotEqual(t, event.RunSubject("shop", k.UID), event.ReportSubject("shop", k.UID))
}

// TestShard pins the hash: another one would lose every run that is stored.
func TestShard(t *testing.T) {
	t.Parallel()
	for namespace, want := range map[string]int{"default": 14, "": 5, "shop": 9, "kube-system": 14} {
		assert.Equal(t, want, event.Shard(namespace), namespace)
	}
	seen := map[int]bool{}
	for i := range 200 {
		shard := event.Shard("namespace-" + string(rune('a'+i%26)) + string(rune('a'+i/26)))
		assert.True(t, shard >= 0 && shard < event.Shards)
		seen[shard] = true
	}
	assert.Len(t, seen, event.Shards, "every shard is used")
}

func TestPodNamesAreValidAndDistinct(t *testing.T) {
	t.Parallel()
	seen := map[string]event.Key{}
	for _, uid := range []string{"7c0b2c4e-1111-4222-8333-944445555566", "7c0b2c4e-1111-4222-8333-944445555567"} {
		for action := range 3 {
			for _, kind := range []event.PhaseKind{event.KindCore, event.KindDefer, event.KindRender} {
				for attempt := 1; attempt < 4; attempt++ {
					k := event.Key{UID: uid, Action: action, Kind: kind, Attempt: attempt}
					assert.Equal(t, k.PodName(), k.PartName(""))
					for _, part := range []string{"", "db-0", "db-1", strings.Repeat("Ä ", 200)} {
						name := k.PartName(part)
						assert.Empty(t, validation.IsDNS1123Label(name), name)
						assert.Equal(t, name, k.PartName(part))
						assert.NotContains(t, seen, name)
						seen[name] = k
					}
				}
			}
		}
	}
}

func TestTerminal(t *testing.T) {
	t.Parallel()
	for state, want := range map[event.State]bool{
		event.StatePending: false, event.StateRunning: false,
		event.StateComplete: true, event.StateFailed: true, event.StateCancelled: true,
	} {
		assert.Equal(t, want, state.Terminal(), state)
	}
}
