package pods

import (
	"context"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/internal/failpoint"
	"github.com/salvor-io/salvor/runner/function"
)

// podRef names a container whose log is read.
type podRef struct {
	pod       *corev1.Pod
	container string
}

func openPodLog(client kubernetes.Interface, ref *podRef) opener {
	return openLog(client, ref.pod, ref.container)
}

// Run implements function.PodRunner.
func (r *Runner) Run(ctx context.Context, call *function.Call, spec function.PodSpec) (map[string]any, error) {
	if err := r.watch.synced(ctx); err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx) // no pod for a call that has ended
	}
	name := r.podName(call, spec)
	sub := r.watch.subscribe(name)
	defer r.watch.unsubscribe(sub)
	pod, err := r.ensure(ctx, call, spec, name)
	if err != nil {
		return nil, err
	}
	sub.expect(pod)
	f := r.follow(call, pod, sub)
	f.beside = spec.Beside
	v, err := f.await(ctx)
	if err != nil {
		return nil, err
	}
	return f.result(ctx, v, spec.IgnoreExit)
}

// follower follows one pod to the end of its main container.
type follower struct {
	runner    *Runner
	call      *function.Call
	container string
	sub       *subscription
	log       *logReader
	limits    limits
	since     time.Time
	trouble   time.Time
	pullError string
	// beside are the containers that count beside the main one, besideFailed is when
	// one was seen to have failed.
	beside       []string
	besideFailed time.Time
	// checked: the claims of an unscheduled pod were looked at.
	checked bool
}

func (r *Runner) follow(call *function.Call, pod *corev1.Pod, sub *subscription) *follower {
	f := &follower{
		runner: r, call: call, sub: sub, container: mainContainer(pod),
		limits: limits{pull: r.options.PullTimeout, start: r.options.StartTimeout},
		since:  r.clock.Now(),
	}
	log := call.Log.With().Str("pod", nameOf(pod).String()).Str("container", f.container).Logger()
	f.log = newLogReader(r.openLog(r.client, &podRef{pod: pod, container: f.container}), r.clock, func(line string) {
		log.Info().Str("line", redact(call, line)).Msg("pod log")
	})
	return f
}

// await returns the verdict on the pod once it is one that does not change any
// more. Meanwhile it passes the log on.
func (f *follower) await(ctx context.Context) (verdict, error) {
	tailing := newTail(f.log)
	defer tailing.stop()
	for {
		v := f.judge(ctx)
		switch v.state {
		case stateEnded, stateFailed:
			return v, nil
		case stateRunning:
			tailing.start(ctx)
		case stateWaiting:
			if v.mainEnded {
				f.awaitBeside(tailing, v.container)
			}
		}
		if err := f.wait(ctx, v.until); err != nil {
			return verdict{}, err
		}
	}
}

func (f *follower) judge(ctx context.Context) verdict {
	pod, gone := f.sub.last()
	v := judge(observation{
		pod: pod, gone: gone, now: f.runner.clock.Now(), followed: f.since, troubleSince: f.trouble, pullError: f.pullError,
		beside: f.beside, besideFailed: f.besideFailed,
	}, f.limits)
	if v.besideFailed && f.besideFailed.IsZero() {
		f.besideFailed = f.runner.clock.Now()
	}
	if v.pullError != "" {
		f.pullError = v.pullError
	}
	if v.trouble && f.trouble.IsZero() {
		f.trouble = f.runner.clock.Now()
	}
	if v.state == stateWaiting && v.unscheduled && !f.checked {
		f.checked = true
		if lost := f.runner.lostClaim(ctx, pod); lost != "" {
			return failed(event.ReasonPodFailed, "%s", lost)
		}
	}
	return v
}

// wait returns nil when the pod changed or the time has come.
func (f *follower) wait(ctx context.Context, until time.Time) error {
	var due <-chan time.Time
	unseen := !f.sub.seen()
	if look := f.runner.clock.Now().Add(lookEvery); unseen && (until.IsZero() || look.Before(until)) {
		until = look
	}
	if !until.IsZero() {
		timer := f.runner.clock.NewTimer(max(until.Sub(f.runner.clock.Now()), 0))
		defer timer.Stop()
		due = timer.C()
	}
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-f.sub.changed:
	case <-due:
		if unseen {
			f.look(ctx)
		}
	}
	return nil
}

