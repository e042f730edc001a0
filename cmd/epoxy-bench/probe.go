package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"regexp"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"epoxy/bench/probe"
	"epoxy/codec/secret"
)

const probeHelp = `probe plays the censor: it sends a catalogue of active probes to a proxy, --target, and
to the web site that stands behind it, --reference, and shows every difference that somebody
outside could see: bytes, sizes of TLS records, alerts, how and when the connection ends, the
time to the first byte, certificates, ALPN, the page. What differs by nature is masked:
randoms, keys, tickets, ciphertext, dates. Run it from where the time to both is the same.

  epoxy-bench probe --target 127.0.0.1:443 --reference 127.0.0.1:8443 --domain www.example.com

With --secret it also plays a censor who overheard a client: hellos that are good but for
one thing, and replays of hellos that the target has answered. --replay-after 11m replays one
when its time is out of every window. --slow adds probes that look at timeouts and take 70 s.

Two times are the same when they differ by less than 1 s or 10 %; two times to the first
byte, medians of --repeat connections, when they differ by 25 ms at most or by a factor of
3 at most. A connection that got no answer may end up to --slack later at the target, which
waits for a hello before it asks its site. Sizes are compared to the byte, so the site wants
an RSA certificate: the length of an ECDSA signature is never twice the same.

The exit code is 1 when there is a difference, 2 when a side cannot be reached.`

// errDiffers is a target that can be told from its reference.
var errDiffers = errors.New("epoxy-bench: the target can be told from the reference, see above")

// inspection is what the flags of probe say.
type inspection struct {
	options           probe.Options
	target, reference string
	secret, only      string
	source            string
	list, json        bool
}

func probeCommand() *cobra.Command {
	o := &inspection{}
	c := &cobra.Command{
		Use:   "probe",
		Short: "Compare a proxy with the web site behind it, as a censor would",
		Long:  probeHelp,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError{fmt.Errorf("epoxy-bench: probe takes no argument %q", args[0])}
			}
			return nil
		},
		RunE: func(c *cobra.Command, _ []string) error { return o.run(c) },
	}
	c.SetFlagErrorFunc(usage)
	f := c.Flags()
	f.SortFlags = false
	f.StringVar(&o.target, "target", "", "the proxy, HOST:PORT")
	f.StringVar(&o.reference, "reference", "", "the web site behind it, HOST:PORT")
	f.StringVar(&o.secret, "secret", "", "the proxy's secret, as in a link: adds replays and hellos that are nearly good")
	f.StringVar(&o.options.Domain, "domain", "", "the site's name; default: the secret's, else www.example.com")
	f.StringVar(&o.source, "client-address", "", "address to probe from")
	f.StringVar(&o.only, "only", "", "send only the probes whose names match this regular expression")
	f.BoolVar(&o.list, "list", false, "list the probes instead of sending them")
	f.BoolVar(&o.options.Slow, "slow", false, "also send the probes that wait for timeouts")
	f.BoolVar(&o.json, "json", false, "print the report as JSON")
	f.IntVar(&o.options.Repeat, "repeat", 3, "connections of a probe to each side")
	f.IntVar(&o.options.Parallel, "parallel", 16, "probes at the same time")
	f.DurationVar(&o.options.Slack, "slack", probe.Slack, "how much later an unanswered connection may end at the target")
	f.DurationVar(&o.options.ReplayAfter, "replay-after", time.Second, "age of the hello in the probe replay-later")
	return c
}

// run sends the probes, or lists them, and prints.
func (o *inspection) run(c *cobra.Command) error {
	if err := o.complete(); err != nil {
		return usageError{err}
	}
	if o.list {
		return printProbes(c.OutOrStdout(), o.options.Select(), o.json)
	}
	progress := newProgress(c.ErrOrStderr())
	o.options.Progress = func(done, all int) {
		progress.wrote = true
		fmt.Fprintf(progress.w, "\r\x1b[K%d of %d probes", done, all)
	}
	report, err := probe.Run(c.Context(), o.options)
	progress.clear()
	switch {
	case errors.Is(err, probe.ErrUnreachable), errors.Is(err, probe.ErrNothing):
		return usageError{err}
	case err != nil:
		return err
	case o.json:
		err = printJSON(c.OutOrStdout(), report)
	default:
		err = report.Print(c.OutOrStdout())
	}
	if err == nil && report.Different > 0 {
		return errDiffers
	}
	return err
}

// complete turns the words of the flags into options.
func (o *inspection) complete() (err error) {
	p := &o.options
	if p.Only, err = regexp.Compile(o.only); err != nil {
		return fmt.Errorf("epoxy-bench: --only: %w", err)
	}
	switch {
	case p.Repeat < 1:
		return fmt.Errorf("epoxy-bench: --repeat %d must be above 0", p.Repeat)
	case p.Parallel < 1:
		return fmt.Errorf("epoxy-bench: --parallel %d must be above 0", p.Parallel)
	case p.Slack < 0 || p.ReplayAfter < 0:
		return fmt.Errorf("epoxy-bench: --slack and --replay-after must not be negative")
	}
	if o.secret != "" {
		s, err := secret.Parse(o.secret)
		if err != nil {
			return fmt.Errorf("epoxy-bench: --secret: %w", err)
		}
		key := s.Key
		p.Secret = &key
		if p.Domain == "" {
			p.Domain = s.Domain
		}
	}
	if p.Domain == "" {
		p.Domain = "www.example.com"
	}
	if o.source != "" {
		if p.Source, err = netip.ParseAddr(o.source); err != nil {
			return fmt.Errorf("epoxy-bench: --client-address %q is no address", o.source)
		}
	}
	if o.list {
		return nil
	}
	if o.target == "" || o.reference == "" {
		return fmt.Errorf("epoxy-bench: probe needs --target and --reference")
	}
	if p.Target, err = resolve("--target", o.target); err != nil {
		return err
	}
	p.Reference, err = resolve("--reference", o.reference)
	return err
}

// printProbes prints the catalogue.
func printProbes(w io.Writer, probes []probe.Probe, asJSON bool) error {
	if asJSON {
		return printJSON(w, probes)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, p := range probes {
		fmt.Fprintf(t, "%s\t%s\n", p.Name, p.About)
	}
	return t.Flush()
}

func printJSON(w io.Writer, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err == nil {
		fmt.Fprintf(w, "%s\n", text)
	}
	return err
}
