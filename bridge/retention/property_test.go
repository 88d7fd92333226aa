package retention

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/rs/zerolog"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"
	"pgregory.net/rapid"

	"github.com/salvor-io/salvor/api/event"
	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	salvor "github.com/salvor-io/salvor/api/salvor/v1alpha1"
	"github.com/salvor-io/salvor/internal/blueprint"
	"github.com/salvor-io/salvor/internal/trigger"
)

// history drives a cluster: users, runs, and controllers that die.
type history struct {
	*cluster

	t *rapid.T
}

func (h *history) All() []*salvor.ActionTrigger {
	var out []*salvor.ActionTrigger
	for _, name := range slices.Sorted(maps.Keys(h.triggers)) {
		out = append(out, h.triggers[name])
	}
	return out
}

func (h *history) WaitForSync(context.Context) bool                              { return true }
func (h *history) Notify(func(t *salvor.ActionTrigger, gone bool)) error         { return nil }
func (h *history) Tell(*salvor.ActionTrigger, func(*salvor.ActionTriggerStatus)) {}

// controller is a process that has just started.
func (h *history) controller() *Controller {
	return New(Config{
		Clock: clocktesting.NewFakeClock(h.now), Log: zerolog.Nop(), Triggers: h, Statuses: h,
		ActionSets: func(string) ActionSets { return api{h.cluster} },
		Unfinished: func() []*kanister.ActionSet {
			return slices.DeleteFunc(h.all(), func(as *kanister.ActionSet) bool { return !unfinished(as) })
		},
		Blueprint: func(_ context.Context, name, _ string) (*kanister.Blueprint, error) {
			if h.noBlueprint {
				return nil, &blueprint.Error{Reason: event.ReasonNotFound, Err: errors.New("no blueprint")}
			}
			bp := &kanister.Blueprint{Actions: map[string]*kanister.BlueprintAction{"delete": {}, "purge": {}}}
			bp.Name = name
			return bp, nil
		},
		InFlight: 2,
	})
}

// look is one look of a process that dies at its n-th write, 0 for never: before it,
// or after it and before it knows.
func (h *history) look(n int, after bool) {
	h.dead, h.dieAt, h.dieAfter = false, 0, after
	if n > 0 {
		h.dieAt = n + 1
	}
	if _, err := h.controller().look(context.Background(), "shop"); err != nil && !h.dead {
		h.fault("a look failed: %v", err)
	}
	h.dead, h.dieAt = false, 0
}

func (h *history) one(label string, fits func(*kanister.ActionSet) bool) *kanister.ActionSet {
	all := slices.DeleteFunc(h.all(), func(as *kanister.ActionSet) bool { return !fits(as) })
	if len(all) == 0 {
		h.t.Skip("none")
	}
	return rapid.SampledFrom(all).Draw(h.t, label)
}

// newTrigger makes a trigger, or another one in its place.
func (h *history) newTrigger(name string) {
	keep := &salvor.Retention{}
	switch rapid.IntRange(0, 6).Draw(h.t, "keep") {
	case 0:
		keep = nil
	case 1:
		keep.Daily, keep.TimeZone = new(rapid.Int32Range(1, 3).Draw(h.t, "daily")), "Europe/Berlin"
	case 2:
		keep.Within, keep.Failed = "24h", new(int32(1))
	default:
		keep.Count = new(rapid.Int32Range(1, 3).Draw(h.t, "count"))
	}
	t := &salvor.ActionTrigger{Spec: salvor.ActionTriggerSpec{Keep: keep}}
	t.Namespace, t.Name, t.UID = "shop", name, types.UID(h.id("trigger-"))
	h.triggers[name] = t
}

func aTrigger(t *rapid.T) string {
	return rapid.SampledFrom([]string{"nightly", "hourly"}).Draw(t, "trigger")
}

