package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"epoxy/bench/ping"
	"epoxy/engine"
	"epoxy/engine/config"
	"epoxy/engine/policy"
	"epoxy/engine/quota"
	"epoxy/engine/stats"
)

// app is what the commands see of the world, so that a test can be the world.
type app struct {
	in        io.Reader
	out, errs io.Writer
	terminal  bool     // out is one
	args      []string // of the call, set by main
	environ   []string
	getenv    func(string) string
	uid       int
	random    io.Reader
	addrs     func() ([]net.Addr, error) // of this machine
	signals   <-chan os.Signal           // SIGINT, SIGTERM and SIGHUP
	build     stats.Build
	screen    func() (*screen, error) // for top; nil when nobody can watch
	engine    func(*config.Settings, *slog.Logger) (proxy, error)
	pinger    func(context.Context, ping.Target, ping.Options) []ping.Result
}

// proxy is what run needs of an engine.Engine.
type proxy interface {
	stats.Source
	Listen() error
	Start() error
	Alive()
	Addrs() []string
	Limit() int
	Apply(*config.Settings) (engine.Applied, error)
	Strangers() any
	Usage() []quota.Usage
	ResetQuota(name string) bool
	Tables() *policy.Tables
	Healthy() error
	Ready() error
	Drain(ctx context.Context)
	Stop()
	Done() <-chan struct{}
	Err() error
}

// The exit codes. A second signal exits with 128 and its number.
const (
	exitOK    = 0
	exitFault = 1 // it did not work
	exitUsage = 2 // it was asked wrongly
)

// exitError carries an exit code to main.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

// usage marks err as the asker's mistake.
func usage(err error) error { return &exitError{exitUsage, err} }

// main runs the command of args and returns the exit code. Errors go to errs, a line each.
func (a *app) main(args []string) int {
	a.args = args
	root := a.root()
	root.SetArgs(args)
	err := root.Execute()
	if err == nil {
		return exitOK
	}
	for line := range strings.SplitSeq(err.Error(), "\n") {
		fmt.Fprintln(a.errs, "epoxy: "+line)
	}
	if e, ok := errors.AsType[*exitError](err); ok {
		return e.code
	}
	return exitFault
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "epoxy",
		Short: "A Telegram MTProto proxy for many clients on little hardware",
		Long: `Epoxy is a Telegram MTProto proxy. Telegram apps connect to it by a link; it looks like a web site to others.

A first start needs nothing:
  epoxy run --listen :443 --domain www.example.com

It makes a secret, keeps it, prints the links and serves until SIGTERM.`,
		Version:       a.build.Version,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          noArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetOut(a.out)
	root.SetErr(a.errs)
	root.SetUsageTemplate(strings.ReplaceAll(root.UsageTemplate(), "FlagUsages ", "FlagUsagesWrapped 120 "))
	root.SetVersionTemplate(a.versionText())
	root.SetFlagErrorFunc(flagError)
	root.AddCommand(a.talks()...)
	root.AddCommand(
		a.run(),
		a.check(),
		a.link(),
		a.secret(),
		a.linkCerts(),
		a.ping(),
		a.config(),
		a.completion(),
		a.manCommand(),
		a.version(),
	)
	complete(root)
	return root
}

// flagError words what the flag parser refuses. Its own words would repeat an argument whole, which may be a secret.
func flagError(cmd *cobra.Command, err error) error {
	if errors.Is(err, pflag.ErrHelp) {
		return err
	}
	help := "; " + cmd.CommandPath() + " --help lists the flags"
	if e, ok := errors.AsType[*pflag.NotExistError](err); ok {
		if e.GetSpecifiedShortnames() != "" {
			return usage(errors.New("there is no flag of one dash and the letter " + e.GetSpecifiedName() + ", long flags have two dashes" + help))
		}
		return usage(errors.New("there is no flag --" + harmless(e.GetSpecifiedName()) + help))
	}
	if e, ok := errors.AsType[*pflag.ValueRequiredError](err); ok {
		return usage(errors.New("--" + e.GetSpecifiedName() + " needs a value" + help))
	}
	if e, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		return usage(errors.New("--" + e.GetFlag().Name + " has a wrong value, it takes a " + e.GetFlag().Value.Type() + help))
	}
	return usage(errors.New("a flag is written wrongly" + help))
}

// harmless returns name up to its first digit: --secret3f2a.. is a secret without its space.
func harmless(name string) string {
	if i := strings.IndexAny(name, "0123456789"); i >= 0 {
		return name[:i] + "..."
	}
	return name
}

// noArgs refuses arguments that are no flags, without repeating them.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if cmd.HasSubCommands() {
		return usage(errors.New("there is no such command; epoxy --help lists them"))
	}
	return usage(errors.New(cmd.CommandPath() + " takes flags only, and there is something else among them; " + cmd.CommandPath() + " --help lists the flags"))
}
