package main

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	"github.com/salvor-io/salvor/internal/failpoint"
	"github.com/salvor-io/salvor/test/chaos/tally"
)

func TestFlags(t *testing.T) {
	var out bytes.Buffer
	o, err := parse(nil, &out)
	require.NoError(t, err)
	assert.Equal(t, 300, o.Kills)
	assert.Equal(t, 8*time.Minute, o.Limit)
	assert.True(t, filepath.IsAbs(o.Salvor))

	o, err = parse([]string{"-kills", "1000", "-seed", "7"}, &out)
	require.NoError(t, err)
	assert.EqualValues(t, 7, o.Seed)
	assert.Greater(t, o.Limit, 20*time.Minute, "a long run has more time")

	for _, wrong := range [][]string{{"-kills", "0"}, {"more"}, {"-what"}} {
		_, err := parse(wrong, &out)
		require.Error(t, err, "%v", wrong)
	}
	_, err = pick("recovery,nothing")
	require.ErrorContains(t, err, `"nothing" is not one of recovery, wiped`)
	picked, err := pick("wiped")
	require.NoError(t, err)
	assert.Equal(t, []string{"wiped"}, names(picked))
}

func TestTheScenariosMakeUpAllKills(t *testing.T) {
	sum := 0
	for _, s := range scenarios() {
		sum += s.kills(300)
	}
	assert.GreaterOrEqual(t, sum, 300)
}

// Every kind of run has its action, whose phases are those of the plan.
func TestTheBlueprintDoesWhatThePlansSay(t *testing.T) {
	var blueprint kanister.Blueprint
	documents := strings.Split(render("ns", "/effects"), "\n---\n")
	require.NoError(t, yaml.UnmarshalStrict([]byte(documents[len(documents)-1]), &blueprint))
	l := &lab{commands: "\n  retry x"}
	for _, k := range l.kinds() {
		action := blueprint.Actions[k.plan.Kind]
		require.NotNil(t, action, k.plan.Kind)
		var planned, there []tally.Step
		planned = append(planned, k.plan.Steps...)
		for _, p := range action.Phases {
			there = append(there, tally.Step{Name: p.Name, Once: p.Func == "KubeExec"})
		}
		if k.plan.Defer != nil {
			require.NotNil(t, action.DeferPhase, k.plan.Kind)
			planned = append(planned, *k.plan.Defer)
			there = append(there, tally.Step{Name: action.DeferPhase.Name, Once: action.DeferPhase.Func == "KubeExec"})
		}
		for i := range planned {
			planned[i].Lines = 0
		}
		assert.Equal(t, planned, there, k.plan.Kind)
		assert.Equal(t, k.plan.Artifact != "", len(action.OutputArtifacts) > 0, k.plan.Kind)
	}
	assert.Len(t, (&lab{}).kinds(), len(l.kinds())-2, "without a retry policy none is made to need it")
}

func TestInterleave(t *testing.T) {
	a := []target{{boundary: "a"}, {boundary: "b"}, {boundary: "c"}}
	b := []target{{boundary: "x"}}
	var order []string
	for _, m := range interleave(a, b) {
		order = append(order, m.boundary)
	}
	assert.Equal(t, []string{"a", "x", "b", "x", "c", "x"}, order)
}

func TestArmAndCount(t *testing.T) {
	l := &lab{dir: t.TempDir(), random: rand.New(rand.NewPCG(1, 1))}
	f, err := l.newFleet("some")
	require.NoError(t, err)
	require.NoError(t, f.arm(failpoint.RunnerAfterClaim, 2))
	text, err := os.ReadFile(filepath.Join(f.points(), "armed"))
	require.NoError(t, err)
	assert.Equal(t, "runner.after-claim 2\n", string(text))
	f.disarm()
	assert.NoFileExists(t, filepath.Join(f.points(), "armed"))

	assert.Zero(t, f.kills(failpoint.RunnerAfterClaim))
	require.NoError(t, os.MkdirAll(filepath.Join(f.points(), "killed"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(f.points(), "killed", "runner.after-claim"), []byte("12\n34\n"), 0o600))
	assert.Equal(t, 2, f.kills(failpoint.RunnerAfterClaim))
}
