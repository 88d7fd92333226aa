package decide_test

import (
	"fmt"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"github.com/salvor-io/salvor/api/event"
	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	"github.com/salvor-io/salvor/dispatcher/decide"
)

func policy(t *rapid.T) *event.Policy {
	if rapid.Bool().Draw(t, "no policy") {
		return nil
	}
	seconds := func(label string, n ...int) metav1.Duration {
		return metav1.Duration{Duration: time.Duration(rapid.SampledFrom(n).Draw(t, label)) * time.Second}
	}
	return &event.Policy{
		Attempts: rapid.IntRange(1, 7).Draw(t, "attempts"),
		Backoff:  seconds("backoff", 0, 1, 10, 600), BackoffLimit: seconds("limit", 0, 10, 1200), Timeout: seconds("timeout", 0, 0, 1, 60, 3600),
		OnInterrupt: rapid.SampledFrom([]event.OnInterrupt{"", event.InterruptFails, event.InterruptRetries}).Draw(t, "on-interrupt"),
	}
}

func plans(t *rapid.T) []decide.Plan {
	phase := func(name, function string) decide.PhasePlan {
		return decide.PhasePlan{
			Name: name, Func: function, Policy: policy(t), Once: rapid.Bool().Draw(t, "once"), Attempt: rapid.IntRange(0, 2).Draw(t, "pods"),
		}
	}
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) decide.Plan {
		p := decide.Plan{
			Artifacts: rapid.Bool().Draw(t, "artifacts"),
			Timeout:   time.Duration(rapid.SampledFrom([]int{0, 0, 1, 30, 3600}).Draw(t, "timeout")) * time.Second,
		}
		for i := range rapid.IntRange(0, 8).Draw(t, "phases") {
			p.Phases = append(p.Phases, phase(fmt.Sprint("p", i), "KubeTask"))
		}
		if rapid.Bool().Draw(t, "defer") {
			d := phase("d", "KubeExec")
			p.Defer = &d
		}
		return p
	}), 1, 3).Draw(t, "plans")
}

// recovered is what a status may say of an action: phases that ended well, then one
// that did not.
func recovered(t *rapid.T, p decide.Plan) *kanister.ActionStatus {
	if rapid.IntRange(0, 3).Draw(t, "recovered") > 0 {
		return nil
	}
	states := rapid.SampledFrom([]kanister.State{
		"", kanister.StatePending, kanister.StateRunning, kanister.StateComplete, kanister.StateFailed,
	})
	was := &kanister.ActionStatus{}
	n := rapid.IntRange(0, len(p.Phases)).Draw(t, "ended")
	for i := range p.Phases {
		state := kanister.StatePending
		switch {
		case i < n:
			state = kanister.StateComplete
		case i == n:
			state = states.Draw(t, "state")
		}
		was.Phases = append(was.Phases, kanister.Phase{Name: p.Phases[i].Name, State: state, Output: kanister.JSONMap{"k": "v"}})
	}
	if p.Defer != nil {
		was.DeferPhase = &kanister.Phase{Name: "d", State: states.Draw(t, "defer state")}
	}
	return was
}

