package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"epoxy/bench/compare"
	"epoxy/bench/floor"
	"epoxy/bench/rig"
)

const compareHelp = `compare measures proxies side by side. It starts a fake Telegram, and for every scenario and round each
proxy in turn, anew: Epoxy in direct and in middle mode (the program "epoxy" beside this one), those of --proxy, haproxy
in TCP mode where it is installed, and a bare relay with one epoll, the floor under all of them. The proxy has a CPU to
itself, the fake Telegram and the load share another one. It prints a table in Markdown, and writes it with JSON,
every report and a chart for each scenario into --out. Medians of --runs, with the least and the greatest.

Another proxy is words and its command, which a shell runs:

  epoxy-bench compare --proxy 'name=mine mode=direct addr=127.0.0.1:17001 secret=ee... run=mine --port 17001 --dc {telegram}'

mode is direct, middle, or relay for a plain relay of TCP. metrics=URL is where a proxy in Go exports its heap. In the
command {telegram} is the fake datacenter, {middle} the fake middle proxy, {lists} the URL before /getProxySecret and
/getProxyConfig, {listen} is addr, {dir} a directory that is removed afterwards. Take a secret that is good for nothing else.

Another build or other settings of Epoxy are a name, a program and flags; with them the usual Epoxy is left out:

  epoxy-bench compare --title 'A larger buffer' --neighbours=false --cases down --variant 'before=bin/epoxy' --variant 'after=bin/epoxy --upstream-rcvbuf 1M'

With --profile only Epoxy runs, and each case twice: alone, and while its operator's door takes a CPU profile. profile.json says what part
of the CPU time system calls, ciphers and the rest took, and how many bytes a read and a write carry.

  epoxy-bench compare                                       everything, 5 rounds, about 40 minutes
  epoxy-bench compare --runs 1 --cases small,handshake      a look
  epoxy-bench compare --profile                             where the time goes
  epoxy-bench compare --runs 1 --scale 0.02 --settle 1s --idle 500 --idle-middle 500 --reconnect 500 --reconnect-middle 500    does it work?`

// comparison is what the flags of compare say.
type comparison struct {
	options compare.Options
	cases   []string
	modes   []string
	others  []string
	trials  []string
	beside  bool
	profile bool
	dc      string
	bench   benchPlace
	sizes   compare.Sizes
}

// benchPlace is where processes run: the flags that compare, density and soak share.
type benchPlace struct {
	epoxy    string
	proxyCPU string
	loadCPU  string
}

func compareCommand() *cobra.Command {
	o := &comparison{sizes: compare.DefaultSizes(rig.FileLimit())}
	c := &cobra.Command{
		Use:   "compare",
		Short: "Measure Epoxy, haproxy, a bare relay and other proxies side by side",
		Long:  compareHelp,
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if o.profile && !c.Flags().Changed("cases") {
				o.cases = []string{"down", "up", "small", "handshake"}
			}
			return o.run(c)
		},
	}
	c.SetFlagErrorFunc(usage)
	f := c.Flags()
	f.SortFlags = false
	f.StringArrayVar(&o.others, "proxy", nil, "another proxy, see above; may be given several times")
	f.StringArrayVar(&o.trials, "variant", nil, "NAME=PROGRAM FLAGS: Epoxy as another program or with more flags; may be given several times")
	f.StringVar(&o.dc, "telegram", "", "IP:PORT where proxies that have Telegram's addresses built in look for it, see bench/rivals.sh; default: a free port on 127.0.0.1")
	f.BoolVar(&o.beside, "neighbours", true, "measure haproxy and the floor, too")
	f.BoolVar(&o.profile, "profile", false, "profile Epoxy instead: down, up, small, handshake, or those of --cases")
	f.StringVar(&o.options.Title, "title", "", "what this comparison tries")
	f.StringSliceVar(&o.modes, "epoxy-modes", []string{"direct", "middle"}, "Epoxy's own modes to measure; empty is none")
	f.StringSliceVar(&o.cases, "cases", []string{"down", "up", "small", "paced", "handshake", "idle", "stall", "reconnect"}, "what to measure, in this order")
	f.IntVar(&o.options.Runs, "runs", 5, "rounds")
	f.StringVar(&o.options.Out, "out", filepath.Join("bin", "compare"), "directory for the results")
	f.IntVar(&o.sizes.Idle, "idle", o.sizes.Idle, "idle clients of proxies with two sockets for each; default: what descriptors allow, 10,000 at most")
	f.IntVar(&o.sizes.IdleMiddle, "idle-middle", o.sizes.IdleMiddle, "idle clients over middle proxies")
	f.IntVar(&o.sizes.Reconnect, "reconnect", o.sizes.Reconnect, "clients who come back in the same moment")
	f.IntVar(&o.sizes.ReconnectMiddle, "reconnect-middle", o.sizes.ReconnectMiddle, "the same over middle proxies")
	f.DurationVar(&o.sizes.Settle, "settle", o.sizes.Settle, "how long idle clients are silent")
	f.DurationVar(&o.sizes.Stall, "stall", o.sizes.Stall, "how long stalled readers are looked at")
	f.Float64Var(&o.sizes.Scale, "scale", 1, "part of the bytes, round trips and handshakes; below 1 is a trial")
	o.bench.flags(c)
	return c
}

