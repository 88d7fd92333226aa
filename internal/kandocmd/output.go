package kandocmd

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
)

// outputMarker begins a line of a pod's log that holds an output of the phase.
const outputMarker = "###Phase-output###:"

var outputKey = regexp.MustCompile(`^[a-zA-Z0-9_]+$`)

// phaseOutput is what follows the marker.
type phaseOutput struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

func newOutput() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "output <key> <value>",
		Short: "Hand a value to the phases and artifacts that follow",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 {
				return fmt.Errorf("output needs a key and a value, got %d arguments; quote a value that has spaces", len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkOutputKey(args[0]); err != nil {
				return err
			}
			line, err := json.Marshal(phaseOutput{Key: args[0], Value: args[1]})
			if err != nil {
				return err
			}
			if _, err := fmt.Fprintln(cmd.OutOrStdout(), outputMarker, string(line)); err != nil {
				return fmt.Errorf("write the output: %w", err)
			}
			return nil
		},
	}
	// A value may begin with a dash.
	cmd.Flags().SetInterspersed(false)
	return cmd
}

// checkOutputKey says what a key may look like: it becomes the name of a field in
// templates, {{ .Phases.p.Output.<key> }}.
func checkOutputKey(key string) error {
	switch {
	case key == "":
		return errors.New("the output key is empty")
	case !outputKey.MatchString(key):
		hint := ""
		if strings.Contains(key, "-") {
			hint = "; use _ instead of -"
		}
		return fmt.Errorf("output key %q may have letters, digits and _ only%s", key, hint)
	}
	return nil
}