func property(t *rapid.T) {
	w := newWorld(t, plans(t))
	for i := range w.plans {
		w.run.Actions[i].Recovered = recovered(t, w.plans[i])
	}
	action := rapid.IntRange(0, len(w.plans)-1)
	rarely := func(t *rapid.T) bool { return rapid.IntRange(0, 6).Draw(t, "rarely") == 0 }
	tokens := rapid.SampledFrom([]string{"", "t1", "t2", "t3"})
	t.Repeat(map[string]func(*rapid.T){
		"start": func(t *rapid.T) {
			a := action.Draw(t, "action")
			w.tell(decide.Start{Action: a, Plan: w.plans[a]})
		},
		"refuse": func(t *rapid.T) {
			if rarely(t) {
				w.tell(decide.Refuse{Action: action.Draw(t, "action"), Failure: event.Failure{Reason: event.ReasonNotFound, Message: "no"}})
			}
		},
		"release": func(t *rapid.T) { w.tell(decide.Release{Action: action.Draw(t, "action")}) },
		"end": func(t *rapid.T) {
			if len(w.open) == 0 {
				return
			}
			kind := rapid.SampledFrom([]event.ReportKind{
				event.ReportSucceeded, event.ReportSucceeded, event.ReportFailed, event.ReportFailed, event.ReportCancelled,
			}).Draw(t, "kind")
			w.end(rapid.IntRange(0, len(w.open)-1).Draw(t, "job"), kind)
			if kind == event.ReportFailed {
				w.reports[len(w.reports)-1].Failure.Reason = reasons.Draw(t, "reason")
			}
		},
		"deliver": func(t *rapid.T) { // late, often, in any order, or never
			if len(w.reports) > 0 {
				w.tell(decide.Report{Report: rapid.SampledFrom(w.reports).Draw(t, "report")})
			}
		},
		"invent":  func(t *rapid.T) { w.tell(decide.Report{Report: invented(t, w.published)}) },
		"wake":    func(*rapid.T) { w.tell(decide.Wake{}) },
		"restart": func(*rapid.T) { w.restart() },
		"time": func(t *rapid.T) {
			w.now = w.now.Add(time.Duration(rapid.IntRange(0, 5000).Draw(t, "seconds")) * time.Second)
		},
		"fire": func(*rapid.T) {
			if w.timer.After(w.now) {
				w.now = w.timer
			}
			w.tell(decide.Wake{})
		},
		"cancel": func(t *rapid.T) {
			if rarely(t) {
				w.tell(request(event.ReportCancel, ""))
			}
		},
		"pause":  func(*rapid.T) { w.tell(request(event.ReportPause, "")) },
		"resume": func(*rapid.T) { w.tell(request(event.ReportResume, "")) },
		"retry":  func(t *rapid.T) { w.tell(request(event.ReportRetry, tokens.Draw(t, "token"))) },
	})
	w.finish()
}

var reasons = rapid.SampledFrom([]event.Reason{
	event.ReasonPodFailed, event.ReasonTimeout, event.ReasonFailed, event.ReasonInterrupted, event.ReasonPoison, event.ReasonRender, "Newer",
})

// invented is a report about a job that was never published.
func invented(t *rapid.T, published map[string]event.Job) event.Report {
	k := event.Key{
		UID:     rapid.SampledFrom([]string{"u1", "u2", ""}).Draw(t, "uid"),
		Action:  rapid.IntRange(-1, 4).Draw(t, "action"),
		Kind:    rapid.SampledFrom([]event.PhaseKind{event.KindCore, event.KindDefer, event.KindRender, "other"}).Draw(t, "kind"),
		Phase:   rapid.IntRange(-1, 9).Draw(t, "phase"),
		Attempt: rapid.IntRange(-1, 3).Draw(t, "attempt"),
	}
	if _, ok := published[k.String()]; ok {
		k.Attempt += 100
	}
	return event.Report{
		Kind: rapid.SampledFrom([]event.ReportKind{event.ReportProgress, event.ReportSucceeded, event.ReportFailed, event.ReportCancelled, "?"}).Draw(t, "report"),
		Key:  k,
	}
}

func TestDecideProperty(t *testing.T) {
	t.Parallel()
	rapid.Check(t, property)
}

// FuzzDecide lets the fuzzer choose what rapid draws. Seeds are bytes for those
// draws: nothing, and patterns long enough for stories of many steps.
func FuzzDecide(f *testing.F) {
	for _, seed := range []uint64{1, 7, 42, 2026} {
		data := make([]byte, 0, 16<<10)
		for x := seed; len(data) < cap(data); x = x*6364136223846793005 + 1442695040888963407 {
			data = append(data, byte(x>>56), byte(x>>48), byte(x>>40), byte(x>>32))
		}
		f.Add(data)
	}
	f.Add([]byte{})
	f.Fuzz(rapid.MakeFuzz(property))
}
