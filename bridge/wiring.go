package bridge

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/salvor-io/salvor/api/event"
	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	"github.com/salvor-io/salvor/bridge/access"
	"github.com/salvor-io/salvor/bridge/actionset"
	"github.com/salvor-io/salvor/bridge/feed"
	"github.com/salvor-io/salvor/bridge/ingress"
	"github.com/salvor-io/salvor/bridge/kubesource"
	"github.com/salvor-io/salvor/bridge/natsource"
	"github.com/salvor-io/salvor/bridge/retention"
	"github.com/salvor-io/salvor/bridge/schedule"
	"github.com/salvor-io/salvor/bridge/sink"
	"github.com/salvor-io/salvor/bridge/status"
	"github.com/salvor-io/salvor/bridge/trigger"
	"github.com/salvor-io/salvor/internal/blueprint"
	"github.com/salvor-io/salvor/internal/stream"
)

// wiring is what the parts of a bridge share while it is put together.
type wiring struct {
	Deps

	o        Options
	watcher  *actionset.Watcher
	triggers *trigger.Watcher
	events   *stream.Events
	reviewer *access.Reviewer
	ingress  *ingress.Metrics
}

func (w *wiring) build() (*Bridge, error) {
	shown := feed.New(feed.Config{
		Events: w.events, Review: w.reviewer, Namespaces: w.o.Namespaces, Clock: w.Clock, Log: w.Log,
	})
	server, err := w.server(shown)
	if err != nil {
		return nil, err // it names the flag
	}
	subjects, err := natsource.New(natsource.Config{
		JS: w.JS, Store: w.events, Serves: w.watcher.Watches, Group: groupName("salvor", w.o.Namespaces),
		MaxBytes: w.o.MaxEventBytes, Options: w.o.NATS, Clock: w.Clock, Log: w.Log, Metrics: w.ingress,
	})
	if err != nil {
		return nil, fmt.Errorf("NATS sources: %w", err)
	}
	sinks, err := sink.New(sink.Config{
		Events: w.events, Letters: stream.NewDeadLetters(w.JS), Clock: w.Clock, Log: w.Log,
		Options: w.o.Sink, Namespaces: w.o.Namespaces, Metrics: sink.NewMetrics(w.Metrics),
	})
	if err != nil {
		return nil, fmt.Errorf("sinks: %w", err)
	}
	projector := status.NewProjector(status.Config{
		Clock: w.Clock, Log: w.Log, Writer: status.NewWriter(w.Clients), ActionSets: w.watcher,
		Events: &typedcorev1.EventSinkImpl{Interface: w.Clients.Kube.CoreV1().Events("")}, Interval: w.o.StatusInterval, Metrics: status.NewMetrics(w.Metrics),
	})
	firing := w.trigger()
	objects, err := kubesource.New(kubesource.Config{
		Clients: w.Clients, Clock: w.Clock, Log: w.Log, Triggers: w.triggers, Statuses: firing,
		Events: w.events, Store: stream.NewGates(w.JS), Serves: w.watcher.Watches,
	})
	if err != nil {
		return nil, fmt.Errorf("Kubernetes sources: %w", err) //nolint:staticcheck // a name
	}
	runs := stream.NewRuns(w.JS, event.SourceBridge)
	return &Bridge{
		deps: w.Deps, watcher: w.watcher, triggers: w.triggers, projector: projector, runs: runs, server: server,
		retention: w.retention(firing),
		intake: actionset.New(actionset.Config{
			Clients: w.Clients, Clock: w.Clock, Log: w.Log, Watcher: w.watcher, Runs: runs,
			Reports: stream.NewReports(w.JS, event.SourceBridge), Projection: projector, Events: w.events, Spans: w.Spans,
			Resync: w.o.Resync, RunRetention: w.o.RunRetention, Metrics: actionset.NewMetrics(w.Metrics),
		}),
		others: []part{shown, subjects, sinks, firing, objects, schedule.New(schedule.Config{
			Clock: w.Clock, Log: w.Log, Triggers: w.triggers, Statuses: firing, Events: w.events, Metrics: schedule.NewMetrics(w.Metrics),
		})},
	}, nil
}

func (w *wiring) trigger() *trigger.Controller {
	return trigger.New(trigger.Config{
		Clients: w.Clients, Clock: w.Clock, Log: w.Log, Events: w.events, Watcher: w.triggers, Reviewer: w.reviewer,
		Gates: stream.NewGates(w.JS), Outcomes: stream.NewOutcomes(w.JS),
		Announcements: &typedcorev1.EventSinkImpl{Interface: w.Clients.Kube.CoreV1().Events("")},
		Consumer:      groupName("bridge-triggers", w.o.Namespaces), Metrics: trigger.NewMetrics(w.Metrics),
	})
}

func (w *wiring) server(shown *feed.Feed) (*ingress.Server, error) {
	auth, err := ingress.Authenticators(w.o.Ingress, ingress.AuthDeps{
		Kube: w.Clients.Kube, Replays: stream.NewReplays(w.JS), Clock: w.Clock, Log: w.Log,
	})
	if err != nil {
		return nil, err // it names the flag
	}
	return ingress.New(ingress.Config{
		Listen: w.o.Listen, MaxBytes: w.o.MaxEventBytes, Store: w.events, Serves: w.watcher.Watches,
		Auth: auth, Authorizer: w.reviewer, Options: w.o.Ingress, Extra: shown.Routes(),
		Outcomes: &ingress.Outcomes{Decisions: stream.NewOutcomes(w.JS), ActionSet: w.lookAt},
		Clock:    w.Clock, Log: w.Log, Metrics: w.ingress,
	}), nil
}

// lookAt reads an ActionSet, from what is watched if it is there: only one that has
// ended, or was made a moment ago, costs a request.
func (w *wiring) lookAt(ctx context.Context, namespace, name string) (*kanister.ActionSet, error) {
	if as, ok := w.watcher.Lookup(namespace, name); ok && as.Status != nil && !status.Terminal(as.Status.State) {
		return as, nil
	}
	return w.Clients.ActionSets(namespace).Get(ctx, name, metav1.GetOptions{})
}

func (w *wiring) retention(statuses retention.Statuses) *retention.Controller {
	return retention.New(retention.Config{
		Clock: w.Clock, Log: w.Log, Triggers: w.triggers, Statuses: statuses, Namespaces: w.o.Namespaces,
		ActionSets: func(namespace string) retention.ActionSets { return w.Clients.ActionSets(namespace) },
		Unfinished: w.watcher.All,
		Blueprint: func(ctx context.Context, name, namespace string) (*kanister.Blueprint, error) {
			bp, err := blueprint.Find(ctx, blueprint.Cluster{Clients: w.Clients}, name, namespace, w.o.Library)
			if err != nil {
				return nil, fmt.Errorf("look for the blueprint: %w", err)
			}
			return bp, nil
		},
		Interval: w.o.RetentionInterval, InFlight: w.o.RetentionInFlight, Metrics: retention.NewMetrics(w.Metrics),
	})
}