// look asks after a pod that the informer says nothing of: one that was deleted
// between two of its lists it never knew.
func (f *follower) look(ctx context.Context) {
	pod, gone := f.sub.last()
	if gone || f.runner.watch.get(f.sub.name) != nil {
		return
	}
	if there, err := f.runner.stillThere(ctx, pod); err == nil && !there {
		f.sub.tell(pod, true)
	}
}

// result turns the verdict and the whole log into what the phase published, or
// into the error that a person reads.
func (f *follower) result(ctx context.Context, v verdict, ignoreExit bool) (map[string]any, error) {
	var unread error
	if v.state == stateEnded {
		unread = f.log.finish(ctx)
		failpoint.Here(failpoint.RunnerAfterLogEnd)
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
	}
	values, bad := f.log.parser.Finish()
	pod, _ := f.sub.last()
	where := "pod " + nameOf(pod).String()
	switch {
	case v.state == stateFailed, v.exit != 0 && !ignoreExit:
		return nil, function.Errorf(v.reason, "%s: %s%s%s", where, v.message, f.event(ctx, pod, v), f.tail(ctx, pod, v))
	case unread != nil:
		return nil, function.Errorf(event.ReasonOutput,
			"%s: the command ended with exit code %d, but its log, and so what it published, cannot be read: %w", where, v.exit, unread)
	case bad != nil:
		return nil, function.Errorf(event.ReasonOutput, "%s: %w", where, bad)
	}
	if v.exit != 0 {
		f.call.Log.Warn().Str("pod", nameOf(pod).String()).Str("why", v.message).Msg("the command failed; the phase does not ask for its success")
	}
	return values, nil
}

// awaitBeside ends the reading of a log that is complete.
func (f *follower) awaitBeside(tailing *tail, name string) {
	if tailing.stop() {
		f.call.Log.Info().Str("container", name).Msg("container " + f.container + " has ended well; waiting for the end of " + name)
	}
}

// tail is the end of the log, as part of a message: that of the container which
// failed.
func (f *follower) tail(ctx context.Context, pod *corev1.Pod, v verdict) string {
	lines := f.log.tail
	if v.container != "" && v.state == stateEnded {
		own := newLogReader(f.runner.openLog(f.runner.client, &podRef{pod: pod, container: v.container}), f.runner.clock, func(string) {})
		if err := own.read(ctx, false); err != nil {
			return "; its log cannot be read: " + err.Error()
		}
		lines = own.tail
	}
	if len(lines) == 0 {
		return ""
	}
	return "; the log ends with:\n" + redact(f.call, strings.Join(lines, "\n"))
}

// event is the last warning about a pod that never ran, as part of a message: a
// volume that cannot be mounted shows nowhere else.
func (f *follower) event(ctx context.Context, pod *corev1.Pod, v verdict) string {
	if v.state != stateFailed || v.trouble || pod.Status.StartTime == nil ||
		containerStatus(pod, f.container).State.Waiting == nil {
		return ""
	}
	if warning := f.runner.lastWarning(ctx, pod); warning != "" {
		return "; last warning: " + warning
	}
	return ""
}

func redact(call *function.Call, text string) string {
	if call.Values == nil {
		return text
	}
	return call.Values.Redact(text)
}

// tail follows a log beside the watch for the end of its container.
type tail struct {
	log    *logReader
	cancel context.CancelFunc
	done   chan struct{}
	// stopped: it is not started again.
	stopped bool
}

func newTail(l *logReader) *tail { return &tail{log: l} }

// start starts following, once.
func (t *tail) start(ctx context.Context) {
	if t.cancel != nil {
		return
	}
	ctx, t.cancel = context.WithCancel(ctx)
	t.done = make(chan struct{})
	go func() {
		defer close(t.done)
		t.log.follow(ctx, func(error) {}) // finish tells if the log cannot be read
	}()
}

// stop returns once nothing reads the log any more, and whether something did.
func (t *tail) stop() bool {
	if t.cancel == nil || t.stopped {
		return false
	}
	t.stopped = true
	t.cancel()
	<-t.done
	return true
}
