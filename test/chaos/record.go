package main

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"

	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	"github.com/salvor-io/salvor/test/chaos/tally"
)

// labelRun is the label of task pods that holds the uid of their run.
const labelRun = "salvor.io/run"

// track is one run that was started, and what was seen of it.
type track struct {
	tally.Run

	number int
	scales bool
	// created is when the API server had it.
	created time.Time
	// deleted is set once the ActionSet was deleted, which cancels the run.
	deleted bool
	// status is the last that was seen.
	status *kanister.ActionSetStatus
	// story has what happened, for a person.
	story []string
}

// record watches the cluster and keeps what it sees of each run.
type record struct {
	namespace string
	began     time.Time

	mu   sync.Mutex
	runs map[string]*track // by name
	uids map[string]*track
	// hooks are told of everything that only Salvor does for a run.
	hooks map[int]func(id, what string, at time.Time)
	next  int

	stop context.CancelFunc
	done sync.WaitGroup
}

// watchRuns starts watching.
func (l *lab) watchRuns(ctx context.Context) (*record, error) {
	ctx, cancel := context.WithCancel(ctx)
	r := &record{
		namespace: l.namespace, began: l.began, stop: cancel,
		runs: map[string]*track{}, uids: map[string]*track{}, hooks: map[int]func(string, string, time.Time){},
	}
	actionSets := l.clients.ActionSets(l.namespace)
	sets := cache.NewSharedIndexInformer(&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			return actionSets.List(ctx, o)
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			return actionSets.Watch(ctx, o)
		},
	}, &kanister.ActionSet{}, 0, nil)
	client := l.clients.Kube.CoreV1().Pods(l.namespace)
	pods := cache.NewSharedIndexInformer(&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			o.LabelSelector = labelRun
			return client.List(ctx, o)
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			o.LabelSelector = labelRun
			return client.Watch(ctx, o)
		},
	}, &corev1.Pod{}, 0, nil)
	for _, w := range []struct {
		informer cache.SharedIndexInformer
		handler  cache.ResourceEventHandlerFuncs
	}{
		{sets, cache.ResourceEventHandlerFuncs{AddFunc: r.set, UpdateFunc: func(_, o any) { r.set(o) }}},
		{pods, cache.ResourceEventHandlerFuncs{
			AddFunc: func(o any) { r.pod(o, "pod made") }, DeleteFunc: func(o any) { r.pod(o, "pod deleted") },
		}},
	} {
		if _, err := w.informer.AddEventHandler(w.handler); err != nil {
			cancel()
			return nil, err
		}
		r.done.Go(func() { w.informer.RunWithContext(ctx) })
	}
	return r, nil
}

func (r *record) close() {
	r.stop()
	r.done.Wait()
}

// expect notes a run before it is created, so that nothing of it is missed.
func (r *record) expect(t *track) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.runs[t.ID] = t
}

func (r *record) set(object any) {
	as, ok := object.(*kanister.ActionSet)
	if !ok {
		return
	}
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.runs[as.Name]
	if t == nil {
		return
	}
	if !t.Accepted {
		t.Accepted, t.UID, t.created = true, string(as.UID), now
		r.uids[t.UID] = t
		t.tell(r.began, now, "accepted, uid "+t.UID)
	}
	if as.Status == nil {
		return
	}
	text, before := digest(as.Status), ""
	if t.status != nil {
		before = digest(t.status)
	}
	if text == before {
		return
	}
	t.status = as.Status
	t.End = endOf(as.Status)
	t.tell(r.began, now, "status "+text)
	r.act(t.ID, "status", now)
}

// digest is a status in one line.
func digest(s *kanister.ActionSetStatus) string {
	type phase struct {
		Name  string         `json:"n"`
		State kanister.State `json:"s"`
	}
	short := struct {
		State  kanister.State `json:"state"`
		Phases []phase        `json:"phases"`
		Error  string         `json:"error,omitempty"`
	}{State: s.State, Error: s.Error.Message}
	for i := range s.Actions {
		for _, p := range s.Actions[i].Phases {
			short.Phases = append(short.Phases, phase{p.Name, p.State})
		}
		if d := s.Actions[i].DeferPhase; d != nil {
			short.Phases = append(short.Phases, phase{d.Name, d.State})
		}
	}
	text, _ := json.Marshal(short) // cannot fail
	return string(text)
}

// endOf reads an ActionSet's status.
func endOf(s *kanister.ActionSetStatus) *tally.End {
	e := &tally.End{State: tally.State(s.State), Message: s.Error.Message, Steps: map[string]tally.State{}}
	for i := range s.Actions {
		a := &s.Actions[i]
		for _, p := range a.Phases {
			e.Steps[p.Name] = tally.State(p.State)
		}
		if a.DeferPhase != nil {
			e.Steps[a.DeferPhase.Name] = tally.State(a.DeferPhase.State)
		}
		e.By = a.Artifacts["made"].KeyValue["by"]
	}
	return e
}

func (r *record) pod(object any, what string) {
	if last, ok := object.(cache.DeletedFinalStateUnknown); ok {
		object = last.Obj
	}
	pod, ok := object.(*corev1.Pod)
	if !ok {
		return
	}
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.uids[pod.Labels[labelRun]]
	if t == nil {
		return
	}
	t.tell(r.began, now, what+" "+pod.Name+" "+string(pod.UID))
	r.act(t.ID, what, now)
}

func (t *track) tell(began, now time.Time, what string) {
	t.story = append(t.story, now.Sub(began).Round(time.Millisecond).String()+" "+what)
}

// markWiped keeps how the runs stood when the store was lost.
func (r *record) markWiped(ids []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, id := range ids {
		t := r.runs[id]
		t.Wiped = &tally.End{} // nothing was said of it yet
		if t.End != nil {
			t.Wiped = t.End
		}
	}
}

// note adds a line to the story of runs.
func (r *record) note(ids []string, what string) {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, id := range ids {
		r.runs[id].tell(r.began, now, what)
	}
}

// act tells the hooks; the lock is held.
func (r *record) act(id, what string, at time.Time) {
	for _, hook := range r.hooks {
		hook(id, what, at)
	}
}

// listen calls a function for everything that Salvor does, until it is stopped.
func (r *record) listen(hook func(id, what string, at time.Time)) (stop func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.next++
	n := r.next
	r.hooks[n] = hook
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.hooks, n)
	}
}

// underWay are the runs that were accepted and have not ended.
func (r *record) underWay() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var ids []string
	for id, t := range r.runs {
		if t.Accepted && !t.Terminal() {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// each calls a function for every run, in the order of their names.
func (r *record) each(f func(*track)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, id := range slices.Sorted(maps.Keys(r.runs)) {
		f(r.runs[id])
	}
}
