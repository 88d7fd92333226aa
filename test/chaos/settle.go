package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/internal/stream"
	"github.com/salvor-io/salvor/test/chaos/tally"
)

// settle waits until every run has ended and nothing of them is left, at most
// for as long as the patience, and then takes down what there is.
func (l *lab) settle(ctx context.Context, f *fleet) error {
	nc, err := f.connect()
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	began := time.Now()
	said := began
	var left map[string][]string
	for {
		pending := l.pending(ctx, js)
		var err error
		left, err = l.leftovers(ctx, js)
		if err == nil && len(pending) == 0 && len(left) == 0 {
			break
		}
		if time.Since(said) > 5*time.Second {
			said = time.Now()
			l.say("waiting for %d runs to end, %d with leftovers%s", len(pending), len(left), because(err))
		}
		if time.Since(began) > l.options.Patience {
			l.say("%d runs have not ended after %s, %d have leftovers%s", len(pending), l.options.Patience, len(left), because(err))
			break
		}
		if dead := f.dead(); len(dead) > 0 {
			return died(dead)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
	for uid, things := range left {
		l.say("left behind by run %q: %s", uid, strings.Join(things, ", "))
	}
	return l.take(ctx, left)
}

func because(err error) string {
	if err == nil {
		return ""
	}
	return " (" + err.Error() + ")"
}

// pending are the runs that have not ended. Those without an ActionSet are looked
// up in the stream.
func (l *lab) pending(ctx context.Context, js jetstream.JetStream) []string {
	runs := stream.NewRuns(js, "chaos")
	var pending, deleted []string
	l.log.each(func(t *track) {
		switch {
		case !t.Accepted || t.Terminal():
		case t.deleted:
			deleted = append(deleted, t.ID)
		default:
			pending = append(pending, t.ID)
		}
	})
	for _, id := range deleted {
		l.log.mu.Lock()
		t := l.log.runs[id]
		uid := t.UID
		l.log.mu.Unlock()
		run, _, err := runs.Get(ctx, l.namespace, uid)
		l.log.mu.Lock()
		switch {
		case err == nil:
			t.End = endOfRun(run)
		case errors.Is(err, stream.ErrNotFound):
			t.End = nil
		}
		done := t.Terminal() || errors.Is(err, stream.ErrNotFound)
		l.log.mu.Unlock()
		if !done {
			pending = append(pending, id)
		}
	}
	return pending
}

// endOfRun reads the record of a run on the stream.
func endOfRun(run *event.Run) *tally.End {
	e := &tally.End{State: tally.State(run.State), Steps: map[string]tally.State{}}
	if run.Failure != nil {
		e.Message = run.Failure.Message
	}
	for i := range run.Actions {
		a := &run.Actions[i]
		for j := range a.Phases {
			e.Steps[a.Phases[j].Name] = tally.State(a.Phases[j].State)
		}
		if a.DeferPhase != nil {
			e.Steps[a.DeferPhase.Name] = tally.State(a.DeferPhase.State)
		}
		e.By = a.Artifacts["made"].KeyValue["by"]
	}
	return e
}

// streams whose messages must all be gone when nothing is under way.
var streams = []string{event.StreamJobs, event.StreamReports, event.StreamTimers, event.StreamDLQ}

// leftovers are the things that are still there, by the uid of their run.
func (l *lab) leftovers(ctx context.Context, js jetstream.JetStream) (map[string][]string, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	left := map[string][]string{}
	pods, err := l.taskPods(ctx)
	if err != nil {
		return nil, err
	}
	for i := range pods {
		uid := pods[i].Labels[labelRun]
		left[uid] = append(left[uid], "pod "+pods[i].Name)
	}
	for _, name := range streams {
		s, err := js.Stream(ctx, name)
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("look for messages on %s: %w", name, err)
		}
		info, err := s.Info(ctx, jetstream.WithSubjectFilter(">"))
		if err != nil {
			return nil, fmt.Errorf("look for messages on %s: %w", name, err)
		}
		for subject := range info.State.Subjects {
			if goesByAge(ctx, s, subject) {
				continue // it has done its work
			}
			uid := l.uidIn(subject)
			left[uid] = append(left[uid], subject)
		}
	}
	if err := l.claims(ctx, js, left); err != nil {
		return nil, err
	}
	return left, nil
}

// goesByAge tells whether a message on TIMERS is removed by the server some time
// after the run has ended. A timer whose server was killed while it fired may stay
// behind the message that it became.
func goesByAge(ctx context.Context, s jetstream.Stream, subject string) bool {
	if s.CachedInfo().Config.Name != event.StreamTimers {
		return false
	}
	msg, err := s.GetLastMsgForSubject(ctx, subject)
	return err == nil && msg.Header.Get(jetstream.MsgTTLHeader) != ""
}

func (l *lab) claims(ctx context.Context, js jetstream.JetStream, left map[string][]string) error {
	kv, err := js.KeyValue(ctx, event.BucketLeases)
	if err != nil {
		return fmt.Errorf("look for claims: %w", err)
	}
	keys, err := kv.ListKeysFiltered(ctx, "claim.>")
	if err != nil {
		return fmt.Errorf("look for claims: %w", err)
	}
	for key := range keys.Keys() {
		uid := l.uidIn(key)
		left[uid] = append(left[uid], key)
	}
	return nil
}

// uidIn finds the uid of a run among the tokens of a subject.
func (l *lab) uidIn(subject string) string {
	l.log.mu.Lock()
	defer l.log.mu.Unlock()
	for token := range strings.SplitSeq(subject, ".") {
		if l.log.uids[token] != nil {
			return token
		}
	}
	return ""
}

// take writes the effects and what is left into the record of each run.
func (l *lab) take(ctx context.Context, left map[string][]string) error {
	text, err := os.ReadFile(l.lines())
	if err != nil {
		return err
	}
	lines, bad := tally.ParseLines(string(text))
	if len(bad) > 0 {
		return fmt.Errorf("%s has lines that nobody wrote whole: %q", l.lines(), bad)
	}
	missed := l.scaledWrong(ctx)
	l.log.mu.Lock()
	defer l.log.mu.Unlock()
	for _, t := range l.log.runs {
		t.Lines, t.Missed = nil, missed[t.ID]
		if things := left[t.UID]; len(things) > 0 { // what an earlier scenario left stays noted
			t.Left = things
		}
	}
	for _, line := range lines {
		if t := l.log.runs[line.Run]; t != nil {
			t.Lines = append(t.Lines, line)
		}
	}
	if stray := left[""]; len(stray) > 0 {
		return fmt.Errorf("left behind by no run that is known: %s", strings.Join(stray, ", "))
	}
	return nil
}

// scaledWrong says which workloads are not as their runs left them.
func (l *lab) scaledWrong(ctx context.Context) map[string][]string {
	want := map[string]int32{}
	l.log.each(func(t *track) {
		if t.scales && t.End != nil && t.End.State == tally.Complete {
			want[t.ID] = wantReplicas(t.number)
		}
	})
	missed := map[string][]string{}
	for id, n := range want {
		got, err := l.replicas(ctx, id)
		switch {
		case err != nil:
			missed[id] = append(missed[id], err.Error())
		case got != n:
			missed[id] = append(missed[id], fmt.Sprintf("its workload has %d replicas and not %d", got, n))
		}
	}
	return missed
}

// reap looks up the runs whose ActionSet was deleted, so that they count as ended.
func (l *lab) reap(ctx context.Context, nc *nats.Conn) {
	if !nc.IsConnected() {
		return
	}
	js, err := jetstream.New(nc)
	if err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	l.pending(ctx, js)
}
