package main

import (
	"cmp"
	"context"
	"os"

	"github.com/salvor-io/salvor/bridge"
	"github.com/salvor-io/salvor/dispatcher"
	"github.com/salvor-io/salvor/internal/cli/serve"
	"github.com/salvor-io/salvor/internal/stream"
	"github.com/salvor-io/salvor/runner"
)

// roles are the roles of Salvor in the order of the flow. Each brings its own
// options and flags; only what the process knows better is filled in here.
func roles() []serve.Constructor {
	d := dispatcher.DefaultOptions()
	return []serve.Constructor{bridgeRole(&d), dispatcherRole(&d), runnerRole()}
}

// bridgeRole shares --run-retention and --library-namespace with the dispatcher, whose
// flags they are.
func bridgeRole(d *dispatcher.Options) serve.Constructor {
	o := bridge.DefaultOptions()
	sinkFromEnvironment(&o)
	return serve.Constructor{
		Name: "bridge", NeedsCluster: true, BindFlags: o.BindFlags,
		Validate: func() error {
			o.RunRetention = d.RunRetention
			return o.Validate()
		},
		Configure: func(s serve.Settings) { o.Library = cmp.Or(d.Library, s.Namespace) },
		New: func(_ context.Context, d serve.Deps) (serve.Role, error) {
			return bridge.New(bridge.Deps{JS: d.JS, Clients: d.Clients, Clock: d.Clock, Log: d.Log, Metrics: d.Metrics, Spans: d.Spans}, o)
		},
	}
}

// sinkFromEnvironment takes what a SinkBinding of Knative puts into a pod.
func sinkFromEnvironment(o *bridge.Options) {
	if url := os.Getenv("K_SINK"); url != "" {
		o.Sink.URLs = []string{url}
	}
	o.Sink.Overrides, o.Sink.CA = os.Getenv("K_CE_OVERRIDES"), os.Getenv("K_CA_CERTS")
}

func dispatcherRole(o *dispatcher.Options) serve.Constructor {
	return serve.Constructor{
		Name: "dispatcher", NeedsCluster: true, BindFlags: o.BindFlags, Validate: o.Validate,
		Configure: func(s serve.Settings) {
			if o.Library == "" {
				o.Library = s.Namespace
			}
		},
		New: func(_ context.Context, d serve.Deps) (serve.Role, error) {
			return dispatcher.New(dispatcher.Deps{
				JS: d.JS, Clients: d.Clients, DeadLetters: stream.NewDeadLetters(d.JS), Clock: d.Clock, Log: d.Log, Metrics: d.Metrics, Spans: d.Spans,
			}, *o)
		},
	}
}

func runnerRole() serve.Constructor {
	o := runner.DefaultOptions()
	o.RDSEndpoint = os.Getenv("AWS_ENDPOINT_URL_RDS")
	return serve.Constructor{
		Name: "runner", NeedsCluster: true, BindFlags: o.BindFlags, Validate: o.Validate,
		Configure: func(s serve.Settings) {
			o.Pods.OwnNamespace = s.Namespace
			if o.Name == "" {
				o.Name = hostName()
			}
		},
		New: func(_ context.Context, d serve.Deps) (serve.Role, error) {
			return runner.New(runner.Deps{JS: d.JS, Clients: d.Clients, Clock: d.Clock, Log: d.Log, Metrics: d.Metrics}, o)
		},
	}
}

// hostName is the pod's name, which a StatefulSet keeps over restarts.
func hostName() string {
	if name := os.Getenv("POD_NAME"); name != "" {
		return name
	}
	name, err := os.Hostname()
	if err != nil {
		return "" // the runner's Validate says which flag to set
	}
	return name
}
