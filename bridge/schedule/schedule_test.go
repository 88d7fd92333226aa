package schedule

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	salvor "github.com/salvor-io/salvor/api/salvor/v1alpha1"
	"github.com/salvor-io/salvor/internal/trigger"
)

const path = "shop/nightly"

func hourly() salvor.ScheduleSource { return salvor.ScheduleSource{Cron: "0 * * * *"} }

func text(t *metav1.Time) string {
	if t == nil {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// A tick is an event for its trigger, and the status says which was the last.
func TestTick(t *testing.T) {
	t.Parallel()
	b := newBoard(t, "2026-11-23T10:20:00Z")
	b.start()
	b.create(path, salvor.ScheduleSource{Cron: "0 * * * *", Jitter: "1h"})
	compiled, err := trigger.Compile(b.triggers[name{"shop", "nightly"}])
	require.NoError(t, err)
	offset := compiled.Schedule().Offset()
	require.NotZero(t, offset)
	first := time.Date(2026, 11, 23, 11, 0, 0, 0, time.UTC)
	assert.Equal(t, first.Add(offset).Format(time.RFC3339), text(b.status(path).NextTick))
	assert.Nil(t, b.status(path).LastTick)

	b.pass(first.Add(offset).Sub(b.clock.Now())-time.Second, 10*time.Minute)
	require.Empty(t, b.stored(), "before its time")
	b.pass(time.Second, time.Second)
	all := b.stored()
	require.Len(t, all, 1)
	assert.Equal(t, "/salvor/schedule/shop/nightly", all[0].Source())
	assert.Equal(t, "uid-1", all[0].Subject())
	assert.Equal(t, "2026-11-23T11:00:00Z", all[0].ID())
	assert.True(t, first.Add(offset).Equal(all[0].Time()))
	var data trigger.Tick
	require.NoError(t, json.Unmarshal(all[0].Data(), &data))
	assert.True(t, data.Tick.Equal(first))
	assert.True(t, data.Due.Equal(first.Add(offset)))
	assert.True(t, compiled.Match(all[0]))
	assert.Equal(t, "2026-11-23T11:00:00Z", text(b.status(path).LastTick))
	assert.Equal(t, first.Add(time.Hour+offset).Format(time.RFC3339), text(b.status(path).NextTick))

	b.pass(24*time.Hour, 10*time.Minute)
	assert.Len(t, b.stored(), 25)
}

// What was missed while no bridge ran: the last of it counts once, or none does.
func TestMissed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		missed salvor.MissedPolicy
		down   time.Duration
		want   []string
		// history says what was missed.
		history string
	}{
		{"once", salvor.MissedOnce, 3 * time.Hour, []string{"2026-11-23T13:00:00Z"}, "missed while Salvor was down: 2 of the schedule's times, from 2026-11-23T11:00:00Z on"},
		{"once is the default", "", 3 * time.Hour, []string{"2026-11-23T13:00:00Z"}, "missed while Salvor was down: 2 of the schedule's times, from 2026-11-23T11:00:00Z on"},
		{"skip", salvor.MissedSkip, 3 * time.Hour, []string{}, "missed while Salvor was down: 3 of the schedule's times, from 2026-11-23T11:00:00Z on"},
		{"skip, an update of Salvor at the tick", salvor.MissedSkip, 41 * time.Minute, []string{"2026-11-23T11:00:00Z"}, ""},
		{"skip, a little later", salvor.MissedSkip, 41*time.Minute + time.Second, []string{}, "missed while Salvor was down: 1 of the schedule's times, from 2026-11-23T11:00:00Z on"},
		{"nothing was missed", salvor.MissedOnce, 20 * time.Minute, []string{}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := newBoard(t, "2026-11-23T10:20:00Z")
			first := b.start()
			s := hourly()
			s.Missed = c.missed
			b.create(path, s)
			b.kill(first)
			b.clock.Step(c.down)
			b.start().round()
			b.written()
			assert.Equal(t, c.want, b.ids())
			b.pass(2*time.Hour, time.Minute)
			assert.Len(t, b.ids(), len(c.want)+2, "it goes on")
			assert.Equal(t, b.ids()[len(b.ids())-1], text(b.status(path).LastTick))
			if c.history == "" {
				assert.Empty(t, b.status(path).History)
				return
			}
			require.Len(t, b.status(path).History, 1)
			assert.Equal(t, c.history, b.status(path).History[0].Reason)
		})
	}
}

