package events

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/salvor-io/salvor/internal/cli/app"
)

// envURL names the variable that stands for --to.
const envURL = "SALVOR_EVENTS_URL"

type options struct {
	all, follow       bool
	types             []string
	since             string
	output            string
	to                string
	tokenFile, caFile string
}

// Command is "events".
func Command(a *app.App) *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:   "events",
		Short: "Show how runs and phases ended",
		Long: `Show the lifecycle events of Salvor: how each run, and each phase of a run that has
several, ended. Without --follow, those that are kept; with it, what happens from now
on (and since --since), until it is ended. A connection that breaks is made again, and
no event is left out or shown twice.

A run of one phase has one event, that of the run.`,
		Example: `  salvor events -A --since 24h --to http://salvor.salvor.svc:8080
  salvor events -n shop --follow --type run
  salvor events -A -f -o json | jq -r 'select(.type | endswith("failed.v1")) | .data.failure.message'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.output != "text" && o.output != "json" {
				return fmt.Errorf("--output: %q is neither text nor json", o.output)
			}
			r, err := o.reader(a)
			if err != nil {
				return err
			}
			return r.run(cmd.Context())
		},
	}
	cmd.AddCommand(schemaCommand(a))
	fs := cmd.Flags()
	fs.BoolVarP(&o.all, "all-namespaces", "A", false, "show all namespaces")
	fs.BoolVarP(&o.follow, "follow", "f", false, "go on with what happens from now on")
	fs.StringArrayVar(&o.types, "type", nil, "show only types that begin with this, such as run, run.failed or phase; may be repeated")
	fs.StringVar(&o.since, "since", "", "show what was stored since then: a length of time such as 2h, or a time such as 2026-01-02T03:04:05Z (default: all that is kept; with --follow, nothing)")
	fs.StringVarP(&o.output, "output", "o", "text", "how to print: text, or json for a CloudEvent per line")
	fs.StringVar(&o.to, "to", "", "URL of the bridge (default: $"+envURL+")")
	fs.StringVar(&o.tokenFile, "token-file", "", "file with a bearer token to send along")
	fs.StringVar(&o.caFile, "ca-file", "", "file with the certificates to trust, PEM (default: the system's)")
	return cmd
}

// Pauses before the connection is made again.
const (
	pauseMin = time.Second
	pauseMax = 30 * time.Second
)
