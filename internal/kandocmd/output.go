package kandocmd

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/salvor-io/salvor/internal/output"
)

func newOutput() *cobra.Command {
	var file string
	var words []string
	cmd := &cobra.Command{
		Use:   "output <key> <value>",
		Short: "Hand a value to the phases and artifacts that follow",
		Args: func(cmd *cobra.Command, args []string) (err error) {
			words, err = outputWords(cmd.Flags(), args)
			switch {
			case err != nil:
				return err
			case file != "" && len(words) != 1:
				return fmt.Errorf("output --file needs a key alone, got %d arguments", len(words))
			case file == "" && len(words) != 2:
				return fmt.Errorf("output needs a key and a value, got %d arguments; quote a value that has spaces", len(words))
			default:
				return nil
			}
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			key := words[0]
			if err := checkOutputKey(key); err != nil {
				return err
			}
			value, err := outputValue(cmd, words, file)
			if err != nil {
				return err
			}
			if !utf8.ValidString(value) {
				zerolog.Ctx(cmd.Context()).Warn().Str("key", key).
					Msg("the value is not UTF-8: each bad byte arrives as U+FFFD; encode it, for example with base64")
			}
			line, err := output.Format(key, value)
			if err != nil {
				return err
			}
			// One write, so that the line is not mixed with what others print.
			if _, err := io.WriteString(cmd.OutOrStdout(), line); err != nil {
				return fmt.Errorf("write the output: %w", err)
			}
			return nil
		},
	}
	cmd.Flags().StringVarP(&file, "file", "f", "", "take the value from this file, or with - from stdin; an argument has at most 128 KiB")
	// A value may begin with a dash.
	cmd.Flags().SetInterspersed(false)
	return cmd
}

// outputWords are the arguments of output without flags that stand behind the key.
// Two arguments are a key and a value, whatever the value looks like; of more, some
// must be flags, as Kanister's kando allows them anywhere.
func outputWords(flags *pflag.FlagSet, args []string) ([]string, error) {
	if len(args) <= 2 {
		return args, nil
	}
	anywhere := pflag.NewFlagSet("output", pflag.ContinueOnError)
	anywhere.AddFlagSet(flags)
	anywhere.Usage = func() {}
	if err := anywhere.Parse(args); err != nil {
		return nil, fmt.Errorf("output needs a key and a value, got %d arguments: %w", len(args), err)
	}
	return anywhere.Args(), nil
}

// outputValue is the second argument, or what the file holds.
func outputValue(cmd *cobra.Command, words []string, file string) (string, error) {
	if file == "" {
		return words[1], nil
	}
	in := cmd.InOrStdin()
	if file != standard {
		opened, err := os.Open(file)
		if err != nil {
			return "", fmt.Errorf("--file: %w", err)
		}
		defer func() { _ = opened.Close() }()
		in = opened
	}
	value, err := io.ReadAll(io.LimitReader(in, output.MaxValue))
	if err != nil {
		return "", fmt.Errorf("--file: %w", err)
	}
	if len(value) == output.MaxValue {
		return "", fmt.Errorf("--file: the value has %d bytes or more, which no output may have; push it to the object store and publish its path", output.MaxValue)
	}
	return string(value), nil
}

// checkOutputKey says what a key may look like: it becomes the name of a field in
// templates, {{ .Phases.p.Output.<key> }}.
func checkOutputKey(key string) error {
	switch {
	case key == "":
		return errors.New("the output key is empty")
	case output.CheckKey(key) != nil:
		hint := ""
		if strings.Contains(key, "-") {
			hint = "; use _ instead of -"
		}
		return fmt.Errorf("output key %q may have letters, digits and _ only%s", key, hint)
	}
	return nil
}