// Killed between any two steps of a tick, it is told once: no tick is lost and none
// is there twice.
func TestRestartAtTheTick(t *testing.T) {
	t.Parallel()
	for name, die := range map[string]func(b *board, br *bridge){
		"before it is told":           func(*board, *bridge) {},
		"told, not acknowledged":      func(_ *board, br *bridge) { br.lost = true; br.round() },
		"told, not in the status":     func(_ *board, br *bridge) { br.round() },
		"told, and in the status":     func(b *board, br *bridge) { br.round(); b.written() },
		"the stream was away as well": func(_ *board, br *bridge) { br.broken = true; br.round() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBoard(t, "2026-11-23T10:59:59Z")
			br := b.start()
			b.create(path, hourly())
			b.clock.Step(time.Second)
			die(b, br)
			b.kill(br)
			b.start().round()
			b.written()
			assert.Equal(t, []string{"2026-11-23T11:00:00Z"}, b.ids())
			assert.Equal(t, "2026-11-23T12:00:00Z", text(b.status(path).NextTick))
		})
	}
}

// Two bridges side by side do no harm, and one that was asleep follows the other.
func TestTwoBridges(t *testing.T) {
	t.Parallel()
	b := newBoard(t, "2026-11-23T10:20:00Z")
	one, two := b.start(), b.start()
	b.create(path, hourly())
	b.pass(3*time.Hour, time.Minute)
	assert.Equal(t, []string{"2026-11-23T11:00:00Z", "2026-11-23T12:00:00Z", "2026-11-23T13:00:00Z"}, b.ids())
	assert.Len(t, one.publishes, 3)

	told := len(two.publishes)
	b.bridges = b.bridges[:1]
	b.pass(time.Hour, time.Minute)
	b.bridges = append(b.bridges, two)
	two.notify(b.triggers[name{"shop", "nightly"}].DeepCopy(), false)
	b.pass(time.Minute, time.Minute)
	assert.Len(t, two.publishes, told, "the other has told it, says the status")
	assert.Len(t, b.ids(), 4)
}

// A trigger counts from when it was made, or from when its schedule was.
func TestBeginning(t *testing.T) {
	t.Parallel()
	b := newBoard(t, "2026-11-23T10:20:00Z")
	b.create("shop/made-while-down", hourly())
	b.create("shop/changed-while-down", hourly())
	b.clock.Step(time.Hour)
	b.respec("shop/changed-while-down", func(s *salvor.ActionTriggerSpec) { s.When.Schedule.Cron = "0,10 * * * *" })
	b.start().round()
	b.written()
	require.Len(t, b.stored(), 1, "only the one whose schedule was there at 11:00")
	assert.Equal(t, "/salvor/schedule/shop/made-while-down", b.stored()[0].Source())
	assert.Equal(t, "2026-11-23T12:00:00Z", text(b.status("shop/changed-while-down").NextTick))
}

// A changed schedule counts from the change.
func TestChangedSchedule(t *testing.T) {
	t.Parallel()
	b := newBoard(t, "2026-11-23T10:20:00Z")
	br := b.start()
	b.create(path, salvor.ScheduleSource{Cron: "0 2 * * *"})
	b.pass(24*time.Hour, time.Hour)
	require.Equal(t, []string{"2026-11-24T02:00:00Z"}, b.ids())

	// While it runs: 10:00 and 10:10 of this day, before the change, do not count.
	b.respec(path, func(s *salvor.ActionTriggerSpec) { s.When.Schedule.Cron = "*/10 * * * *" })
	assert.Equal(t, "2026-11-24T10:30:00Z", text(b.status(path).NextTick))
	b.pass(10*time.Minute, time.Minute)
	require.Equal(t, []string{"2026-11-24T02:00:00Z", "2026-11-24T10:30:00Z"}, b.ids())

	// While nothing runs: what the new expression would have meant before does not count.
	b.kill(br)
	b.clock.Step(time.Hour)
	b.respec(path, func(s *salvor.ActionTriggerSpec) { s.When.Schedule.Cron = "15 * * * *" })
	br = b.start()
	br.round()
	b.written()
	assert.Equal(t, "2026-11-24T12:15:00Z", text(b.status(path).NextTick))
	assert.Len(t, b.ids(), 2)

	// Another part of the spec: the cursor stays.
	b.clock.Step(45 * time.Minute)
	b.respec(path, func(s *salvor.ActionTriggerSpec) { s.Coalesce = "1m" })
	br.round()
	b.written()
	assert.Equal(t, "2026-11-24T12:15:00Z", b.ids()[2])

	// Gone, and back.
	b.respec(path, func(s *salvor.ActionTriggerSpec) {
		s.When = salvor.TriggerSource{Event: &salvor.EventSource{Filters: []salvor.EventFilter{{Exact: map[string]string{"type": "a"}}}}}
	})
	assert.Nil(t, b.status(path).NextTick)
	b.pass(3*time.Hour, time.Hour)
	b.respec(path, func(s *salvor.ActionTriggerSpec) { h := hourly(); s.When.Schedule = &h })
	br.round()
	assert.Len(t, b.ids(), 3)
	b.pass(time.Hour, time.Minute)
	assert.Len(t, b.ids(), 4)
}

