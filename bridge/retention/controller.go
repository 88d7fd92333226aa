package retention

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"

	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	salvor "github.com/salvor-io/salvor/api/salvor/v1alpha1"
)

const (
	// workers is how many namespaces are looked at side by side.
	workers = 2
	// gather is the pause after something happened in a namespace before it is looked
	// at: the ActionSet's status is written by then, and a flood becomes one look.
	gather = 2 * time.Second
	// underway is the time between two looks while something is under way whose end
	// may have been missed.
	underway = time.Minute
	// Pauses before a namespace is looked at again after a fault.
	faultMin = time.Second
	faultMax = 5 * time.Minute
	// futile is how many steps of one look may fail for good before the rest waits for
	// the next.
	futile = 8
)

// ActionSets of one namespace.
type ActionSets interface {
	List(ctx context.Context, o metav1.ListOptions) (*kanister.ActionSetList, error)
	Get(ctx context.Context, name string, o metav1.GetOptions) (*kanister.ActionSet, error)
	Create(ctx context.Context, as *kanister.ActionSet, o metav1.CreateOptions) (*kanister.ActionSet, error)
	Delete(ctx context.Context, name string, o metav1.DeleteOptions) error
}

// Triggers are the ActionTriggers, as an informer has them.
type Triggers interface {
	All() []*salvor.ActionTrigger
	WaitForSync(ctx context.Context) bool
	Notify(changed func(t *salvor.ActionTrigger, gone bool)) error
}

// Config of a Controller. All fields are required but Namespaces and Metrics.
type Config struct {
	Clock    clock.WithTicker
	Log      zerolog.Logger
	Triggers Triggers
	Statuses Statuses
	// Namespaces that are served; none means all.
	Namespaces []string
	// ActionSets of a namespace; "" lists those of all.
	ActionSets func(namespace string) ActionSets
	// Unfinished are the ActionSets that have not ended, as an informer has them, in
	// whatever namespace.
	Unfinished func() []*kanister.ActionSet
	// Blueprint finds the blueprint that an ActionSet of the namespace names.
	Blueprint func(ctx context.Context, name, namespace string) (*kanister.Blueprint, error)
	// Interval is the time between two looks at everything.
	Interval time.Duration
	// InFlight is how many prunes of one trigger may be under way.
	InFlight int
	Metrics  *Metrics
}

// Controller removes what triggers do not keep.
type Controller struct {
	Config

	queue workqueue.TypedRateLimitingInterface[string]
	mu    sync.Mutex
	// held are the namespaces in which something waits for the end of another
	// ActionSet.
	held map[string]bool
}

// New returns a controller that does nothing until Run is called.
func New(c Config) *Controller {
	return &Controller{
		Config: c,
		queue: workqueue.NewTypedRateLimitingQueueWithConfig(
			workqueue.NewTypedItemExponentialFailureRateLimiter[string](faultMin, faultMax),
			workqueue.TypedRateLimitingQueueConfig[string]{Name: "retention", Clock: c.Clock}),
		held: map[string]bool{},
	}
}

// Ended tells that the run of an ActionSet with these labels has ended. It does not
// block.
func (c *Controller) Ended(namespace string, labels map[string]string) {
	c.mu.Lock()
	held := c.held[namespace]
	c.mu.Unlock()
	if held || labels[salvor.LabelTrigger] != "" || labels[salvor.LabelPrunes] != "" {
		c.queue.AddAfter(namespace, gather)
	}
}

// Run works until ctx ends and everything it started has ended.
func (c *Controller) Run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, c.queue.ShutDown)
	defer stop()
	if err := c.Triggers.Notify(c.changed); err != nil {
		return fmt.Errorf("retention: %w", err)
	}
	if !c.Triggers.WaitForSync(ctx) {
		return nil
	}
	var running sync.WaitGroup
	defer running.Wait()
	for range workers {
		running.Go(func() { c.work(ctx) })
	}
	ticker := c.Clock.NewTicker(c.Interval)
	defer ticker.Stop()
	for {
		c.everything(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C():
		}
	}
}

// changed has a namespace looked at when what its triggers keep may have changed.
func (c *Controller) changed(t *salvor.ActionTrigger, gone bool) {
	if t.Spec.Keep != nil || gone {
		c.queue.AddAfter(t.Namespace, gather)
	}
}

// everything has every namespace looked at in which there may be something to do.
// What was begun for a trigger that is gone is brought to its end too.
func (c *Controller) everything(ctx context.Context) {
	namespaces := map[string]bool{}
	for _, t := range c.Triggers.All() {
		if t.Spec.Keep != nil {
			namespaces[t.Namespace] = true
		}
	}
	watched := c.Namespaces
	if len(watched) == 0 {
		watched = []string{metav1.NamespaceAll}
	}
	for _, namespace := range watched {
		if err := c.each(ctx, namespace, salvor.LabelPrunes, func(as *kanister.ActionSet) { namespaces[as.Namespace] = true }); err != nil && ctx.Err() == nil {
			c.Log.Warn().Err(err).Msg("what prunes cannot be listed; the next look at everything tries again")
		}
	}
	for namespace := range namespaces {
		c.queue.Add(namespace)
	}
}

