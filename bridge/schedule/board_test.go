package schedule

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	testclock "k8s.io/utils/clock/testing"

	"github.com/salvor-io/salvor/api/event"
	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	salvor "github.com/salvor-io/salvor/api/salvor/v1alpha1"
	"github.com/salvor-io/salvor/internal/natstest"
	"github.com/salvor-io/salvor/internal/stream"
)

// board plays the API server and package trigger: it holds triggers, and writes
// statuses when the test says so, so that a crash before can be shown.
type board struct {
	t        testing.TB
	clock    *testclock.FakeClock
	js       jetstream.JetStream
	triggers map[name]*salvor.ActionTrigger
	mu       sync.Mutex
	pending  []func()
	// bridges that are told of changes.
	bridges []*bridge
	uids    int
	// before is where the stream ended when the board was made.
	before uint64
}

// bridge is a Controller at work, driven by the test.
type bridge struct {
	*Controller
	*board

	publishes []string
	// broken makes EVENTS refuse, lost makes it store without saying so.
	broken, lost bool
	// dies is after how many ticks the bridge is killed; 0 for never.
	dies   int
	notify func(*salvor.ActionTrigger, bool)
}

func newBoard(t testing.TB, now string) *board {
	t.Helper()
	return newBoardOn(t, natstest.Start(t), now)
}

// newBoardOn is newBoard on a stream that others have used.
func newBoardOn(t testing.TB, js jetstream.JetStream, now string) *board {
	t.Helper()
	at, err := time.Parse(time.RFC3339, now)
	require.NoError(t, err)
	b := &board{t: t, clock: testclock.NewFakeClock(at), js: js, triggers: map[name]*salvor.ActionTrigger{}}
	b.before = b.lastSequence()
	return b
}

func (b *board) lastSequence() uint64 {
	b.t.Helper()
	s, err := b.js.Stream(b.t.Context(), event.StreamEvents)
	require.NoError(b.t, err)
	return s.CachedInfo().State.LastSeq
}

// start is a bridge that comes up: it is told of all triggers.
func (b *board) start() *bridge {
	b.t.Helper()
	br := &bridge{board: b}
	br.Controller = New(Config{Clock: b.clock, Log: zerolog.New(zerolog.NewTestWriter(b.t)), Triggers: br, Statuses: br, Events: br})
	require.NoError(b.t, br.Notify(br.changed))
	b.bridges = append(b.bridges, br)
	for _, t := range b.triggers {
		br.notify(t.DeepCopy(), false)
	}
	return br
}

// kill takes the bridge away; statuses that are not written are lost.
func (b *board) kill(br *bridge) {
	b.bridges = slices.DeleteFunc(b.bridges, func(other *bridge) bool { return other == br })
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pending = nil
}

// Notify is Triggers'.
func (br *bridge) Notify(changed func(*salvor.ActionTrigger, bool)) error {
	br.notify = changed
	return nil
}

// Tell is Statuses'.
func (b *board) Tell(t *salvor.ActionTrigger, change func(*salvor.ActionTriggerStatus)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pending = append(b.pending, func() {
		if current := b.triggers[name{t.Namespace, t.Name}]; current != nil && current.UID == t.UID {
			b.update(t.Namespace+"/"+t.Name, func(t *salvor.ActionTrigger) { change(&t.Status) })
		}
	})
}

// Publish is Events'.
func (br *bridge) Publish(ctx context.Context, namespace string, e cloudevents.Event) (bool, error) {
	if br.broken {
		return false, errors.New("EVENTS is away")
	}
	br.board.mu.Lock()
	br.publishes = append(br.publishes, e.Source()+" "+e.ID())
	dead := br.dies > 0 && len(br.publishes) > br.dies
	br.board.mu.Unlock()
	if dead {
		return false, context.Canceled
	}
	duplicate, err := stream.NewEvents(br.js).Publish(ctx, namespace, e)
	if br.lost && err == nil {
		err = errors.New("the acknowledgement is lost")
	}
	return duplicate, err
}