// Ticks of a suspended trigger pass.
func TestSuspended(t *testing.T) {
	t.Parallel()
	b := newBoard(t, "2026-11-23T10:20:00Z")
	br := b.start()
	b.create(path, hourly())
	b.respec(path, func(s *salvor.ActionTriggerSpec) { s.Suspend = true })
	assert.Nil(t, b.status(path).NextTick)
	b.pass(3*time.Hour, time.Hour)
	b.respec(path, func(s *salvor.ActionTriggerSpec) { s.Suspend = false })
	br.round()
	b.written()
	assert.Empty(t, b.ids())
	assert.Equal(t, "2026-11-23T14:00:00Z", text(b.status(path).NextTick))

	// Resumed while nothing runs.
	b.respec(path, func(s *salvor.ActionTriggerSpec) { s.Suspend = true })
	b.kill(br)
	b.clock.Step(3 * time.Hour)
	b.respec(path, func(s *salvor.ActionTriggerSpec) { s.Suspend = false })
	b.start().round()
	b.written()
	assert.Empty(t, b.ids())
	assert.Equal(t, "2026-11-23T17:00:00Z", text(b.status(path).NextTick))
}

// One that is wrong does not tick, and the others do.
func TestInvalid(t *testing.T) {
	t.Parallel()
	b := newBoard(t, "2026-11-23T10:20:00Z")
	b.start()
	b.create(path, hourly())
	b.create("shop/other", hourly())
	b.respec(path, func(s *salvor.ActionTriggerSpec) { s.When.Schedule.TimeZone = "Europe/Belrin" })
	b.pass(time.Hour, time.Minute)
	require.Len(t, b.stored(), 1)
	assert.Equal(t, "/salvor/schedule/shop/other", b.stored()[0].Source())
	assert.Nil(t, b.status(path).NextTick)
}

// A trigger that is made anew under the same name is another one.
func TestMadeAnew(t *testing.T) {
	t.Parallel()
	b := newBoard(t, "2026-11-23T10:20:00Z")
	b.start()
	b.create(path, hourly())
	b.remove(path)
	b.pass(time.Hour, time.Minute)
	assert.Empty(t, b.stored())
	b.create(path, hourly())
	b.create(path, hourly()) // the watch missed that the other went
	b.pass(time.Hour, time.Minute)
	require.Len(t, b.stored(), 1)
	assert.Equal(t, "uid-3", b.stored()[0].Subject())
}

// While EVENTS is away ticks wait, with pauses; then the newest counts, once.
func TestEventsAway(t *testing.T) {
	t.Parallel()
	b := newBoard(t, "2026-11-23T10:59:00Z")
	br := b.start()
	b.create(path, hourly())
	br.broken = true
	b.pass(10*time.Minute, time.Second)
	assert.Empty(t, b.ids())
	assert.Equal(t, "2026-11-23T11:00:00Z", text(b.status(path).NextTick), "nobody has seen to it")
	br.broken = false
	b.pass(backoffMax, time.Second)
	assert.Equal(t, []string{"2026-11-23T11:00:00Z"}, b.ids())
	br.broken = true
	b.pass(3*time.Hour, time.Minute)
	br.broken = false
	b.pass(backoffMax, time.Second)
	assert.Equal(t, []string{"2026-11-23T11:00:00Z", "2026-11-23T14:00:00Z"}, b.ids())
	assert.Len(t, br.publishes, 2)
}

// A cursor that cannot be, because a clock was wrong, does not silence a trigger.
func TestCursorInTheFuture(t *testing.T) {
	t.Parallel()
	b := newBoard(t, "2030-11-23T10:20:00Z")
	br := b.start()
	b.create(path, hourly())
	b.pass(time.Hour, time.Minute)
	b.kill(br)
	b.clock.SetTime(time.Date(2026, 11, 23, 10, 20, 0, 0, time.UTC))
	b.start().round()
	b.written()
	assert.Equal(t, "2026-11-23T11:00:00Z", text(b.status(path).NextTick))
	b.pass(time.Hour, time.Minute)
	assert.Equal(t, []string{"2030-11-23T11:00:00Z", "2026-11-23T11:00:00Z"}, b.ids())
}

func TestBackoff(t *testing.T) {
	t.Parallel()
	assert.Equal(t, time.Second, backoff(1))
	assert.Equal(t, 4*time.Second, backoff(3))
	assert.Equal(t, backoffMax, backoff(6))
	assert.Equal(t, backoffMax, backoff(1_000_000))
}
