package gate_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	salvor "github.com/salvor-io/salvor/api/salvor/v1alpha1"
	"github.com/salvor-io/salvor/bridge/trigger/gate"
)

// chooser draws the next step: from rapid or from the bytes of a fuzzer.
type chooser interface{ choose(n int) int }

type drawn struct{ t *rapid.T }

func (d drawn) choose(n int) int { return rapid.IntRange(0, n-1).Draw(d.t, "choice") }

type bytes struct{ left []byte }

func (b *bytes) choose(n int) int {
	if len(b.left) == 0 {
		return n - 1
	}
	next := int(b.left[0])
	b.left = b.left[1:]
	return next % n
}

// made is an ActionSet on the API server.
type made struct {
	start gate.Start
	at    time.Time
	ended bool
}

// model is a controller that crashes, with its store, its stream and its API server.
type model struct {
	t     require.TestingT
	next  chooser
	rules gate.Rules
	now   time.Time
	// stored is the record.
	stored []byte
	// stream are the events that are not acknowledged.
	stream   []gate.Event
	sequence uint64
	// accepted are the sequences of the events by window, rejected those of others.
	accepted map[string][]uint64
	rejected map[uint64]bool
	arrived  map[uint64]bool
	order    []string
	made     map[string]*made
}

func newModel(t require.TestingT, next chooser) *model {
	m := &model{
		t: t, next: next, now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
		accepted: map[string][]uint64{}, rejected: map[uint64]bool{}, arrived: map[uint64]bool{}, made: map[string]*made{},
	}
	m.rules.Name = func(identity string) string { return "as-" + identity }
	m.rules.Coalesce = []time.Duration{0, 3 * time.Second}[next.choose(2)]
	m.rules.Concurrency = []salvor.ConcurrencyPolicy{salvor.ConcurrencyAllow, salvor.ConcurrencyForbid, salvor.ConcurrencyReplace}[next.choose(3)]
	if next.choose(2) == 1 {
		m.rules.Starts, m.rules.Per = 1+next.choose(3), 10*time.Second
	}
	return m
}

func (m *model) load() *gate.State {
	if m.stored == nil {
		return &gate.State{Owner: gate.Owner{Namespace: "n", Trigger: "t", UID: "u"}}
	}
	s, err := gate.Decode(m.stored)
	require.NoError(m.t, err)
	return s
}

func (m *model) save(s *gate.State) {
	data, err := s.Encode()
	require.NoError(m.t, err)
	m.stored = data
}

// crash says whether the controller dies here.
func (m *model) crash() bool { return m.next.choose(5) == 0 }

func (m *model) step() {
	switch m.next.choose(8) {
	case 0, 1:
		m.sequence++
		m.stream = append(m.stream, gate.Event{Source: "/s", ID: fmt.Sprint(m.sequence), Type: "t", Sequence: m.sequence, At: m.now})
	case 2, 3:
		m.deliver(m.crash(), m.crash())
	case 4:
		m.turn(false)
	case 5:
		m.end()
	case 6, 7:
		m.now = m.now.Add(time.Duration(m.next.choose(4000)) * time.Millisecond)
	}
}

// deliver hands some of the events over, in any order, as one batch.
func (m *model) deliver(crashBefore, crashAfter bool) {
	if len(m.stream) == 0 {
		return
	}
	s := m.load()
	var taken []int
	for range 1 + m.next.choose(4) {
		taken = append(taken, m.next.choose(len(m.stream))) // perhaps the same twice
	}
	answers := make([]gate.Arrival, 0, len(taken))
	for _, i := range taken {
		answers = append(answers, s.Arrive(&m.rules, &m.stream[i], m.now))
	}
	s.Turn(&m.rules, false, m.now)
	if crashBefore {
		return
	}
	m.save(s)
	for n, i := range taken {
		m.answered(m.stream[i].Sequence, answers[n])
	}
	if crashAfter {
		return // not acknowledged: they come again
	}
	keep := m.stream[:0:0]
	for i := range m.stream {
		// One in four acknowledgements is lost.
		if !slices.Contains(taken, i) || m.next.choose(4) == 0 {
			keep = append(keep, m.stream[i])
		}
	}
	m.stream = keep
}

// answered checks that an event has one answer, and one only.
func (m *model) answered(sequence uint64, a gate.Arrival) {
	if a.Fresh {
		require.False(m.t, m.arrived[sequence], "event %d counts twice", sequence)
	}
	switch {
	case !m.arrived[sequence] && a.Window == "":
		require.NotEmpty(m.t, a.Rejected)
		m.rejected[sequence] = true
	case !m.arrived[sequence]:
		m.accepted[a.Window] = append(m.accepted[a.Window], sequence)
	case m.rejected[sequence]:
		require.NotEmpty(m.t, a.Rejected, "event %d was rejected before", sequence)
	default:
		require.Contains(m.t, m.accepted[a.Window], sequence, "event %d is in another window now", sequence)
	}
	m.arrived[sequence] = true
}

