package kandocmd

import "github.com/spf13/cobra"

func newStream() *cobra.Command {
	return &cobra.Command{Use: "stream", RunE: needCommand}
}
