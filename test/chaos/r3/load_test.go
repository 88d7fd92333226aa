//go:build chaos

package r3

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/nats-io/nats.go/jetstream"
	"k8s.io/utils/clock"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/internal/stream"
)

const (
	namespace  = "shop"
	pool       = "r3"
	opTimeout  = 5 * time.Second
	contested  = 6
	rivals     = 3
	writePause = 4 * time.Millisecond
)

// tally is what became of one kind of write.
type tally struct {
	mu           sync.Mutex
	acknowledged int
	unanswered   int
	lastAt       time.Time
	worstGap     time.Duration
}

func (t *tally) ok() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.acknowledged++
	now := time.Now()
	if !t.lastAt.IsZero() {
		t.worstGap = max(t.worstGap, now.Sub(t.lastAt))
	}
	t.lastAt = now
}

func (t *tally) failed() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.unanswered++
}

// win is an acknowledged compare-and-set.
type win struct{ base, revision uint64 }

// load writes, and remembers what was acknowledged.
type load struct {
	js      jetstream.JetStream
	runs    *stream.Runs
	jobs    *stream.Jobs
	reports *stream.Reports
	events  *stream.Events
	blobs   *stream.Blobs
	tallies map[string]*tally

	mu        sync.Mutex
	wins      map[string][]win
	queued    map[event.Key]bool
	reported  map[string]bool
	delivered map[string]int
	stored    map[string]bool
	started   map[event.Key][]string
	payloads  []event.Payload
}

func newLoad(js jetstream.JetStream) *load {
	l := &load{
		js: js, runs: stream.NewRuns(js, event.SourceDispatcher), jobs: stream.NewJobs(js, clock.RealClock{}),
		reports: stream.NewReports(js, event.SourceRunner), events: stream.NewEvents(js), blobs: stream.NewBlobs(js),
		tallies: map[string]*tally{}, wins: map[string][]win{}, queued: map[event.Key]bool{}, reported: map[string]bool{},
		delivered: map[string]int{}, stored: map[string]bool{}, started: map[event.Key][]string{},
	}
	for _, kind := range kinds {
		l.tallies[kind] = &tally{}
	}
	return l
}

var kinds = []string{"runs", "jobs", "reports", "events", "marks", "blobs"}

// run writes until ctx ends.
func (l *load) run(ctx context.Context, leases *stream.Leases, consumer jetstream.Consumer) {
	var all sync.WaitGroup
	each := func(kind string, n int, write func(context.Context, int, int) error) {
		for worker := range n {
			all.Go(func() {
				for i := 0; ctx.Err() == nil; i++ {
					l.repeat(ctx, l.tallies[kind], func(op context.Context) error { return write(op, worker, i) })
				}
			})
		}
	}
	each("runs", contested*rivals, l.writeRun)
	each("jobs", 2, l.writeJob)
	each("reports", 2, l.writeReport)
	each("events", 2, l.writeEvent)
	each("marks", 2, func(ctx context.Context, worker, i int) error { return l.writeMark(ctx, leases, worker, i) })
	each("blobs", 1, l.writeBlob)
	all.Go(func() { l.take(ctx, consumer) })
	all.Wait()
}

// errRival means that somebody else won, which is an answer.
var errRival = errors.New("a rival won")

// repeat sends a write until it is answered.
func (l *load) repeat(ctx context.Context, t *tally, write func(context.Context) error) {
	for ctx.Err() == nil {
		op, cancel := context.WithTimeout(ctx, opTimeout)
		err := write(op)
		cancel()
		time.Sleep(writePause)
		switch {
		case err == nil:
			t.ok()
			return
		case errors.Is(err, errRival):
			return
		case ctx.Err() == nil:
			t.failed()
		}
	}
}

// writeRun reads a run and replaces it, in a race with others.
func (l *load) writeRun(ctx context.Context, worker, i int) error {
	uid := fmt.Sprintf("run-%d", worker%contested)
	_, base, err := l.runs.Get(ctx, namespace, uid)
	if err != nil && !errors.Is(err, stream.ErrNotFound) {
		return err
	}
	run := &event.Run{Version: event.RunVersion, UID: uid, Namespace: namespace, Name: fmt.Sprintf("%d-%d", worker, i), State: event.StateRunning, CreatedAt: time.Now(), UpdatedAt: time.Now()}
	revision, err := l.runs.Update(ctx, run, base)
	if errors.Is(err, stream.ErrConflict) {
		return errRival
	}
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wins[uid] = append(l.wins[uid], win{base, revision})
	return nil
}

func (l *load) writeJob(ctx context.Context, worker, i int) error {
	k := event.Key{Namespace: namespace, UID: fmt.Sprintf("job-%d", worker), Kind: event.KindCore, Phase: i, Attempt: 1}
	if err := l.jobs.Publish(ctx, pool, &event.Job{Key: k}, ""); err != nil && !errors.Is(err, stream.ErrExists) {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.queued[k] = true
	return nil
}

func (l *load) writeReport(ctx context.Context, worker, i int) error {
	k := event.Key{Namespace: namespace, UID: fmt.Sprintf("report-%d", worker), Kind: event.KindCore, Phase: i, Attempt: 1}
	if err := l.reports.Publish(ctx, &event.Report{Key: k, Kind: event.ReportSucceeded, At: time.Unix(int64(i), 0)}, ""); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reported[k.String()] = true
	return nil
}

// take acknowledges reports as the dispatcher does.
func (l *load) take(ctx context.Context, consumer jetstream.Consumer) {
	for ctx.Err() == nil {
		_ = stream.RunLoop(ctx, consumer, func(_ context.Context, msg jetstream.Msg) { // it is started again
			report, _, err := stream.DecodeReport(msg)
			if err != nil {
				return
			}
			l.mu.Lock()
			l.delivered[report.Key.String()]++
			l.mu.Unlock()
			_ = msg.Ack() // without it the report comes again
		})
		time.Sleep(100 * time.Millisecond)
	}
}

func (l *load) writeEvent(ctx context.Context, worker, i int) error {
	e := cloudevents.NewEvent()
	e.SetID(fmt.Sprintf("%d-%d", worker, i))
	e.SetSource("/r3")
	e.SetType("com.example.saved")
	if _, err := l.events.Publish(ctx, namespace, e); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stored[e.ID()] = true
	return nil
}

func (l *load) writeMark(ctx context.Context, leases *stream.Leases, worker, i int) error {
	k := event.Key{Namespace: namespace, UID: "mark", Kind: event.KindCore, Phase: i, Attempt: 1}
	by := fmt.Sprintf("worker-%d", worker)
	err := leases.MarkStarted(ctx, k, by)
	if errors.Is(err, stream.ErrExists) {
		return errRival
	}
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.started[k] = append(l.started[k], by)
	return nil
}

func (l *load) writeBlob(ctx context.Context, _, i int) error {
	p, err := l.blobs.Put(ctx, map[string]string{"content": strings.Repeat(fmt.Sprintf("%08d", i), event.InlineLimit/8+1)})
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.payloads = append(l.payloads, p)
	time.Sleep(25 * writePause)
	return nil
}