func (c *Controller) work(ctx context.Context) {
	for {
		namespace, shutdown := c.queue.Get()
		if shutdown {
			return
		}
		again, err := c.look(ctx, namespace)
		switch {
		case ctx.Err() != nil:
		case err != nil:
			c.Log.Warn().Err(err).Str("namespace", namespace).Msg("what triggers keep could not be seen to; it will be tried again")
			c.queue.AddRateLimited(namespace)
		default:
			c.queue.Forget(namespace)
			if again > 0 {
				c.queue.AddAfter(namespace, again)
			}
		}
		c.queue.Done(namespace)
	}
}

// look sees to one namespace, and says when to look again; zero is when something
// changes.
func (c *Controller) look(ctx context.Context, namespace string) (again time.Duration, err error) {
	triggers := map[string]*salvor.ActionTrigger{}
	for _, t := range c.Triggers.All() {
		if t.Namespace == namespace && t.DeletionTimestamp == nil {
			triggers[string(t.UID)] = t
			if t.Spec.Keep == nil {
				c.silence(t)
			}
		}
	}
	pruning, err := c.pruning(ctx, namespace)
	if err != nil {
		return 0, err
	}
	todo := map[string]bool{}
	for uid, t := range triggers {
		if t.Spec.Keep != nil {
			todo[uid] = true
		}
	}
	for uid := range pruning {
		todo[uid] = true
	}
	v := view{namespace: namespace, pruning: pruning, inUse: c.inUse()}
	var errs []error
	waits := false
	for _, uid := range slices.Sorted(maps.Keys(todo)) {
		next, r, err := c.seeTo(ctx, &v, uid, triggers[uid])
		errs = append(errs, err)
		waits = waits || r.waiting > 0
		if next > 0 && (again == 0 || next < again) {
			again = next
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.held, namespace)
	if waits {
		c.held[namespace] = true
	}
	return again, errors.Join(errs...)
}

// view is what a look saw of the whole namespace.
type view struct {
	namespace string
	pruning   map[string][]seen
	inUse     map[mark]string
}

// seeTo does what there is to do about one trigger, nil if it is gone.
func (c *Controller) seeTo(ctx context.Context, v *view, uid string, t *salvor.ActionTrigger) (again time.Duration, r report, err error) {
	in := input{now: c.Clock.Now(), slots: c.InFlight, pruning: v.pruning[uid], inUse: v.inUse}
	if t != nil && t.Spec.Keep != nil {
		in.keep, in.zone = c.rules(t, &r)
		in.made, err = c.made(ctx, v.namespace, t, in.pruning)
	} else {
		in.made, err = c.made(ctx, v.namespace, nil, in.pruning)
	}
	if err != nil {
		return 0, r, err
	}
	p := decide(in)
	if len(p.wanted) > 0 {
		others, err := c.others(ctx, v.namespace, p.wanted, v.pruning)
		if err != nil {
			return 0, r, err
		}
		more, found := settle(p.wanted, others, p.slots)
		p.steps = append(p.steps, more...)
		p.report.add(found)
	}
	done, err := c.steps(ctx, t, v.namespace, &p)
	r.add(p.report)
	switch {
	case t != nil && t.Spec.Keep != nil:
		c.tell(t, r)
	case r.reason != "":
		c.Log.Warn().Str("namespace", v.namespace).Str("reason", r.reason).Msg(r.message)
	}
	again = c.pause(&p, done)
	return again, r, err
}

// rules are the trigger's, nil when nothing may be begun.
func (c *Controller) rules(t *salvor.ActionTrigger, r *report) (*salvor.Retention, *time.Location) {
	if t.Spec.Suspend {
		r.note(reasonSuspended, "spec.suspend is true; nothing more is removed")
		return nil, nil
	}
	zone, err := zoneOf(t)
	if err == nil && t.Spec.Keep.Within != "" {
		if _, bad := time.ParseDuration(string(t.Spec.Keep.Within)); bad != nil {
			err = fmt.Errorf("spec.keep.within: %q is not a length of time such as 36h", t.Spec.Keep.Within)
		}
	}
	if err != nil {
		r.problem(reasonInvalid, err.Error())
		return nil, nil
	}
	return t.Spec.Keep, zone
}

// steps does the steps of a plan, and returns how many were done.
func (c *Controller) steps(ctx context.Context, t *salvor.ActionTrigger, namespace string, p *plan) (done int, err error) {
	failed := 0
	for i := range p.steps {
		err := c.act(ctx, t, namespace, &p.steps[i])
		problem, permanent := errors.AsType[*problemError](err)
		switch {
		case err == nil:
			done++
		case errors.Is(err, errChanged):
			p.wake(c.Clock.Now().Add(gather))
		case permanent:
			c.Metrics.count(resultRefused)
			p.report.problem(problem.reason, err.Error())
			if failed++; failed >= futile {
				return done, nil
			}
		default:
			c.Metrics.count(resultFailed)
			return done, err
		}
	}
	return done, nil
}

// pause is how long to wait for the next look; zero until something changes.
func (c *Controller) pause(p *plan, done int) time.Duration {
	switch {
	case done > 0 && len(p.steps) > 0:
		return gather
	case !p.next.IsZero():
		return max(p.next.Sub(c.Clock.Now()), gather)
	case p.slots < c.InFlight:
		return underway
	}
	return 0
}

func (c *Controller) log(namespace, name string) *zerolog.Logger {
	l := c.Log.With().Str("namespace", namespace).Str("actionset", name).Logger()
	return &l
}
