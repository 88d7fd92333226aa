package kandocmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"syscall"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/salvor-io/salvor/internal/kandocmd/procs"
)

// exitError ends kando with the exit code of a process it ran for its caller, and
// prints nothing.
type exitError struct{ code int }

// Error names the code.
func (e *exitError) Error() string { return fmt.Sprintf("exit code %d", e.code) }

// processFlags are the flags of the process commands.
type processFlags struct {
	host        Host
	address     string
	asJSON      bool
	quiet       bool
	signalProxy bool
	exitProxy   bool
}

func newProcess(h Host) *cobra.Command {
	f := &processFlags{host: h}
	cmd := &cobra.Command{
		Use:   "process <command>",
		Short: "Run programs for other containers of the pod",
		RunE:  needCommand,
	}
	cmd.PersistentFlags().StringVarP(&f.address, "address", "a", procs.DefaultAddress, "the path of the server's unix socket")
	cmd.AddCommand(f.newServer(), f.newClient())
	return cmd
}

func (f *processFlags) newServer() *cobra.Command {
	return &cobra.Command{
		Use:   "server",
		Short: "Start programs for the clients of the socket, until SIGTERM",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return procs.Serve(cmd.Context(), procs.Options{Address: f.address, Log: *zerolog.Ctx(cmd.Context())})
		},
	}
}

func (f *processFlags) newClient() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "client <command>",
		Short: "Have the server start a program, and ask about it",
		RunE:  needCommand,
	}
	cmd.PersistentFlags().BoolVarP(&f.asJSON, "as-json", "j", false, "print processes as JSON, one on a line")
	cmd.PersistentFlags().BoolVarP(&f.quiet, "quiet", "q", false, "print no processes")
	cmd.AddCommand(f.newCreate(), f.newExecute(), f.newGet(), f.newList(), f.newProcessOutput(), f.newSignal())
	return cmd
}

func (f *processFlags) newCreate() *cobra.Command {
	return &cobra.Command{
		Use:   "create CMD [ARG...]",
		Short: "Start a program and print its PID; put -- before one with flags",
		Args:  someArgs("a program to start"),
		RunE: f.with(func(cmd *cobra.Command, c *procs.Client, args []string) error {
			p, err := c.Create(cmd.Context(), args[0], args[1:])
			return f.show(cmd.OutOrStdout(), err, p)
		}),
	}
}

func (f *processFlags) newExecute() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "execute CMD [ARG...]",
		Short: "Start a program and print what it prints; put -- before one with flags",
		Args:  someArgs("a program to start"),
		RunE: f.with(func(cmd *cobra.Command, c *procs.Client, args []string) error {
			return f.proxied(cmd, c, func(ctx context.Context) (int64, error) {
				p, err := c.Create(ctx, args[0], args[1:])
				return p.PID, f.show(cmd.OutOrStdout(), err, p)
			})
		}),
	}
	f.addProxies(cmd)
	return cmd
}

func (f *processFlags) newProcessOutput() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "output PID",
		Short: "Print what a process has printed, and goes on to print, until it ends",
		Args:  oneArg("a PID"),
		RunE: f.with(func(cmd *cobra.Command, c *procs.Client, args []string) error {
			pid, err := parsePID(args[0])
			if err != nil {
				return err
			}
			return f.proxied(cmd, c, func(context.Context) (int64, error) { return pid, nil })
		}),
	}
	f.addProxies(cmd)
	return cmd
}

func (f *processFlags) addProxies(cmd *cobra.Command) {
	cmd.Flags().BoolVarP(&f.signalProxy, "signal-proxy", "p", false, "hand SIGINT and SIGTERM to the process instead of ending")
	cmd.Flags().BoolVarP(&f.exitProxy, "exit-proxy", "x", false, "end with the exit code of the process")
}

func (f *processFlags) newGet() *cobra.Command {
	return &cobra.Command{
		Use:   "get PID",
		Short: "Print the state of a process",
		Args:  oneArg("a PID"),
		RunE: f.with(func(cmd *cobra.Command, c *procs.Client, args []string) error {
			pid, err := parsePID(args[0])
			if err != nil {
				return err
			}
			p, err := c.Get(cmd.Context(), pid)
			return f.show(cmd.OutOrStdout(), err, p)
		}),
	}
}

func (f *processFlags) newList() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "Print the state of all processes, in the order they were started",
		Args:  cobra.NoArgs,
		RunE: f.with(func(cmd *cobra.Command, c *procs.Client, _ []string) error {
			list, err := c.List(cmd.Context())
			return f.show(cmd.OutOrStdout(), err, list...)
		}),
	}
}

func (f *processFlags) newSignal() *cobra.Command {
	return &cobra.Command{
		Use:   "signal PID SIGNAL",
		Short: "Send a signal to a process, by number or name",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 {
				return fmt.Errorf("signal needs a PID and a signal, got %d arguments", len(args))
			}
			return nil
		},
		RunE: f.with(func(cmd *cobra.Command, c *procs.Client, args []string) error {
			pid, err := parsePID(args[0])
			if err != nil {
				return err
			}
			number, err := parseSignal(args[1])
			if err != nil {
				return err
			}
			p, err := c.Signal(cmd.Context(), pid, number)
			return f.show(cmd.OutOrStdout(), err, p)
		}),
	}
}

