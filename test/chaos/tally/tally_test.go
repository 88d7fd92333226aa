package tally_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/salvor-io/salvor/test/chaos/tally"
)

// good is a run of two steps and a deferPhase that ended as it should.
func good() *tally.Run {
	return &tally.Run{
		ID: "r1", Accepted: true, Boundaries: []string{"a", "b", "a"},
		Plan: tally.Plan{
			Kind: "mixed", Artifact: "work", Defer: &tally.Step{Name: "tidy", Lines: 1},
			Steps: []tally.Step{{Name: "scale"}, {Name: "work", Lines: 1}, {Name: "bump", Lines: 1, Once: true}},
		},
		End: &tally.End{
			State: tally.Complete, By: "pod-1",
			Steps: map[string]tally.State{"scale": tally.Complete, "work": tally.Complete, "bump": tally.Complete, "tidy": tally.Complete},
		},
		Lines: []tally.Line{{"r1", "work", "pod-1"}, {"r1", "bump", "x"}, {"r1", "tidy", "pod-2"}},
	}
}

func TestJudge(t *testing.T) {
	type faults struct{ lost, duplicated, stuck, wrong, orphans, interrupted bool }
	for name, c := range map[string]struct {
		change func(*tally.Run)
		want   faults
		why    string
	}{
		"good":         {func(*tally.Run) {}, faults{}, ""},
		"not accepted": {func(r *tally.Run) { r.Accepted, r.End = false, nil }, faults{}, ""},
		"no record":    {func(r *tally.Run) { r.End = nil }, faults{lost: true}, "no record"},
		"taken back before it was taken in": {
			func(r *tally.Run) { r.End, r.Plan.Cancelled, r.Lines = nil, true, nil }, faults{}, "",
		},
		"taken back without a record, and yet an effect": {
			func(r *tally.Run) { r.End, r.Plan.Cancelled = nil, true }, faults{lost: true}, "no record",
		},
		"complete without an effect": {
			func(r *tally.Run) { r.Lines = r.Lines[:2] },
			faults{lost: true},
			"step tidy is complete and has 0 effects of 1",
		},
		"two pods for one step": {
			func(r *tally.Run) { r.Lines = append(r.Lines, tally.Line{Run: "r1", Step: "work", By: "pod-9"}) },
			faults{duplicated: true},
			"step work is complete and has 2 effects",
		},
		"one pod twice": {
			func(r *tally.Run) { r.Lines = append(r.Lines, r.Lines[0]) },
			faults{duplicated: true},
			"twice by pod-1",
		},
		"an artifact of nobody": {
			func(r *tally.Run) { r.End.By = "pod-7" },
			faults{lost: true},
			`says "pod-7"`,
		},
		"still running": {
			func(r *tally.Run) {
				r.End.State, r.End.Steps["tidy"], r.Lines = tally.Running, tally.Running, r.Lines[:2]
			},
			faults{stuck: true},
			"still running",
		},
		"an effect of a step that never ran": {
			func(r *tally.Run) { r.End.State, r.End.Steps["tidy"] = tally.Running, tally.Pending },
			faults{stuck: true, duplicated: true},
			"tidy is pending and has 1",
		},
		"failed for no reason of the plan": {
			func(r *tally.Run) {
				r.End.State, r.End.Message, r.End.Steps["work"] = tally.Failed, "pod was deleted", tally.Failed
			},
			faults{wrong: true},
			"ended failed and not complete: pod was deleted",
		},
		"interrupted, no effect": {interrupt(0), faults{interrupted: true}, ""},
		"interrupted, one effect": {
			interrupt(1), faults{interrupted: true}, "",
		},
		"interrupted, and yet repeated": {
			interrupt(2), faults{interrupted: true, duplicated: true}, "bump is failed and has 2 effects",
		},
		"interrupted, the deferPhase did not run": {
			func(r *tally.Run) {
				interrupt(1)(r)
				r.End.Steps["tidy"] = tally.Pending
				r.Lines = r.Lines[1:]
			},
			faults{interrupted: true, lost: true},
			`its deferPhase tidy is "pending"`,
		},
		"interrupted, though nothing of it may be": {
			func(r *tally.Run) { interrupt(1)(r); r.Plan.Steps[2].Once = false },
			faults{interrupted: true, wrong: true},
			"ended failed",
		},
		"failed as planned, but by an outage": {
			func(r *tally.Run) {
				r.Plan.Fails, r.Plan.Unsteady, r.End.State = "work", true, tally.Failed
				r.End.Steps["work"], r.End.Steps["bump"] = tally.Failed, tally.Pending
				r.Lines = nil
				r.Plan.Defer = nil
			},
			faults{},
			"",
		},
		"failed by an outage of the cluster": {
			func(r *tally.Run) { interrupt(1)(r); r.End.Message = "exec: Timeout occurred"; r.Plan.Unsteady = true },
			faults{interrupted: true},
			"",
		},
		"failed by an outage, and yet repeated": {
			func(r *tally.Run) { interrupt(2)(r); r.End.Message = "exec: Timeout occurred"; r.Plan.Unsteady = true },
			faults{interrupted: true, duplicated: true},
			"bump is failed and has 2 effects",
		},
		"failed by an outage that there was none of": {
			func(r *tally.Run) { interrupt(1)(r); r.End.Message = "exec: Timeout occurred" },
			faults{wrong: true},
			"Timeout occurred",
		},
		"cancelled, said in the status": {
			func(r *tally.Run) {
				r.Plan.Cancelled, r.End.State, r.End.Message = true, tally.Failed, "cancelled: chaos"
				r.End.Steps["work"], r.End.Steps["bump"] = tally.Failed, tally.Pending
				r.Lines = []tally.Line{r.Lines[0], r.Lines[2]}
			},
			faults{},
			"",
		},
		"an effect counted elsewhere is missed": {
			func(r *tally.Run) { r.Missed = []string{"Deployment r1 has 0 replicas and not 3"} },
			faults{lost: true},
			"0 replicas",
		},
		"left behind": {
			func(r *tally.Run) { r.Left = []string{"pod p"} },
			faults{orphans: true},
			"left behind: pod p",
		},
		"an effect of nothing planned": {
			func(r *tally.Run) { r.Lines = append(r.Lines, tally.Line{Run: "r1", Step: "other", By: "z"}) },
			faults{wrong: true},
			"step other",
		},
		"cancelled in the middle": {
			func(r *tally.Run) {
				r.Plan.Cancelled, r.End.State = true, tally.Cancelled
				r.End.Steps["work"], r.End.Steps["bump"] = tally.Cancelled, tally.Pending
				r.Lines = []tally.Line{r.Lines[0], r.Lines[2]}
			},
			faults{},
			"",
		},
		"cancelled, though nobody asked": {
			func(r *tally.Run) { r.End.State = tally.Cancelled },
			faults{wrong: true},
			"ended cancelled",
		},
		"failed as planned": {
			func(r *tally.Run) {
				r.Plan.Fails, r.End.State = "work", tally.Failed
				r.End.Steps["work"], r.End.Steps["bump"] = tally.Failed, tally.Pending
				r.Lines = []tally.Line{r.Lines[0], r.Lines[2]}
			},
			faults{},
			"",
		},
		"failed as planned, without its effect": {
			func(r *tally.Run) {
				r.Plan.Fails, r.End.State = "work", tally.Failed
				r.End.Steps["work"], r.End.Steps["bump"] = tally.Failed, tally.Pending
				r.Lines = r.Lines[2:]
			},
			faults{lost: true},
			"step work is failed and has 0 effects of 1",
		},
		"complete, though the plan was to fail": {
			func(r *tally.Run) { r.Plan.Fails = "work" },
			faults{wrong: true},
			"ended complete and not failed",
		},
		"a second attempt as planned": {
			func(r *tally.Run) {
				r.Plan.Steps[1].Lines = 2
				r.Lines = append(r.Lines, tally.Line{Run: "r1", Step: "work", By: "pod-0"})
			},
			faults{},
			"",
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := good()
			c.change(r)
			v := tally.Judge(r)
			assert.Equal(t, c.want, faults{v.Lost, v.Duplicated, v.Stuck, v.Wrong, v.Orphans, v.Interrupted}, "%v", v.Why)
			assert.Equal(t, c.why != "", v.Bad())
			if c.why == "" {
				assert.Empty(t, v.Why)
				return
			}
			assert.Contains(t, joined(v.Why), c.why)
		})
	}
}

