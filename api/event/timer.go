package event

import (
	"strconv"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"
)

// Timer is the data of a timer's event: the run that is to be looked at.
type Timer struct {
	UID       string `json:"uid"`
	Namespace string `json:"namespace"`
	// At is the time it was set to.
	At time.Time `json:"at"`
}

// NewTimerEvent wraps a timer. Its id is the run and the time.
func NewTimerEvent(t *Timer) (cloudevents.Event, error) {
	return wrap(header{
		typ: TypeTimer, source: SourceDispatcher, subject: t.Namespace + "/" + t.UID,
		id: t.UID + "/" + strconv.FormatInt(t.At.UnixNano(), 10), at: t.At,
	}, t)
}