// written writes the statuses, as often as that has writes follow.
func (b *board) written() {
	for {
		b.mu.Lock()
		todo := b.pending
		b.pending = nil
		b.mu.Unlock()
		if len(todo) == 0 {
			return
		}
		for _, write := range todo {
			write()
		}
	}
}

// round has the bridge do what is due.
func (br *bridge) round() {
	br.t.Helper()
	for range 100 {
		due, wait := br.due()
		if len(due) == 0 {
			require.Positive(br.t, wait)
			return
		}
		br.tellAll(br.t.Context(), due)
	}
	br.t.Fatal("there is always something due")
}

// pass lets time pass for all bridges, in steps, and writes statuses.
func (b *board) pass(d, step time.Duration) {
	b.t.Helper()
	for end := b.clock.Now().Add(d); b.clock.Now().Before(end); {
		b.clock.Step(min(step, end.Sub(b.clock.Now())))
		for _, br := range b.bridges {
			br.round()
		}
		b.written()
	}
}

// create makes a trigger with a schedule, "namespace/name".
func (b *board) create(path string, s salvor.ScheduleSource) {
	b.t.Helper()
	namespace, nm, _ := strings.Cut(path, "/")
	b.uids++
	t := &salvor.ActionTrigger{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: nm, UID: types.UID(fmt.Sprintf("uid-%d", b.uids)), Generation: 1,
			CreationTimestamp: metav1.NewTime(b.clock.Now().Truncate(time.Second)),
		},
		Spec: salvor.ActionTriggerSpec{
			When: salvor.TriggerSource{Schedule: &s},
			Template: salvor.ActionSetTemplate{Spec: kanister.ActionSetSpec{Actions: []kanister.ActionSpec{{
				Name: "backup", Blueprint: "bp", Object: kanister.ObjectReference{Kind: "Namespace", Name: namespace},
			}}}},
		},
	}
	b.triggers[name{namespace, nm}] = t
	b.tell(t, false)
	b.written()
}

func (b *board) tell(t *salvor.ActionTrigger, gone bool) {
	for _, br := range b.bridges {
		br.notify(t.DeepCopy(), gone)
	}
}

// update changes a trigger without a new generation.
func (b *board) update(path string, change func(t *salvor.ActionTrigger)) {
	namespace, nm, _ := strings.Cut(path, "/")
	t := b.triggers[name{namespace, nm}].DeepCopy()
	change(t)
	b.triggers[name{namespace, nm}] = t
	b.tell(t, false)
}

// respec changes the spec.
func (b *board) respec(path string, change func(s *salvor.ActionTriggerSpec)) {
	b.update(path, func(t *salvor.ActionTrigger) {
		change(&t.Spec)
		t.Generation++
	})
	b.written()
}

func (b *board) remove(path string) {
	namespace, nm, _ := strings.Cut(path, "/")
	t := b.triggers[name{namespace, nm}]
	delete(b.triggers, name{namespace, nm})
	b.tell(t, true)
}

func (b *board) status(path string) salvor.ActionTriggerStatus {
	namespace, nm, _ := strings.Cut(path, "/")
	return b.triggers[name{namespace, nm}].Status
}

// stored are the ticks on EVENTS, in order.
func (b *board) stored() []*cloudevents.Event {
	b.t.Helper()
	s, err := b.js.Stream(b.t.Context(), event.StreamEvents)
	require.NoError(b.t, err)
	var out []*cloudevents.Event
	for sequence := b.before + 1; sequence <= s.CachedInfo().State.LastSeq; sequence++ {
		msg, err := s.GetMsg(b.t.Context(), sequence)
		require.NoError(b.t, err)
		e, err := stream.Decode(msg.Header, msg.Data)
		require.NoError(b.t, err)
		require.Equal(b.t, event.TypeTick, e.Type())
		namespace := strings.Split(e.Source(), "/")[3]
		require.Equal(b.t, event.EventSubject(namespace, event.TypeTick), msg.Subject)
		out = append(out, &e)
	}
	return out
}

// ids are the times of the ticks on EVENTS.
func (b *board) ids() []string {
	b.t.Helper()
	ids := []string{}
	for _, e := range b.stored() {
		ids = append(ids, e.ID())
	}
	return ids
}
