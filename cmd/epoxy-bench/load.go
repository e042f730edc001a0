package main

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"epoxy/bench/load"
	"epoxy/codec"
	"epoxy/codec/secret"
)

const loadHelp = `load plays Telegram apps against a proxy that has "epoxy-bench telegram" behind it.

The kind of secret chooses what the apps speak: a plain secret is classic (abridged
packets), dd is secure, ee is tls; no secret is direct, which goes straight to the fake
Telegram or through a plain TCP relay like haproxy, as a baseline. --protocol says
otherwise. Every app checks what real apps check (the HMAC of the proxy's TLS flight,
record types, packet lengths) and every byte of content.

With --pid the report shows what the proxy's process spent: CPU seconds for 10^9 bytes,
for a million round trips, for 10,000 handshakes; memory for each client, which needs a
proxy that was just started. Children of the process count too. The exit code is 1 when a client failed or saw a wrong byte.`

// orders is what the flags of load say.
type orders struct {
	config    load.Config
	server    string
	secret    string
	protocol  string
	domain    string
	dc        int16
	sources   []string
	bytes     size
	window    size
	direction string
	at        string
	json      bool
}

// scene is a scenario's command: its words and its own flags.
type scene struct {
	scenario load.Scenario
	short    string
	long     string
	flags    func(o *orders, f *pflag.FlagSet)
}

