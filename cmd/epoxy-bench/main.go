// Package main is epoxy-bench: the load generator and the fake Telegram as a program, to compare any proxies side by side, and
// the censor's side: what tells a proxy from the site behind it.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

const rootHelp = `epoxy-bench measures MTProto proxies, Epoxy or any other.

It plays both ends: a fake Telegram datacenter behind the proxy, and thousands of
Telegram apps in front of it. The apps ask the fake datacenter for data that both
sides can compute, so every byte that a proxy loses, changes or reorders is seen.

A first try, in three terminals:

  epoxy-bench telegram --listen 127.0.0.1:8443
  epoxy run ...        # any proxy, with 127.0.0.1:8443 as the address of DC 2
  epoxy-bench load small --server 127.0.0.1:443 --secret ee... --pid $(pgrep -n epoxy)

Run it on the proxy's own machine, so that --pid can see the process, and give the
proxy a CPU of its own: taskset -c 0 for the proxy, taskset -c 1 for epoxy-bench.

probe is another matter: it looks for what tells a proxy from the web site behind it.`

// errFailed is a run in which a client failed; what failed is in the report.
var errFailed = errors.New("epoxy-bench: clients failed or saw wrong bytes, see above")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is the program. It returns the exit code: 0 is fine, 1 is a failed run, 2 a command line that makes no sense.
func run(ctx context.Context, args []string, out, errs io.Writer) int {
	root := &cobra.Command{
		Use:   "epoxy-bench",
		Short: "Measure MTProto proxies, Epoxy or any other",
		Long:  rootHelp,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError{fmt.Errorf("epoxy-bench: %q is no command", args[0])}
			}
			return nil
		},
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	log := slog.New(slog.NewTextHandler(errs, &slog.HandlerOptions{Level: slog.LevelWarn}))
	root.AddCommand(telegramCommand(log), loadCommand(log), probeCommand(), compareCommand(), gatherCommand(), densityCommand(), soakCommand(), floorCommand())
	root.SetFlagErrorFunc(usage)
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(errs)
	err := root.ExecuteContext(ctx)
	switch {
	case err == nil:
		return 0
	case errors.As(err, new(usageError)):
		fmt.Fprintf(errs, "%v\nSee epoxy-bench --help.\n", err)
		return 2
	default:
		fmt.Fprintln(errs, err)
		return 1
	}
}

// usageError is a mistake in the command line.
type usageError struct{ error }

// usage marks what a flag parser says as a usageError.
func usage(_ *cobra.Command, err error) error { return usageError{err} }