func TestAStepIsExcusedOnlyWhenTheStoreWasLostUnderIt(t *testing.T) {
	for _, c := range []struct {
		step     string
		recorded tally.State
		times    int
		repeated bool
	}{
		{"work", tally.Running, 2, true},
		{"work", tally.Failed, 2, true},
		{"work", tally.Pending, 2, true},
		{"work", "", 2, true},
		{"work", tally.Complete, 2, false},
		{"work", tally.Running, 3, false},
		{"bump", tally.Pending, 2, true},
		{"bump", tally.Running, 2, false},
		{"bump", tally.Complete, 2, false},
	} {
		r := good()
		for range c.times - 1 {
			r.Lines = append(r.Lines, tally.Line{Run: "r1", Step: c.step, By: "again"})
		}
		v := tally.Judge(r)
		assert.True(t, v.Duplicated, "the store was not lost")
		r.Lines = r.Lines[:4]
		if c.times == 3 {
			r.Lines = append(r.Lines, tally.Line{Run: "r1", Step: c.step, By: "and again"})
		}
		r.Wiped = &tally.End{State: tally.Running, Steps: map[string]tally.State{c.step: c.recorded}}
		v = tally.Judge(r)
		assert.Equal(t, c.repeated, v.Repeated, "%+v", c)
		assert.Equal(t, !c.repeated, v.Duplicated, "%+v: %v", c, v.Why)
	}
}

