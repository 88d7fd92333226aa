package eventschema

import (
	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/bridge/kubesource"
	"github.com/salvor-io/salvor/internal/trigger"
)

// entry is one type of events.
type entry struct {
	ceType string
	title  string
	// about says when the event is told.
	about string
	// source of the event, for people.
	source string
	// subject of the event, for people.
	subject string
	// data is a value of the type of the data.
	data any
	// states that the data may have; none means that it has no state.
	states []event.State
	// required are members that this type always has.
	required []string
	// lifecycle events go to sinks and are in the feed.
	lifecycle bool
}

func register() []entry {
	run := func(ceType, title, about string, state event.State) entry {
		return entry{
			ceType: ceType, title: title, about: about, data: event.Lifecycle{}, states: []event.State{state},
			source: event.SourceDispatcher + ", or " + event.SourceBridge + " for an ActionSet that never ran", subject: "<namespace>/<ActionSet>",
			lifecycle: true, required: []string{"createdAt", "endedAt"},
		}
	}
	phase := func(ceType, title, about string, states ...event.State) entry {
		return entry{
			ceType: ceType, title: title, about: about, data: event.Lifecycle{}, states: states,
			source: event.SourceDispatcher, subject: "<namespace>/<ActionSet>", lifecycle: true,
			required: []string{"action", "kind"},
		}
	}
	const several = " Only runs with several phases tell of them; of others the run's event says all."
	return []entry{
		run(event.TypeRunCompleted, "Run completed", "All actions of an ActionSet ended well.", event.StateComplete),
		run(event.TypeRunFailed, "Run failed", "An action of an ActionSet failed, or the ActionSet could never be run.", event.StateFailed),
		run(event.TypeRunCancelled, "Run cancelled", "Somebody asked for the end of the run: the ActionSet was deleted, or cancelled.", event.StateCancelled),
		phase(event.TypePhaseComplete, "Phase completed", "A phase of a run ended well."+several, event.StateComplete),
		phase(event.TypePhaseFailed, "Phase failed", "A phase of a run failed for good, or was cancelled."+several, event.StateFailed, event.StateCancelled),
		{
			ceType: event.TypeTick, title: "Tick of a schedule", about: "The time of an ActionTrigger's schedule has come. It is for that trigger only.",
			source: event.SourceSchedule + "/<namespace>/<trigger>", subject: "<UID of the trigger>", data: trigger.Tick{},
		},
		{
			ceType: event.TypeAnnotation, title: "Annotation of an object changed", about: "An annotation that an ActionTrigger waits for got another value. It is for that trigger only.",
			source: event.SourceKubernetes + "/<namespace>/<trigger>", subject: "<UID of the trigger>", data: kubesource.Annotation{},
		},
		{
			ceType: event.TypeObject, title: "Kubernetes Event", about: "A Kubernetes Event that an ActionTrigger waits for occurred. It is for that trigger only.",
			source: event.SourceKubernetes + "/<namespace>/<trigger>", subject: "<UID of the trigger>", data: kubesource.Occurrence{},
		},
	}
}

// folders have the types and their comments.
func folders() []string { return []string{"./api/event", "./internal/trigger", "./bridge/kubesource"} }

// states are all values of event.State.
func states() []any {
	return []any{event.StatePending, event.StateRunning, event.StateComplete, event.StateFailed, event.StateCancelled}
}

// kinds are all values of event.PhaseKind.
func kinds() []any { return []any{event.KindCore, event.KindDefer, event.KindRender} }