func (b *benchPlace) flags(c *cobra.Command) {
	f := c.Flags()
	b.proxyCPU, b.loadCPU = rig.CPUs()
	f.StringVar(&b.epoxy, "epoxy", "", "the program epoxy; default: beside this program, else in PATH")
	f.StringVar(&b.proxyCPU, "proxy-cpu", b.proxyCPU, "CPUs of the proxy, as taskset reads them; empty is any")
	f.StringVar(&b.loadCPU, "load-cpu", b.loadCPU, "CPUs of the fake Telegram and the load; empty is any")
}

// rig makes the bench; the caller calls done.
func (b *benchPlace) rig() (r *rig.Rig, done func(), err error) {
	bench, epoxy, err := rig.Programs()
	if b.epoxy != "" && bench != "" {
		epoxy, err = b.epoxy, nil
	}
	if err != nil {
		return nil, nil, err
	}
	dir, err := os.MkdirTemp("", "epoxy-bench-")
	if err != nil {
		return nil, nil, err
	}
	return &rig.Rig{Bench: bench, Epoxy: epoxy, Dir: dir, ProxyCPU: b.proxyCPU, LoadCPU: b.loadCPU}, func() { _ = os.RemoveAll(dir) }, nil
}

func (o *comparison) run(c *cobra.Command) error {
	if err := o.complete(); err != nil {
		return usageError{err}
	}
	r, done, err := o.bench.rig()
	if err != nil {
		return err
	}
	defer done()
	r.DC = o.dc
	o.options.Rig, o.options.Sizes, o.options.Log = r, o.sizes, c.ErrOrStderr()
	measure := compared
	if o.profile {
		measure = profiled
	}
	text, err := measure(c.Context(), o.options)
	if err != nil {
		return err
	}
	fmt.Fprint(c.OutOrStdout(), text)
	fmt.Fprintf(c.ErrOrStderr(), "written to %s\n", o.options.Out)
	return nil
}

// compared and profiled measure and return a table.
func compared(ctx context.Context, o compare.Options) (string, error) {
	r, err := compare.Run(ctx, o)
	if err != nil {
		return "", err
	}
	return r.Markdown(), nil
}

func profiled(ctx context.Context, o compare.Options) (string, error) {
	p, err := compare.RunProfile(ctx, o)
	if err != nil {
		return "", err
	}
	return p.Markdown(), nil
}