var scenes = []scene{
	{load.Handshake, "Connect, handshake, one round trip, close, again and again",
		`handshake makes --total connections, --clients of them at the same time. Each one
connects, shakes hands, waits for one answer from the fake Telegram and closes. It shows
the CPU time of 10,000 handshakes and how long an app waits for its first answer.

  epoxy-bench load handshake --server 127.0.0.1:443 --secret ee... --total 20000 --pid 1234`,
		func(o *orders, f *pflag.FlagSet) {
			f.IntVar(&o.config.Clients, "clients", 64, "connections at the same time")
			f.IntVar(&o.config.Total, "total", 10000, "connections all in all")
		}},
	{load.Idle, "Open many clients, wait, let all of them speak again",
		`idle opens --clients, each with one round trip, is silent for --settle, lets every client
speak once more and closes. It shows the memory of a client: the slope while they
open, and what is left after the silence, when a proxy has had time to drop what idle
clients do not need (Epoxy does so after 30 s).

  epoxy-bench load idle --server 127.0.0.1:443 --secret ee... --clients 18000 --pid 1234`,
		func(o *orders, f *pflag.FlagSet) {
			f.IntVar(&o.config.Clients, "clients", 1000, "clients to hold open")
			f.DurationVar(&o.config.Settle, "settle", 45*time.Second, "how long they are silent")
		}},
	{load.Small, "Small round trips, as fast as they go",
		`small lets --clients send packets of --size bytes and wait for each echo, until --messages
came back or for --duration. It shows the CPU time of a million round trips and how
long they take. --idle adds clients that only stay.

  epoxy-bench load small --server 127.0.0.1:443 --secret ee... --clients 64 --messages 300000 --pid 1234
  epoxy-bench load small --server 127.0.0.1:443 --secret ee... --idle 10000 --think 10ms --duration 20s`,
		func(o *orders, f *pflag.FlagSet) {
			f.IntVar(&o.config.Clients, "clients", 64, "clients that send")
			f.IntVar(&o.config.Idle, "idle", 0, "further clients that are silent")
			f.Uint64Var(&o.config.Messages, "messages", 0, "round trips all in all; 0 is for --duration")
			f.DurationVar(&o.config.Duration, "duration", 10*time.Second, "how long they send, unless --messages")
			f.IntVar(&o.config.Size, "size", 200, "bytes of a packet, 32 or more, a multiple of 4")
			f.DurationVar(&o.config.Think, "think", 0, "pause between an answer and the next packet; works in steps of 16ms")
		}},
	{load.Paced, "Small round trips, so many a second",
		`paced lets --clients send packets of --size bytes, --rate a second in all and evenly in time. It
shows the CPU time of a million round trips on a proxy that has time to fall asleep between
them, as most have most of the time.

  epoxy-bench load paced --server 127.0.0.1:443 --secret ee... --rate 5000 --pid 1234`,
		func(o *orders, f *pflag.FlagSet) {
			f.IntVar(&o.config.Clients, "clients", 64, "clients that send")
			f.IntVar(&o.config.Rate, "rate", 5000, "round trips a second")
			f.DurationVar(&o.config.Duration, "duration", 10*time.Second, "how long they send")
			f.IntVar(&o.config.Size, "size", 200, "bytes of a packet, 32 or more, a multiple of 4")
		}},
	{load.Bulk, "Downloads and uploads",
		`bulk lets --clients transfer --bytes each: down, up, or one after the other. It shows the
CPU time of 10^9 bytes. Where many clients share a link to a middle proxy, a client that
does not keep up with what it asked for is closed; so ask, like Telegram's apps, for a
--window at a time.

  epoxy-bench load bulk --server 127.0.0.1:443 --secret ee... --clients 8 --bytes 500M --direction both --pid 1234`,
		func(o *orders, f *pflag.FlagSet) {
			f.IntVar(&o.config.Clients, "clients", 8, "clients at the same time")
			o.bytes = 100e6
			f.Var(&o.bytes, "bytes", "bytes for each client, like 500M or 1G")
			f.Var(&o.window, "window", "bytes that a downloading client asks for at once, like 512Ki; 0 is all of them")
			f.StringVar(&o.direction, "direction", "down", "down, up or both")
			f.IntVar(&o.config.Packet, "packet", 0, "content bytes of a downloaded packet; 0 is 32768")
		}},
	{load.Stall, "Readers that stop reading, beside one that does not",
		`stall first lets 8 clients send small packets alone for --duration. Then --clients others
ask for --bytes each and read nothing, while the 8 go on for --duration: do they notice?
How much memory do the stalled ones cost? At last they read on, and every byte is checked.
Keep --duration below the time that the proxy grants a stalled client (15 s in Epoxy).

  epoxy-bench load stall --server 127.0.0.1:443 --secret ee... --clients 300 --bytes 5M --pid 1234`,
		func(o *orders, f *pflag.FlagSet) {
			f.IntVar(&o.config.Clients, "clients", 100, "clients that stop reading")
			o.bytes = 5e6
			f.Var(&o.bytes, "bytes", "bytes for each of them, like 5M")
			f.DurationVar(&o.config.Duration, "duration", 5*time.Second, "how long the 8 send alone, and beside the stalled ones")
			f.DurationVar(&o.config.Think, "think", time.Millisecond, "pause of the 8 between an answer and the next packet")
			f.IntVar(&o.config.Packet, "packet", 0, "content bytes of a downloaded packet; 0 is 32768")
		}},
	{load.Strangers, "Small round trips beside strangers who have no secret",
		`strangers lets --clients send small packets for --duration: alone, then beside a crowd of
strangers, then alone again. --slow of these say a hello with a wrong secret, one byte a
second. --probes a second connect, say a whole hello with a wrong secret, or noise, or an
HTTP request, read the beginning of the answer and close. Do the clients notice, and how
much memory do the strangers cost? --at sends the strangers elsewhere, say to the front
itself: a control of what they cost the machine and not the proxy.

  epoxy-bench load strangers --server 127.0.0.1:443 --secret ee... --slow 200 --probes 2000 --pid 1234`,
		func(o *orders, f *pflag.FlagSet) {
			f.IntVar(&o.config.Clients, "clients", 64, "clients that send")
			f.IntVar(&o.config.Strangers, "slow", 200, "strangers who say a byte a second")
			f.IntVar(&o.config.Probes, "probes", 2000, "probes a second")
			f.StringVar(&o.at, "at", "", "where the strangers go, HOST:PORT; default: to the proxy")
			f.DurationVar(&o.config.Duration, "duration", 10*time.Second, "how long the clients send, each of the three times")
			f.IntVar(&o.config.Size, "size", 200, "bytes of a packet, 32 or more, a multiple of 4")
			f.DurationVar(&o.config.Think, "think", 16*time.Millisecond, "pause between an answer and the next packet; works in steps of 16ms")
		}},
	{load.Reconnect, "All clients are cut off and come back in the same moment",
		`reconnect opens --clients at leisure, cuts all of them off and lets all come back in the
same moment: how long until the last one has its answer?

  epoxy-bench load reconnect --server 127.0.0.1:443 --secret ee... --clients 9000 --pid 1234`,
		func(o *orders, f *pflag.FlagSet) {
			f.IntVar(&o.config.Clients, "clients", 1000, "clients that come back")
		}},
	{load.Density, "Ever more silent clients, then a few who speak",
		`density opens --clients in --steps parts. After each it is silent for --settle and notes memory.
At the end every client speaks once, and one of a hundred goes on for --duration.

  epoxy-bench load density --server 127.0.0.1:443 --secret ee... --clients 18000 --pid 1234`,
		func(o *orders, f *pflag.FlagSet) {
			f.IntVar(&o.config.Clients, "clients", 1000, "clients to hold open")
			f.IntVar(&o.config.Steps, "steps", 5, "parts in which they open")
			f.DurationVar(&o.config.Settle, "settle", 45*time.Second, "how long all are silent after each part")
			f.DurationVar(&o.config.Duration, "duration", 10*time.Second, "how long one of a hundred speaks")
			f.IntVar(&o.config.Size, "size", 200, "bytes of a packet, 32 or more, a multiple of 4")
			f.DurationVar(&o.config.Think, "think", 16*time.Millisecond, "pause between an answer and the next packet; works in steps of 16ms")
		}},
}

