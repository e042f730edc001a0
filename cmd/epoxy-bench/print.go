package main

import (
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"epoxy/bench/load"
)

// size is a flag like 500M: bytes with k, M, G for powers of 1000 or Ki, Mi, Gi for powers of 1024.
type size uint64

var units = []struct {
	name string
	n    float64
}{{"Ki", 1 << 10}, {"Mi", 1 << 20}, {"Gi", 1 << 30}, {"k", 1e3}, {"M", 1e6}, {"G", 1e9}, {"", 1}}

// Set parses.
func (s *size) Set(text string) error {
	for _, u := range units {
		number, ok := strings.CutSuffix(strings.TrimSuffix(text, "B"), u.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseFloat(number, 64)
		if err != nil || n < 0 || n*u.n > 1<<50 {
			return fmt.Errorf("%q is no size; write one like 500M or 1Gi", text)
		}
		*s = size(n * u.n)
		return nil
	}
	return nil
}

// String prints what Set reads.
func (s *size) String() string { return strings.ReplaceAll(bytesText(float64(*s)), " ", "") }

// Type names the value in help texts.
func (s *size) Type() string { return "size" }

// bytesText prints a number of bytes with a unit of 1000.
func bytesText(n float64) string {
	switch {
	case n >= 1e9 || n <= -1e9:
		return strconv.FormatFloat(n/1e9, 'g', 4, 64) + " GB"
	case n >= 1e6 || n <= -1e6:
		return strconv.FormatFloat(n/1e6, 'g', 4, 64) + " MB"
	case n >= 1e4 || n <= -1e4:
		return strconv.FormatFloat(n/1e3, 'g', 4, 64) + " kB"
	}
	return strconv.FormatFloat(n, 'f', 0, 64) + " B"
}

// printReport prints a report for people.
func printReport(w io.Writer, r *load.Report) {
	fmt.Fprintf(w, "%s, %s, %s, %d clients\n\n", r.Scenario, r.Protocol, r.Server, r.Clients)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "step\tseconds\topened\tround trips\tdown\tup\tfailed\tp50 ms\tp99 ms\tp99.9 ms\tmax ms\tproxy CPU s\tload CPU s\t")
	for _, s := range r.Steps {
		l := s.Echo
		if s.Messages == 0 {
			l = s.Opening
		}
		fmt.Fprintf(t, "%s\t%.2f\t%s\t%s\t%s\t%s\t%d\t%s\t%s\t%s\t%s\t%s\t%.2f\t\n", s.Name, s.Seconds, count(s.Opened), count(s.Messages),
			volume(s.Down), volume(s.Up), s.Failed, ms(l.P50), ms(l.P99), ms(l.P999), ms(l.Max), cpu(s.CPU), s.LoadCPU)
	}
	_ = t.Flush()
	printCosts(w, r)
	printMemory(w, r)
	printCrowd(w, r.Crowd)
	if r.Failed > 0 {
		fmt.Fprintf(w, "\nFAILED: %d clients\n", r.Failed)
		for _, why := range slices.Sorted(maps.Keys(r.Faults)) {
			fmt.Fprintf(w, "  %d  %s\n", r.Faults[why], why)
		}
	}
}

// printCosts prints what the proxy's CPU time bought.
func printCosts(w io.Writer, r *load.Report) {
	line := func(s load.Step, v float64, unit string) {
		if v > 0 {
			fmt.Fprintf(w, "  %-10s %8.3f CPU s for %s\n", s.Name, v, unit)
		}
	}
	for i, s := range r.Steps {
		if s.CPU == nil {
			continue
		}
		if i == 0 {
			fmt.Fprintln(w, "\nproxy:")
		}
		line(s, s.CPU.PerHandshakes, "10,000 handshakes")
		line(s, s.CPU.PerMillion, "1,000,000 round trips")
		line(s, s.CPU.PerGB, "1 GB")
	}
}

// printMemory prints what the proxy held, and what a client costs.
func printMemory(w io.Writer, r *load.Report) {
	if len(r.Memory) == 0 {
		return
	}
	fmt.Fprintln(w)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "when\tclients\tRSS\tanonymous\tdescriptors\tthreads\t")
	for _, m := range r.Memory {
		fmt.Fprintf(t, "%s\t%d\t%s\t%s\t%d\t%d\t\n", m.When, m.Clients, bytesText(float64(m.RSS)), bytesText(float64(m.Anon)), m.FDs, m.Threads)
	}
	_ = t.Flush()
	s, when := r.Slope, "after the silence"
	if s == nil {
		return
	}
	if r.Scenario == load.Stall.String() {
		when = "stalled"
	}
	fmt.Fprintf(w, "\na client: %s of RSS, %s anonymous, when opened; %s, %s %s\n",
		bytesText(s.RSS), bytesText(s.Anon), bytesText(s.LaterRSS), bytesText(s.LaterAnon), when)
}

// printCrowd prints what strangers met and did.
func printCrowd(w io.Writer, c *load.Crowd) {
	if c == nil {
		return
	}
	fmt.Fprintf(w, "\nprobes: %d answered, %.0f/s, p50 %.2f ms, p99 %.2f ms; %d closed, %d silent, %d not connected; %d slow strangers closed\n",
		c.Answered, c.PerSecond, c.AnswerP50, c.AnswerP99, c.Closed, c.Silent, c.Refused, c.Ended)
	fmt.Fprintf(w, "clients: p50 %.2f ms alone, %.2f ms beside the strangers; p99 %.2f and %.2f ms, %+.0f %%\n",
		c.AloneP50, c.BesideP50, c.AloneP99, c.BesideP99, c.Change)
	if c.CPU > 0 {
		fmt.Fprintf(w, "proxy: %.2f cores alone, %.2f beside, %.0f us of CPU a probe, %s of RSS more\n", c.CPUAlone, c.CPU, c.PerProbe, bytesText(float64(c.RSSGrowth)))
	}
}

func count(n uint64) string {
	if n == 0 {
		return "-"
	}
	return strconv.FormatUint(n, 10)
}

func volume(n uint64) string {
	if n == 0 {
		return "-"
	}
	return bytesText(float64(n))
}

func ms(v float64) string {
	if v == 0 {
		return "-"
	}
	return strconv.FormatFloat(v, 'f', 2, 64)
}

func cpu(c *load.CPU) string {
	if c == nil {
		return "-"
	}
	return strconv.FormatFloat(c.User+c.System, 'f', 2, 64)
}

// progress is one line on a terminal that tells how far a run is; nothing elsewhere.
type progress struct {
	w     io.Writer
	wrote bool
}

func newProgress(w io.Writer) *progress {
	if f, ok := w.(*os.File); ok {
		if info, err := f.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
			return &progress{w: w}
		}
	}
	return &progress{w: io.Discard}
}

func (p *progress) show(step string, done load.Tally, clients int) {
	p.wrote = true
	fmt.Fprintf(p.w, "\r\x1b[K%s: %d connected, %d opened, %d round trips, %s down, %s up, %d failed", step, clients,
		done.Opened, done.Messages, bytesText(float64(done.Down)), bytesText(float64(done.Up)), done.Failed)
}

func (p *progress) clear() {
	if p.wrote {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}
