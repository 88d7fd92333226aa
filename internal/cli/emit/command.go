package emit

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/salvor-io/salvor/internal/cli/app"
)

type options struct {
	eventType, source, id, subject string
	data, contentType              string
	extensions                     []string
	namespace, to                  string
	access
	structured, wait, allowUnmatched bool
	timeout                          time.Duration
}

// How long to try and to wait when --timeout does not say.
const (
	sendTimeout = 30 * time.Second
	waitTimeout = 15 * time.Minute
)

// Command is "emit".
func Command(a *app.App) *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:   "emit --type TYPE --source SOURCE",
		Short: "Send a CloudEvent to Salvor, and wait for what it starts",
		Long: `Send a CloudEvent to Salvor's bridge and print its answer. Every ActionTrigger
that the event matches makes one ActionSet of it. The same source and id make it
once, however often the event is sent: give --id when a command may be repeated.
While the bridge is away or full the event is sent again, under the same id, until
--timeout.

With --wait the command ends when every run that the event caused has ended, and
says on the standard error what goes on. Exit codes: 0 all are complete; 2 one
failed, was cancelled, rejected, refused, forbidden or deleted; 3 no ActionTrigger
matches the event; 4 not ended within --timeout, the runs go on; 1 any other error.`,
		Example: `  salvor emit --type com.example.orders.closed --source /shop/orders --to http://salvor.salvor.svc:8080/events/shop

  # In a hook: go on only after the backup
  salvor emit --wait --timeout 15m --type com.example.upgrade --source /helm/shop --id "$JOB_UID" \
    --to http://salvor.salvor.svc:8080/events/shop --token-file /var/run/secrets/salvor/token

  # Data from a file, signed
  salvor emit --type com.example.x --source /x --data @event.json --structured --sign-key-file key`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context(), a) },
	}
	fs := cmd.Flags()
	fs.StringVar(&o.eventType, "type", "", "type of the event (required)")
	fs.StringVar(&o.source, "source", "", "source of the event, a URI or a path (required)")
	fs.StringVar(&o.id, "id", "", "id of the event; the same source and id count once (default: a random UUID)")
	fs.StringVar(&o.subject, "subject", "", "subject of the event")
	fs.StringVar(&o.data, "data", "", "data of the event: text, @file, or @- for the standard input")
	fs.StringVar(&o.contentType, "data-content-type", "application/json", "media type of --data")
	fs.StringArrayVar(&o.extensions, "extension", nil, "extension attribute as name=value; may be repeated")
	fs.StringVar(&o.namespace, "namespace-address", "", "namespace whose triggers the event is meant for (default: as --to says)")
	fs.StringVar(&o.to, "to", "", "URL of the bridge's event endpoint (default: $"+envURL+")")
	fs.BoolVar(&o.structured, "structured", false, "send the event as one JSON document (structured mode) instead of headers and data")
	fs.BoolVar(&o.wait, "wait", false, "wait until every run that the event caused has ended; the exit code says how")
	fs.BoolVar(&o.allowUnmatched, "allow-unmatched", false, "with --wait: that no ActionTrigger matches is no error (a hook that also runs when nothing is installed yet)")
	fs.DurationVar(&o.timeout, "timeout", 0, "how long to try to send the event and, with --wait, to wait (default 30s, with --wait 15m)")
	o.bindFlags(fs)
	return cmd
}