func loadCommand(log *slog.Logger) *cobra.Command {
	c := &cobra.Command{
		Use:   "load SCENARIO",
		Short: "Play Telegram apps against a proxy",
		Long:  loadHelp,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError{fmt.Errorf("epoxy-bench: load needs a scenario: handshake, idle, small, bulk, stall, strangers, reconnect, density or paced")}
			}
			return usageError{fmt.Errorf("epoxy-bench: scenario %q is none of handshake, idle, small, bulk, stall, strangers, reconnect, density, paced", args[0])}
		},
		RunE: func(*cobra.Command, []string) error { return nil }, // never: Args refuses everything
	}
	for _, s := range scenes {
		c.AddCommand(sceneCommand(s, log))
	}
	return c
}

func sceneCommand(s scene, log *slog.Logger) *cobra.Command {
	o := &orders{config: load.Config{Scenario: s.scenario}}
	c := &cobra.Command{
		Use:   s.scenario.String(),
		Short: s.short,
		Long:  s.long,
		Args:  cobra.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return o.play(c, log) },
	}
	c.SetFlagErrorFunc(usage)
	f := c.Flags()
	f.SortFlags = false
	f.StringVar(&o.server, "server", "127.0.0.1:443", "the proxy, HOST:PORT")
	f.StringVar(&o.secret, "secret", "", "its secret, as in a link: hex or base64; none is direct")
	f.StringVar(&o.protocol, "protocol", "", "classic, intermediate, secure, tls or direct; default: what the secret says")
	f.StringVar(&o.domain, "domain", "", "the site's name for tls, unless the secret has it")
	f.Int16Var(&o.dc, "dc", 2, "datacenter that the apps ask for; negative is media")
	s.flags(o, f)
	f.IntSliceVar(&o.config.PIDs, "pid", nil, "process to measure, with its children; may be given several times")
	f.StringVar(&o.config.Metrics, "metrics", "", "URL of the proxy's metrics, to note its Go heap beside its memory")
	f.BoolVar(&o.json, "json", false, "print the report as JSON")
	f.IntVar(&o.config.Loops, "loops", 1, "event loops of the load generator, each on one core")
	f.StringArrayVar(&o.sources, "source", nil, "source address, may be given several times; default: 127.0.0.2 and up when ports run out")
	f.DurationVar(&o.config.Timeout, "timeout", 30*time.Second, "give up when nothing moves for so long")
	return c
}

