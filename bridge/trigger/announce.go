package trigger

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/record"
	"k8s.io/utils/clock"

	salvor "github.com/salvor-io/salvor/api/salvor/v1alpha1"
)

const (
	// quiet is the shortest time between two Kubernetes Events of one trigger.
	quiet = time.Minute
	// reasonRejected is the reason of those Events.
	reasonRejected = "EventRejected"
	// component that the Events come from.
	component = "salvor"
)

// announcer makes Kubernetes Events of events that start nothing.
type announcer struct {
	sink  record.EventSink
	clock clock.PassiveClock

	mu       sync.Mutex
	recorder record.EventRecorder
	triggers map[types.UID]*announced
}

// announced is what was said of a trigger.
type announced struct {
	at     time.Time
	silent int
}

func newAnnouncer(sink record.EventSink, clk clock.PassiveClock) *announcer {
	return &announcer{sink: sink, clock: clk, triggers: map[types.UID]*announced{}}
}

func (a *announcer) run(ctx context.Context) {
	broadcaster := record.NewBroadcaster(record.WithContext(ctx))
	defer broadcaster.Shutdown()
	broadcaster.StartRecordingToSink(a.sink)
	a.mu.Lock()
	a.recorder = broadcaster.NewRecorder(runtime.NewScheme(), corev1.EventSource{Component: component})
	a.mu.Unlock()
	<-ctx.Done()
}

// reject says that an event starts nothing, unless something was said just now: then
// it is counted in what is said next.
func (a *announcer) reject(t *salvor.ActionTrigger, why string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.recorder == nil {
		return
	}
	now := a.clock.Now()
	said := a.triggers[t.UID]
	if said == nil {
		a.forget(now)
		said = &announced{}
		a.triggers[t.UID] = said
	} else if now.Sub(said.at) < quiet {
		said.silent++
		return
	}
	message := why
	if said.silent > 0 {
		message = fmt.Sprintf("%s (and %d more since the last message)", why, said.silent)
	}
	said.at, said.silent = now, 0
	a.recorder.Event(&corev1.ObjectReference{
		APIVersion: salvor.GroupVersion.String(), Kind: "ActionTrigger", Namespace: t.Namespace, Name: t.Name, UID: t.UID,
	}, corev1.EventTypeWarning, reasonRejected, cut(message))
}

// forget drops triggers of which nothing was to be said for long.
func (a *announcer) forget(now time.Time) {
	for uid, said := range a.triggers {
		if now.Sub(said.at) > time.Hour {
			delete(a.triggers, uid)
		}
	}
}

// cut is a message as long as a Kubernetes Event may have it.
func cut(message string) string {
	const most = 1000
	return message[:min(len(message), most)]
}
