package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	"github.com/salvor-io/salvor/test/chaos/tally"
)

// load keeps runs under way: it starts new ones while fewer than a number are.
type load struct {
	lab    *lab
	record *record
	prefix string
	kinds  []kind
	// atMost is how many are under way, every how often one is started at most.
	atMost int
	every  time.Duration
	random *rand.Rand

	// nudges are kinds of which one more is wanted now, whatever is under way.
	nudges chan string

	stop context.CancelFunc
	done sync.WaitGroup
}

// startLoad starts runs, named after the scenario, until it is stopped.
func (l *lab) startLoad(ctx context.Context, prefix string, atMost int, every time.Duration) *load {
	ctx, cancel := context.WithCancel(ctx)
	g := &load{
		lab: l, record: l.log, prefix: prefix, kinds: l.kinds(), atMost: atMost, every: every, stop: cancel,
		nudges: make(chan string, 8),
		random: rand.New(rand.NewPCG(l.options.Seed, uint64(len(prefix)))),
	}
	g.done.Go(func() { g.run(ctx) })
	return g
}

// close stops starting runs; those under way go on.
func (g *load) close() {
	g.stop()
	g.done.Wait()
}

func (g *load) run(ctx context.Context) {
	ticker := time.NewTicker(g.every)
	defer ticker.Stop()
	var deletions sync.WaitGroup
	defer deletions.Wait()
	for {
		var k *kind
		select {
		case <-ctx.Done():
			return
		case name := <-g.nudges:
			k = g.named(name)
		case <-ticker.C:
			if len(g.record.underWay()) < g.atMost {
				k = g.pick()
			}
		}
		if k == nil {
			continue
		}
		t := g.lab.startRun(ctx, g.prefix, k, float64(g.random.IntN(10))/10)
		if t != nil && t.Plan.Cancelled {
			after := time.Duration(g.random.IntN(3000)) * time.Millisecond
			deletions.Go(func() { g.lab.cancelRun(ctx, t, after) })
		}
	}
}

// nudge starts a run of a kind at once. It never blocks: there is load besides.
func (g *load) nudge(name string) {
	select {
	case g.nudges <- name:
	default:
	}
}

func (g *load) named(name string) *kind {
	for i := range g.kinds {
		if g.kinds[i].plan.Kind == name {
			return &g.kinds[i]
		}
	}
	return nil
}

// pick draws a kind by weight.
func (g *load) pick() *kind {
	total := 0
	for i := range g.kinds {
		total += g.kinds[i].weight
	}
	n := g.random.IntN(total)
	for i := range g.kinds {
		if n -= g.kinds[i].weight; n < 0 {
			return &g.kinds[i]
		}
	}
	return &g.kinds[0]
}

// startRun creates an ActionSet. It returns nil when the API server did not say
// that it has it; if it has it all the same, the watch will tell.
func (l *lab) startRun(ctx context.Context, prefix string, k *kind, seconds float64) *track {
	l.serials++
	n := l.serials
	id := fmt.Sprintf("%s-%04d-%s", prefix, n, k.plan.Kind)
	t := &track{Run: tally.Run{ID: id, Plan: k.plan}, number: n, scales: k.scales}
	t.Plan.Unsteady = l.unsteady
	object := kanister.ObjectReference{Kind: "Namespace", Name: l.namespace, Namespace: l.namespace}
	if k.scales {
		if err := l.tools.Apply(ctx, deployment(l.namespace, id)); err != nil {
			return nil // no workload, no run
		}
		object = kanister.ObjectReference{Kind: "Deployment", Name: id, Namespace: l.namespace}
	}
	l.log.expect(t)
	_, err := l.clients.ActionSets(l.namespace).Create(ctx, &kanister.ActionSet{
		ObjectMeta: metav1.ObjectMeta{Name: id, Namespace: l.namespace, Annotations: k.annotations},
		Spec: &kanister.ActionSetSpec{Actions: []kanister.ActionSpec{{
			Name: k.plan.Kind, Blueprint: "chaos", Object: object, Options: optionsOf(id, n, seconds),
		}}},
	}, metav1.CreateOptions{})
	if err != nil {
		if apierrors.IsInvalid(err) || apierrors.IsForbidden(err) {
			l.say("ActionSet %s was refused: %v", id, err)
		}
		return nil
	}
	return t
}

// annotationCancel asks for the end of a run, which keeps its ActionSet.
const annotationCancel = "salvor.io/cancel"

// cancelRun cancels a run: every other by its annotation, where salvor knows it, the
// others by deleting the ActionSet.
func (l *lab) cancelRun(ctx context.Context, t *track, after time.Duration) {
	select {
	case <-ctx.Done(): // the load ends: the run must end all the same
		ctx = context.WithoutCancel(ctx)
	case <-time.After(after):
	}
	if t.number%2 == 0 && l.can("cancel") {
		l.askToCancel(ctx, t)
		return
	}
	l.deleteRun(ctx, t)
}

func (l *lab) askToCancel(ctx context.Context, t *track) {
	patch := []byte(`{"metadata":{"annotations":{"` + annotationCancel + `":"chaos wants it cancelled"}}}`)
	_ = eventually(ctx, time.Minute, "annotated", func(ctx context.Context) bool {
		_, err := l.clients.ActionSets(l.namespace).Patch(ctx, t.ID, types.MergePatchType, patch, metav1.PatchOptions{})
		return err == nil || gone(err)
	}) // what was not cancelled is still running at the end, and counted
	l.log.note([]string{t.ID}, "cancel annotation written")
}

// deleteRun deletes an ActionSet, which cancels its run.
func (l *lab) deleteRun(ctx context.Context, t *track) {
	_ = eventually(ctx, time.Minute, "deleted", func(ctx context.Context) bool {
		err := l.clients.ActionSets(l.namespace).Delete(ctx, t.ID, metav1.DeleteOptions{})
		return err == nil || gone(err)
	}) // as above
	l.log.mu.Lock()
	defer l.log.mu.Unlock()
	t.deleted = true
	t.tell(l.began, time.Now(), "ActionSet deleted")
}