// play runs the scenario and prints the report.
func (o *orders) play(c *cobra.Command, log *slog.Logger) error {
	if err := o.complete(); err != nil {
		return usageError{err}
	}
	p := newProgress(c.ErrOrStderr())
	o.config.Progress = p.show
	report, err := load.Run(c.Context(), o.config, log)
	p.clear()
	if o.json {
		text, failure := json.MarshalIndent(report, "", "  ")
		if failure != nil {
			return failure
		}
		fmt.Fprintf(c.OutOrStdout(), "%s\n", text)
	} else {
		printReport(c.OutOrStdout(), report)
	}
	if err == nil && !report.OK() {
		return errFailed
	}
	return err
}

// complete turns the words of the flags into the configuration.
func (o *orders) complete() (err error) {
	cfg := &o.config
	cfg.DC = codec.DC(o.dc)
	if cfg.Server, err = resolve("--server", o.server); err != nil {
		return err
	}
	for _, text := range o.sources {
		addr, err := netip.ParseAddr(text)
		if err != nil {
			return fmt.Errorf("epoxy-bench: --source %q is no address", text)
		}
		cfg.Sources = append(cfg.Sources, addr)
	}
	if err := o.choose(); err != nil {
		return err
	}
	switch cfg.Scenario {
	case load.Stall:
		cfg.Down = uint64(o.bytes) &^ 3
	case load.Bulk:
		cfg.Window = uint64(o.window) &^ 3
		switch o.direction {
		case "down":
			cfg.Down = uint64(o.bytes) &^ 3
		case "up":
			cfg.Up = uint64(o.bytes) &^ 3
		case "both":
			cfg.Down, cfg.Up = uint64(o.bytes)&^3, uint64(o.bytes)&^3
		default:
			return fmt.Errorf("epoxy-bench: --direction %q is none of down, up, both", o.direction)
		}
	case load.Strangers:
		if o.at != "" {
			if cfg.StrangersAt, err = resolve("--at", o.at); err != nil {
				return err
			}
		}
	case load.Handshake, load.Idle, load.Small, load.Reconnect, load.Density, load.Paced:
	}
	return cfg.Validate()
}

// choose sets protocol and secret.
func (o *orders) choose() (err error) {
	cfg := &o.config
	cfg.Protocol = load.Direct
	if o.secret != "" {
		if cfg.Secret, err = secret.Parse(o.secret); err != nil {
			return fmt.Errorf("epoxy-bench: --secret: %w", err)
		}
		switch cfg.Secret.Kind {
		case secret.Plain:
			cfg.Protocol = load.Classic
		case secret.Padded:
			cfg.Protocol = load.Secure
		case secret.FakeTLS:
			cfg.Protocol = load.TLS
		}
	}
	if o.domain != "" {
		cfg.Secret.Domain = o.domain
	}
	if o.protocol != "" {
		cfg.Protocol, err = load.ParseProtocol(o.protocol)
	}
	return err
}

// resolve looks up the HOST:PORT that a flag says.
func resolve(flag, text string) (netip.AddrPort, error) {
	addr, err := net.ResolveTCPAddr("tcp", text)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("epoxy-bench: %s %q: %w", flag, text, err)
	}
	at := addr.AddrPort()
	return netip.AddrPortFrom(at.Addr().Unmap(), at.Port()), nil
}
