package bridge

import (
	"context"
	"fmt"

	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	"github.com/salvor-io/salvor/bridge/actionset"
	"github.com/salvor-io/salvor/bridge/kubesource"
	"github.com/salvor-io/salvor/bridge/retention"
	"github.com/salvor-io/salvor/bridge/status"
	"github.com/salvor-io/salvor/bridge/trigger"
	"github.com/salvor-io/salvor/internal/blueprint"
	"github.com/salvor-io/salvor/internal/stream"
)

func newRetention(d Deps, o Options, watcher *actionset.Watcher, triggers *trigger.Watcher, statuses retention.Statuses) *retention.Controller {
	return retention.New(retention.Config{
		Clock: d.Clock, Log: d.Log, Triggers: triggers, Statuses: statuses, Namespaces: o.Namespaces,
		ActionSets: func(namespace string) retention.ActionSets { return d.Clients.ActionSets(namespace) },
		Unfinished: watcher.All,
		Blueprint: func(ctx context.Context, name, namespace string) (*kanister.Blueprint, error) {
			bp, err := blueprint.Find(ctx, blueprint.Cluster{Clients: d.Clients}, name, namespace, o.Library)
			if err != nil {
				return nil, fmt.Errorf("look for the blueprint: %w", err)
			}
			return bp, nil
		},
		Interval: o.RetentionInterval, InFlight: o.RetentionInFlight, Metrics: retention.NewMetrics(d.Metrics),
	})
}

// follower hands what it reads of runs to the projector, and their ends to retention.
type follower struct {
	*status.Projector

	retention *retention.Controller
}

// Update implements stream.RunHandler.
func (f follower) Update(ctx context.Context, u stream.RunUpdate) {
	f.Projector.Update(ctx, u)
	if u.Run.State.Terminal() {
		f.retention.Ended(u.Run.Namespace, u.Run.Labels)
	}
}

func newKubeSource(d Deps, watcher *actionset.Watcher, triggers *trigger.Watcher, statuses kubesource.Statuses) (*kubesource.Controller, error) {
	return kubesource.New(kubesource.Config{
		Clients: d.Clients, Clock: d.Clock, Log: d.Log, Triggers: triggers, Statuses: statuses,
		Events: stream.NewEvents(d.JS), Store: stream.NewGates(d.JS), Serves: watcher.Watches,
	})
}
