package serve

import (
	"fmt"
	"os"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"github.com/salvor-io/salvor/internal/cli/app"
	"github.com/salvor-io/salvor/internal/kube"
)

// Command is "serve". roles are all that the program knows. logging, which may
// be nil, is told of the logger once it is there, so that the program can lead
// the logs of libraries to it.
func Command(a *app.App, roles []Constructor, version string, logging func(zerolog.Logger)) (*cobra.Command, error) {
	names := make([]string, len(roles))
	for i := range roles {
		names[i] = roles[i].Name
	}
	o := DefaultOptions(names)
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run Salvor's server roles",
		Long: `Run Salvor's server roles until SIGTERM or SIGINT. The default is everything in
one process, with an embedded JetStream server on --data-dir. With --nats the
roles can run in as many processes as needed, on a NATS cluster, or on one that
processes with the role broker form.

A second signal ends the process at once: nothing is lost, but it takes the next
one a little longer to go on.`,
		Example: `  # Everything in one process
  salvor serve --data-dir /var/lib/salvor

  # One of many runners, on a NATS cluster of three
  salvor serve --roles runner --nats nats://nats.salvor.svc:4222 --replicas 3

  # One of three brokers that form a cluster
  salvor serve --roles broker --data-dir /var/lib/salvor --nats-listen :4222 --nats-auth /etc/salvor/clients \
    --broker-name b0 --broker-cluster-listen :6222 --broker-cluster-auth /etc/salvor/members \
    --broker-routes nats://b0:6222,nats://b1:6222,nats://b2:6222`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if own := a.Getenv("POD_NAMESPACE"); own != "" && !cmd.Flags().Changed("namespace") {
				o.Namespace = own
			}
			if tools := a.Getenv("KANISTER_TOOLS"); tools != "" && cmd.Flags().Lookup("tools-image") != nil && !cmd.Flags().Changed("tools-image") {
				if err := cmd.Flags().Set("tools-image", tools); err != nil {
					return err
				}
			}
			if !cmd.Flags().Changed("otlp-endpoint") {
				o.OTLPEndpoint = otlpEndpoint(a)
			}
			if o.Broker.Name == "" {
				o.Broker.Name = hostName(a)
			}
			if err := o.Validate(); err != nil {
				return err
			}
			log := o.Logger(a.Err)
			if logging != nil {
				logging(log)
			}
			server, err := New(Config{
				Options: o, Roles: roles, Clock: a.Clock, Log: log, Version: version,
				Clients: func() (*kube.Clients, error) { return a.Kube.ClientsAt(o.QPS, o.Burst) },
			})
			if err != nil {
				return err
			}
			return server.Run(cmd.Context())
		},
	}
	o.BindFlags(cmd.Flags())
	if err := bindRoles(cmd.Flags(), roles); err != nil {
		return nil, fmt.Errorf("serve: %w", err)
	}
	return cmd, nil
}

// otlpEndpoint is what the standard variables of OpenTelemetry say; the exporter
// itself reads those for headers and certificates.
func otlpEndpoint(a *app.App) string {
	if traces := a.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"); traces != "" {
		return traces
	}
	return a.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT")
}

// hostName is the pod's name, which a StatefulSet keeps over restarts.
func hostName(a *app.App) string {
	if name := a.Getenv("POD_NAME"); name != "" {
		return name
	}
	name, err := os.Hostname()
	if err != nil {
		return "" // Validate says which flag to set
	}
	return name
}
