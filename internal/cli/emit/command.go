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
	tokenFile, caFile              string
	structured                     bool
	timeout                        time.Duration
}

// Command is "emit".
func Command(a *app.App) *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:   "emit --type TYPE --source SOURCE",
		Short: "Send a CloudEvent to Salvor",
		Long: `Send a CloudEvent to Salvor's bridge and print its answer. Every ActionTrigger
that the event matches makes one ActionSet of it. The same source and id make it
once, however often the event is sent: give --id when a command may be repeated.`,
		Example: `  salvor emit --type com.example.orders.closed --source /shop/orders --to http://salvor.salvor.svc:8080/events

  # From a hook that may be retried: the same id, so one backup
  salvor emit --type com.example.release --source /ci --id release-42 --data '{"version":"42"}'

  # Data from a file, a token of the pod's service account
  salvor emit --type com.example.x --source /x --data @event.json --token-file /var/run/secrets/salvor/token`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			to, err := o.target(a)
			if err != nil {
				return err
			}
			e, err := o.build(a)
			if err != nil {
				return err
			}
			a.Verbosef("sending event %s of type %s to %s", e.ID(), e.Type(), to)
			answer, err := o.send(cmd.Context(), a, to, e)
			if err != nil {
				return err
			}
			a.Printf("event %s accepted\n", e.ID())
			if answer != "" {
				a.Printf("%s\n", answer)
			}
			return nil
		},
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
	fs.StringVar(&o.tokenFile, "token-file", "", "file with a bearer token to send along")
	fs.StringVar(&o.caFile, "ca-file", "", "file with the certificates to trust, PEM (default: the system's)")
	fs.BoolVar(&o.structured, "structured", false, "send the event as one JSON document (structured mode) instead of headers and data")
	fs.DurationVar(&o.timeout, "timeout", 30*time.Second, "how long to wait for the answer")
	return cmd
}
