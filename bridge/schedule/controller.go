package schedule

import (
	"context"
	"fmt"
	"sync"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/rs/zerolog"
	"k8s.io/utils/clock"

	salvor "github.com/salvor-io/salvor/api/salvor/v1alpha1"
)

const (
	// parallel is how many ticks are told at the same time.
	parallel = 16
	// tellTimeout bounds the wait for the acknowledgement of one tick.
	tellTimeout = 10 * time.Second
	// Pauses before a tick that could not be told is tried again.
	backoffMin = time.Second
	backoffMax = 30 * time.Second
	// longest is the longest sleep: the clock on the wall may be set meanwhile,
	// which a timer does not notice.
	longest = 30 * time.Second
	// Grace is how late a tick may be told and still not count as missed: as long as
	// an update of Salvor takes.
	Grace = time.Minute
)

// Triggers tell of ActionTriggers.
type Triggers interface {
	// Notify has changed called for each trigger that is there, that changes and that
	// is gone.
	Notify(changed func(t *salvor.ActionTrigger, gone bool)) error
}

// Statuses write the status of ActionTriggers.
type Statuses interface {
	// Tell has the status of a trigger changed soon. change may be called more than
	// once.
	Tell(t *salvor.ActionTrigger, change func(*salvor.ActionTriggerStatus))
}

// Events store events.
type Events interface {
	// Publish returns once the event is durable. duplicate says that it was stored
	// before.
	Publish(ctx context.Context, namespace string, e cloudevents.Event) (duplicate bool, err error)
}

// Config of a Controller. All fields are required but Metrics.
type Config struct {
	Clock    clock.WithTicker
	Log      zerolog.Logger
	Triggers Triggers
	Statuses Statuses
	Events   Events
	Metrics  *Metrics
}

// Controller tells ticks.
type Controller struct {
	Config

	mu      sync.Mutex
	entries map[name]*entry
	heap    entries
	// wake has a value when the heap has changed.
	wake chan struct{}
}

// New returns a controller that does nothing until Run is called.
func New(c Config) *Controller {
	return &Controller{Config: c, entries: map[name]*entry{}, wake: make(chan struct{}, 1)}
}

// Run works until ctx ends and everything it started has ended.
func (c *Controller) Run(ctx context.Context) error {
	if err := c.Triggers.Notify(c.changed); err != nil {
		return fmt.Errorf("schedules: %w", err)
	}
	for ctx.Err() == nil {
		due, wait := c.due()
		if len(due) > 0 {
			c.tellAll(ctx, due)
			continue
		}
		timer := c.Clock.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-c.wake:
		case <-timer.C():
		}
		timer.Stop()
	}
	return nil
}

// now is the time on the wall.
func (c *Controller) now() time.Time { return c.Clock.Now().Round(0).UTC() }