// with hands a client to a command.
func (f *processFlags) with(do func(*cobra.Command, *procs.Client, []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		c := procs.NewClient(f.address)
		defer c.Close()
		return do(cmd, c, args)
	}
}

// show prints processes in Kanister's words, unless there is an error.
func (f *processFlags) show(w io.Writer, err error, list ...procs.Process) error {
	if err != nil || f.quiet {
		return err
	}
	for _, p := range list {
		line := "Process:  " + p.String()
		if f.asJSON {
			text, err := json.Marshal(p)
			if err != nil {
				return err
			}
			line = string(text)
		}
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	return nil
}

// proxied gets a process by begin, prints its output to its end, and stands for it
// as the flags say. Signals are caught before begin, so that none is lost.
func (f *processFlags) proxied(cmd *cobra.Command, c *procs.Client, begin func(context.Context) (int64, error)) error {
	ctx := cmd.Context()
	if f.signalProxy && f.host.Signals != nil {
		ctx = context.WithoutCancel(ctx) // the signal is for the process
		signals, stop := f.host.Signals()
		defer stop()
		pid, err := begin(ctx)
		if err != nil {
			return err
		}
		proxy, cancel := context.WithCancel(ctx)
		done := make(chan struct{})
		go func() {
			defer close(done)
			for {
				select {
				case s := <-signals:
					f.handOn(proxy, c, pid, s)
				case <-proxy.Done():
					return
				}
			}
		}()
		defer func() { cancel(); <-done }()
		return f.print(ctx, cmd, c, pid)
	}
	pid, err := begin(ctx)
	if err != nil {
		return err
	}
	return f.print(ctx, cmd, c, pid)
}

func (f *processFlags) handOn(ctx context.Context, c *procs.Client, pid int64, s any) {
	log := zerolog.Ctx(ctx)
	number, ok := s.(syscall.Signal)
	if !ok {
		return
	}
	if _, err := c.Signal(ctx, pid, int(number)); err != nil {
		log.Warn().Err(err).Int64("pid", pid).Msg("a signal could not be handed on; the process may have ended")
		return
	}
	log.Info().Int64("pid", pid).Str("signal", number.String()).Msg("handed on")
}

func (f *processFlags) print(ctx context.Context, cmd *cobra.Command, c *procs.Client, pid int64) error {
	both, bctx := errgroup.WithContext(ctx)
	both.Go(func() error { return c.Stdout(bctx, pid, cmd.OutOrStdout()) })
	both.Go(func() error { return c.Stderr(bctx, pid, cmd.ErrOrStderr()) })
	if err := both.Wait(); err != nil || !f.exitProxy {
		return err
	}
	p, err := c.Get(ctx, pid)
	switch {
	case err != nil:
		return err
	case p.ExitCode != 0:
		return &exitError{code: int(uint8(p.ExitCode))} //nolint:gosec // G115: an exit code has eight bits; -1 becomes 255, as with Kanister
	case p.State == procs.Failed:
		return fmt.Errorf("the output of the process could not be kept: %s", p.ExitErr)
	default:
		return nil
	}
}

// parsePID takes the notations of Kanister, which are those of Go.
func parsePID(text string) (int64, error) {
	pid, err := strconv.ParseInt(text, 0, 64)
	if err != nil || pid <= 0 {
		return 0, fmt.Errorf("PID %q is not a number; take it from create or list", text)
	}
	return pid, nil
}

// parseSignal takes a number, as Kanister does, or the name of a signal one sends
// to a program by hand.
func parseSignal(text string) (int, error) {
	if n, err := strconv.ParseInt(text, 0, 32); err == nil && n >= 0 {
		return int(n), nil
	}
	switch strings.TrimPrefix(strings.ToUpper(text), "SIG") {
	case "HUP":
		return int(syscall.SIGHUP), nil
	case "INT":
		return int(syscall.SIGINT), nil
	case "QUIT":
		return int(syscall.SIGQUIT), nil
	case "KILL":
		return int(syscall.SIGKILL), nil
	case "USR1":
		return int(syscall.SIGUSR1), nil
	case "USR2":
		return int(syscall.SIGUSR2), nil
	case "TERM":
		return int(syscall.SIGTERM), nil
	case "STOP":
		return int(syscall.SIGSTOP), nil
	case "CONT":
		return int(syscall.SIGCONT), nil
	default:
		return 0, fmt.Errorf("signal %q is unknown; pass its number, or HUP, INT, QUIT, KILL, USR1, USR2, TERM, STOP or CONT", text)
	}
}

// someArgs is cobra.MinimumNArgs(1) with an error that says what is missing.
func someArgs(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 || args[0] == "" {
			return errors.New(cmd.CommandPath() + " needs " + what)
		}
		return nil
	}
}