// complete turns the words of the flags into options.
func (o *comparison) complete() (err error) {
	if o.options.Cases, err = compare.Find(o.cases); err != nil {
		return err
	}
	for _, c := range o.options.Cases {
		if _, _, ok := compare.Profiled(c.Name); o.profile && !ok {
			return fmt.Errorf("epoxy-bench: --profile knows down, up, small, paced and handshake, not %s", c.Name)
		}
	}
	s := o.sizes
	if o.options.Runs < 1 || s.Idle < 1 || s.IdleMiddle < 1 || s.Reconnect < 1 || s.ReconnectMiddle < 1 || s.Scale <= 0 || s.Stall <= 0 || s.Settle < 0 {
		return errors.New("epoxy-bench: --runs, --idle, --idle-middle, --reconnect, --reconnect-middle, --scale and --stall must be above 0, --settle not negative")
	}
	for _, word := range o.modes {
		mode, err := parseMode(word)
		if err != nil || mode == rig.Relay {
			return fmt.Errorf("epoxy-bench: --epoxy-modes %q is none of direct, middle", word)
		}
		o.options.Epoxy = append(o.options.Epoxy, mode)
	}
	o.options.Alone = !o.beside
	for _, text := range o.trials {
		name, command, ok := strings.Cut(text, "=")
		words := strings.Fields(command)
		if !ok || len(words) == 0 || name == "" || strings.ContainsAny(name, "/| ") {
			return fmt.Errorf("epoxy-bench: --variant %q is not NAME=PROGRAM FLAGS", text)
		}
		o.options.Trials = append(o.options.Trials, compare.Trial{Name: name, Program: words[0], Flags: words[1:]})
	}
	for _, text := range o.others {
		p, err := parseProxy(text)
		if err != nil {
			return err
		}
		o.options.Others = append(o.options.Others, p)
	}
	return nil
}

// parseProxy reads "name=N mode=M addr=A secret=S metrics=URL run=COMMAND"; the command goes to the end.
func parseProxy(text string) (p rig.Proxy, err error) {
	head, command, ok := strings.Cut(text, "run=")
	p = rig.Proxy{Mode: rig.Direct, Argv: []string{strings.TrimSpace(command)}}
	if !ok || p.Argv[0] == "" {
		return p, fmt.Errorf("epoxy-bench: --proxy %q has no run=COMMAND", head)
	}
	for _, word := range strings.Fields(head) {
		key, value, _ := strings.Cut(word, "=")
		switch key {
		case "name":
			p.Name = value
		case "mode":
			if p.Mode, err = parseMode(value); err != nil {
				return p, err
			}
		case "addr":
			p.Addr = value
		case "secret":
			p.Secret = value
		case "metrics":
			p.Metrics = value
		default:
			return p, fmt.Errorf("epoxy-bench: --proxy: %q is none of name, mode, addr, secret, metrics, run", key)
		}
	}
	_, bad := netip.ParseAddrPort(p.Addr)
	switch {
	case p.Name == "" || strings.ContainsAny(p.Name, "/|"):
		err = errors.New("epoxy-bench: --proxy has no name=, without / and |")
	case bad != nil:
		err = fmt.Errorf("epoxy-bench: --proxy %s has no addr=IP:PORT", p.Name)
	case p.Mode != rig.Relay && p.Secret == "":
		err = fmt.Errorf("epoxy-bench: --proxy %s has no secret=", p.Name)
	}
	return p, err
}

func parseMode(word string) (rig.Mode, error) {
	switch m := rig.Mode(word); m {
	case rig.Direct, rig.Middle, rig.Relay:
		return m, nil
	}
	return "", fmt.Errorf("epoxy-bench: mode %q is none of direct, middle, relay", word)
}

// floorCommand is the bare relay, for compare.
func floorCommand() *cobra.Command {
	var listen, target string
	c := &cobra.Command{
		Use:    "floor",
		Short:  "Relay TCP with one epoll and nothing else",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			at, err1 := netip.ParseAddrPort(listen)
			to, err2 := netip.ParseAddrPort(target)
			if err := errors.Join(err1, err2); err != nil {
				return usageError{fmt.Errorf("epoxy-bench: floor: %w", err)}
			}
			r, err := floor.New(at, to)
			if err != nil {
				return err
			}
			fmt.Fprintln(c.OutOrStdout(), "listening", r.Addr)
			return r.Run(c.Context())
		},
	}
	c.SetFlagErrorFunc(usage)
	c.Flags().StringVar(&listen, "listen", "127.0.0.1:0", "where clients connect, IP:PORT")
	c.Flags().StringVar(&target, "target", "", "where they are connected to, IP:PORT")
	return c
}