func joined(lines []string) (all string) {
	for _, line := range lines {
		all += line + "\n"
	}
	return all
}

// interrupt makes the step bump lose its process, after n effects.
func interrupt(n int) func(*tally.Run) {
	return func(r *tally.Run) {
		r.End.State, r.End.Message = tally.Failed, "KubeExec was interrupted: and so on"
		r.End.Steps["bump"] = tally.Failed
		lines := []tally.Line{r.Lines[2], r.Lines[0]}
		for i := range n {
			lines = append(lines, tally.Line{Run: "r1", Step: "bump", By: string(rune('a' + i))})
		}
		r.Lines = lines
	}
}

func TestParseLines(t *testing.T) {
	lines, bad := tally.ParseLines("r1 work p1\nr2 tidy p2\nbroken\nr3 work p")
	assert.Equal(t, []tally.Line{{"r1", "work", "p1"}, {"r2", "tidy", "p2"}}, lines)
	assert.Equal(t, []string{"broken"}, bad)
}

func TestCountAndFormat(t *testing.T) {
	stuck := good()
	stuck.ID, stuck.End.State, stuck.Boundaries = "r2", tally.Running, []string{"b", "random"}
	other := good()
	other.ID, other.Boundaries = "r3", nil
	unknown := good()
	unknown.Accepted = false
	rows, total := tally.Count([]tally.Boundary{
		{Name: "a", Killed: 2, Worst: 1200 * time.Millisecond, Measured: 2},
		{Name: "b", Killed: 1},
		{Name: "never", Problem: "never reached"},
	}, []*tally.Run{good(), stuck, other, unknown})
	require.Len(t, rows, 3)
	assert.Equal(t, 1, rows[0].Runs, "a run counts once for a boundary")
	assert.False(t, rows[0].Bad())
	assert.Equal(t, 2, rows[1].Runs)
	assert.Equal(t, 1, rows[1].Stuck)
	assert.True(t, rows[1].Bad())
	assert.True(t, rows[2].Bad(), "a boundary that was not exercised")
	assert.Equal(t, 3, total.Runs)
	assert.Equal(t, 3, total.Killed)
	assert.Equal(t, 1, total.Stuck)
	assert.Equal(t, 1200*time.Millisecond, total.Worst)
	text := tally.Format(rows, &total)
	assert.Contains(t, text, "1.20 s")
	assert.Contains(t, text, "never reached")
	assert.Contains(t, text, "worst recovery")
}