// newBackup is an ActionSet of a trigger that ended in some way, with artifacts that
// are its own or another's.
func (h *history) newBackup(t *rapid.T) {
	owner, ok := h.triggers[aTrigger(t)]
	if !ok {
		owner = h.triggers["nightly"]
	}
	if owner == nil {
		t.Skip("no trigger")
	}
	as := &kanister.ActionSet{Spec: &kanister.ActionSetSpec{}, Status: &kanister.ActionSetStatus{}}
	as.Name = h.id("backup-")
	as.Labels = map[string]string{salvor.LabelTrigger: owner.Name, salvor.LabelTriggerKey: rapid.SampledFrom([]string{"a", "a", "b"}).Draw(t, "key")}
	as.Annotations = map[string]string{salvor.AnnotationTriggerUID: string(owner.UID)}
	as.Status.State = rapid.SampledFrom([]kanister.State{
		kanister.StateComplete, kanister.StateComplete, kanister.StateComplete, kanister.StateFailed, kanister.StateRunning,
	}).Draw(t, "state")
	for i := range rapid.IntRange(1, 2).Draw(t, "actions") {
		action := kanister.ActionSpec{Name: "backup", Blueprint: "bp", Options: map[string]string{"n": strconv.Itoa(i)}}
		status := kanister.ActionStatus{Name: "backup", Artifacts: map[string]kanister.Artifact{}}
		if as.Status.State == kanister.StateComplete || rapid.IntRange(0, 3).Draw(t, "partial") == 0 {
			for j := range rapid.IntRange(0, 2).Draw(t, "artifacts") {
				status.Artifacts[fmt.Sprintf("artifact%d", j)] = kanister.Artifact{KeyValue: map[string]string{"path": h.path(t)}}
			}
		}
		as.Spec.Actions = append(as.Spec.Actions, action)
		as.Status.Actions = append(as.Status.Actions, status)
	}
	h.put(as)
	for _, path := range left(as) {
		h.data[path] = true
		delete(h.abandoned, path)
	}
}

// path is one of its own or, at times, that of a backup which is not being pruned.
func (h *history) path(t *rapid.T) string {
	var others []string
	if rapid.IntRange(0, 4).Draw(t, "shares") == 0 {
		for _, as := range h.all() {
			if !isPrune(as) && len(h.prunesOf(as)) == 0 {
				others = append(others, left(as)...)
			}
		}
	}
	// What a prune is about to remove is no artifact of another.
	others = slices.DeleteFunc(others, func(path string) bool {
		return slices.ContainsFunc(h.all(), func(as *kanister.ActionSet) bool { return isPrune(as) && slices.Contains(given(as), path) })
	})
	if len(others) == 0 {
		return h.id("path-")
	}
	return rapid.SampledFrom(others).Draw(t, "shared")
}

// endPrune ends the run of an ActionSet that removes data, well or not.
func (h *history) endPrune(as *kanister.ActionSet, well bool, much int) {
	as.Status = &kanister.ActionSetStatus{State: kanister.StateComplete}
	paths := given(as)
	if !well {
		as.Status.State = kanister.StateFailed
		as.Status.Error.Message = "the bucket is away"
		paths = paths[:min(much, len(paths))]
	}
	at := metav1.NewTime(h.now)
	as.Status.Progress.LastTransitionTime = &at
	for _, path := range paths {
		delete(h.data, path)
	}
	h.touch(as)
}

func (h *history) actions() map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"trigger": func(t *rapid.T) { h.newTrigger(aTrigger(t)) },
		"backup":  h.newBackup,
		"backups": func(t *rapid.T) { h.newBackup(t); h.newBackup(t); h.newBackup(t) },
		"ends": func(t *rapid.T) {
			as := h.one("open", func(as *kanister.ActionSet) bool { return unfinished(as) && !isPrune(as) })
			as.Status = &kanister.ActionSetStatus{State: kanister.StateComplete, Actions: as.Status.Actions}
			if as.Status.Actions == nil && rapid.Bool().Draw(t, "fails") {
				as.Status.State = kanister.StateFailed
			}
			h.touch(as)
		},
		"prune ends": func(t *rapid.T) {
			as := h.one("prune", func(as *kanister.ActionSet) bool { return unfinished(as) && isPrune(as) })
			h.endPrune(as, rapid.IntRange(0, 2).Draw(t, "well") > 0, rapid.IntRange(0, 2).Draw(t, "much"))
		},
		"restore": func(t *rapid.T) {
			from := h.one("from", func(as *kanister.ActionSet) bool {
				return stateIn(as) == kanister.StateComplete && len(left(as)) > 0 && len(h.prunesOf(as)) == 0
			})
			as := &kanister.ActionSet{Spec: from.Spec.DeepCopy(), Status: &kanister.ActionSetStatus{State: kanister.StateRunning}}
			as.Name = h.id("restore-")
			as.Labels = map[string]string{"left-alone": "true"}
			for i := range as.Spec.Actions {
				as.Spec.Actions[i].Artifacts = from.Status.Actions[i].Artifacts
			}
			h.put(as)
		},
		"user deletes": func(*rapid.T) { h.forget(h.one("victim", func(*kanister.ActionSet) bool { return true })) },
		"user holds": func(*rapid.T) {
			as := h.one("held", func(as *kanister.ActionSet) bool {
				return as.Labels[salvor.LabelTrigger] != "" && len(h.prunesOf(as)) == 0
			})
			as.Labels = map[string]string{"left-alone": "true"}
			h.touch(as)
		},
		"suspend": func(t *rapid.T) {
			if owner, ok := h.triggers[aTrigger(t)]; ok {
				owner.Spec.Suspend = !owner.Spec.Suspend
			}
		},
		"other action": func(t *rapid.T) {
			if owner, ok := h.triggers[aTrigger(t)]; ok && owner.Spec.Keep != nil {
				owner.Spec.Keep.Action = rapid.SampledFrom([]string{"", "delete", "purge"}).Draw(t, "action")
			}
		},
		"trigger goes": func(t *rapid.T) { delete(h.triggers, aTrigger(t)) },
		"blueprint":    func(*rapid.T) { h.noBlueprint = !h.noBlueprint },
		"time": func(t *rapid.T) {
			h.now = h.now.Add(time.Duration(rapid.IntRange(0, 48*60).Draw(t, "minutes")) * time.Minute)
		},
		"look":         func(*rapid.T) { h.look(0, false) },
		"look at once": func(*rapid.T) { h.look(0, false) },
		"look and die": func(t *rapid.T) { h.look(rapid.IntRange(1, 6).Draw(t, "write"), rapid.Bool().Draw(t, "after")) },
		"two look": func(t *rapid.T) {
			// Another process has its whole look in the middle of this one's.
			n := rapid.IntRange(1, 4).Draw(t, "write")
			h.meanwhile = func() {
				if n--; n == 0 {
					h.meanwhile = nil
					h.look(0, false)
				}
			}
			h.look(0, false)
			h.meanwhile = nil
		},
		"": func(*rapid.T) { h.check() },
	}
}