// turn does what is due.
func (m *model) turn(surely bool) {
	s := m.load()
	todo := s.Turn(&m.rules, false, m.now)
	if !surely && m.crash() {
		return
	}
	m.save(s)
	for _, name := range todo.Cancel {
		require.NotNil(m.t, m.made[name])
		if m.next.choose(2) == 0 {
			m.made[name].ended = true // it ends; this may be told, or found out later
		}
		s.Cancelled(name)
	}
	for _, start := range todo.Start {
		if !surely && m.crash() {
			return
		}
		m.create(start)
		if !surely && m.crash() {
			return // made, but nobody knows
		}
		s.Started(&m.rules, start.Name, m.now)
	}
	m.save(s)
}

func (m *model) create(start gate.Start) {
	if there := m.made[start.Name]; there != nil {
		require.Equal(m.t, there.start.Window.Key, start.Window.Key, "a name stands for one window")
		require.Equal(m.t, there.start.Window.Count, start.Window.Count, "a window that was started does not change")
		return
	}
	for _, other := range m.made {
		require.NotEqual(m.t, other.start.Window.Key, start.Window.Key, "two ActionSets for one window")
		if m.rules.Concurrency == salvor.ConcurrencyForbid || m.rules.Concurrency == salvor.ConcurrencyReplace {
			require.True(m.t, other.ended, "%s starts while %s runs", start.Name, other.start.Name)
		}
	}
	m.made[start.Name] = &made{start: start, at: m.now}
	m.order = append(m.order, start.Name)
}

// end lets an ActionSet end; that is told, lost, or told before its start was noted.
func (m *model) end() {
	if len(m.order) == 0 {
		return
	}
	name := m.order[m.next.choose(len(m.order))]
	m.made[name].ended = true
	if m.next.choose(3) > 0 {
		m.ended(name)
	}
}

func (m *model) ended(name string) {
	s := m.load()
	s.Ended(name)
	m.save(s)
}

// settle lets everything come to rest.
func (m *model) settle() {
	for len(m.stream) > 0 {
		m.deliver(false, false)
		if m.next.choose(3) == 0 {
			m.turn(false)
		}
	}
	for range 200 {
		m.turn(true)
		for name, a := range m.made {
			a.ended = true
			m.ended(name)
		}
		if s := m.load(); s.Window == nil && len(s.Starting) == 0 {
			break
		}
		m.now = m.now.Add(time.Second)
	}
}

// check is what must hold in the end.
func (m *model) check() {
	s := m.load()
	require.Nil(m.t, s.Window, "the last event is not lost")
	require.Empty(m.t, s.Starting)
	require.Empty(m.t, s.Active)
	require.Len(m.t, m.made, len(m.accepted), "one ActionSet for each window")
	var newest uint64
	for i, name := range m.order {
		a := m.made[name]
		sequences := m.accepted[a.start.Window.Key]
		require.Len(m.t, sequences, int(a.start.Window.Count), "the count is exact")
		require.Equal(m.t, slices.Max(sequences), a.start.Window.Last.Sequence, "made from the last event")
		if m.rules.Concurrency == salvor.ConcurrencyReplace {
			require.Greater(m.t, a.start.Window.Last.Sequence, newest, "the newest event wins")
			newest = a.start.Window.Last.Sequence
		}
		if n := m.rules.Starts; n > 0 && i >= n {
			require.GreaterOrEqual(m.t, a.at.Sub(m.made[m.order[i-n]].at), m.rules.Per, "the rate limit holds")
		}
	}
	require.Len(m.t, m.arrived, int(m.sequence), "every event is answered")
	if m.rules.Coalesce > 0 && m.rules.Concurrency != salvor.ConcurrencyReplace {
		require.Empty(m.t, m.rejected, "events that can wait are not rejected")
	}
	m.now = m.now.Add(2 * gate.Memory)
	s.Turn(&m.rules, false, m.now)
	require.True(m.t, s.Idle(), "nothing stays for ever")
}

func run(t require.TestingT, next chooser, steps int) *model {
	m := newModel(t, next)
	for range steps {
		m.step()
	}
	m.settle()
	m.check()
	return m
}

func TestGateProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		run(t, drawn{t}, rapid.IntRange(0, 60).Draw(t, "steps"))
	})
}

func FuzzGate(f *testing.F) {
	f.Add([]byte{1, 1, 1, 0, 0, 2, 4, 6, 0, 2, 5, 4})
	f.Add([]byte{0, 2, 0, 0, 2, 1, 2, 4, 1, 0, 2, 1, 4, 5, 0, 4})
	f.Fuzz(func(t *testing.T, data []byte) { run(t, &bytes{data}, min(len(data), 100)) })
}

// The model does reach what it is there for.
func TestModelIsNotIdle(t *testing.T) {
	windows, joined, rejected := 0, 0, 0
	rapid.Check(t, func(t *rapid.T) {
		m := run(t, drawn{t}, 60)
		windows, rejected = windows+len(m.accepted), rejected+len(m.rejected)
		for _, sequences := range m.accepted {
			joined += len(sequences) - 1
		}
	})
	assert.Positive(t, windows)
	assert.Positive(t, joined)
	assert.Positive(t, rejected)
}
