package trigger

import (
	"fmt"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"

	"github.com/salvor-io/salvor/api/event"
	salvor "github.com/salvor-io/salvor/api/salvor/v1alpha1"
)

// Tick is the data of a tick's event.
type Tick struct {
	// Tick is the time that the expression means.
	Tick time.Time `json:"tick"`
	// Due is when it fires: Tick and the trigger's share of the jitter.
	Due time.Time `json:"due"`
}

// TickSource is the source of the trigger's ticks.
func TickSource(t *salvor.ActionTrigger) string {
	return event.SourceSchedule + "/" + t.Namespace + "/" + t.Name
}

// NewTick is the event of a tick of the trigger's schedule. The same tick is the
// same event, whoever tells it.
func NewTick(t *salvor.ActionTrigger, tick, due time.Time) (cloudevents.Event, error) {
	e := cloudevents.NewEvent()
	e.SetType(event.TypeTick)
	e.SetSource(TickSource(t))
	e.SetSubject(string(t.UID))
	e.SetID(tick.UTC().Format(time.RFC3339))
	e.SetTime(due.UTC())
	if err := e.SetData(cloudevents.ApplicationJSON, Tick{Tick: tick.UTC(), Due: due.UTC()}); err != nil {
		return e, fmt.Errorf("encode the tick %s of trigger %s/%s: %w", e.ID(), t.Namespace, t.Name, err)
	}
	return e, nil
}