// The promises of the package hold at each moment of any history: of users, of runs
// that end well and badly, of processes that die before and after every write and of
// two at once. When everybody rests, nothing is left to be removed.
func TestHistories(t *testing.T) {
	begun, pruned := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		h := &history{t: t}
		h.cluster = newCluster(t.Fatalf)
		h.newTrigger("nightly")
		for range rapid.IntRange(0, 8).Draw(t, "backups") {
			h.newBackup(t)
			h.now = h.now.Add(9 * time.Hour)
		}
		actions := h.actions()
		for name, action := range actions {
			actions[name] = func(inner *rapid.T) { h.t = inner; action(inner) }
		}
		t.Repeat(actions)
		h.t = t
		before := len(h.as)
		h.rest()
		begun += h.created
		pruned += before - len(h.as)
	})
	if begun == 0 || pruned == 0 {
		t.Errorf("%d prunes were begun and %d ActionSets went at the ends: the histories say nothing", begun, pruned)
	}
	t.Logf("%d prunes were begun; %d ActionSets went at the ends", begun, pruned)
}

// rest lets everything end well, and checks that then no more is there than is kept.
func (h *history) rest() {
	h.noBlueprint = false
	for round := 0; ; round++ {
		was := h.next
		for _, as := range h.all() {
			switch {
			case !unfinished(as):
			case isPrune(as):
				h.endPrune(as, true, 0)
			default:
				as.Status.State = kanister.StateComplete
				h.touch(as)
			}
		}
		h.now = h.now.Add(7 * time.Hour)
		count := len(h.as)
		h.look(0, false)
		h.check()
		if h.next == was && len(h.as) == count {
			break
		}
		if round > 200 {
			h.fault("there is no end to it")
		}
	}
	for _, owner := range h.All() {
		if owner.Spec.Keep == nil || owner.Spec.Suspend {
			continue
		}
		groups := map[string][]trigger.Backup{}
		for _, as := range h.all() {
			if as.Annotations[salvor.AnnotationTriggerUID] == string(owner.UID) && as.Labels[salvor.LabelTrigger] == owner.Name &&
				stateIn(as) == kanister.StateComplete && len(h.prunesOf(as)) == 0 {
				key := as.Labels[salvor.LabelTriggerKey] + strconv.FormatBool(len(left(as)) > 0)
				groups[key] = append(groups[key], trigger.Backup{Name: as.Name, At: as.CreationTimestamp.Time, Good: true})
			}
		}
		zone, err := zoneOf(owner)
		if err != nil {
			h.fault("%v", err)
		}
		for _, backups := range groups {
			for i, stay := range trigger.Retain(owner.Spec.Keep, zone, h.now, backups) {
				if !stay && !h.shares(h.as[backups[i].Name]) {
					h.fault("%s is still there, and nothing keeps it", backups[i].Name)
				}
			}
		}
	}
}

func (h *history) shares(as *kanister.ActionSet) bool {
	for _, o := range h.all() {
		if o != as && slices.ContainsFunc(left(o), func(path string) bool { return slices.Contains(left(as), path) }) {
			return true
		}
	}
	return false
}
