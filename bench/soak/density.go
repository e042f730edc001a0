package soak

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"epoxy/bench/load"
	"epoxy/bench/rig"
)

// DensityOptions are how many clients to hold.
type DensityOptions struct {
	Rig     *rig.Rig
	Clients int
	Steps   int
	Settle  time.Duration // silence after each step
	Active  time.Duration // how long one of a hundred speaks at the end
	Log     io.Writer     // lines of progress
}

// DensityReport is what so many clients cost.
type DensityReport struct {
	Machine rig.Machine `json:"machine"`
	When    time.Time   `json:"when"`
	Clients int         `json:"clients"`
	Held    []Held      `json:"held"`
	Answers uint64      `json:"answered_after_the_hold"`
	Active  Active      `json:"active"`
	Faults  []string    `json:"faults,omitempty"` // none: it passed
	Load    load.Report `json:"load"`
}

// Held is the memory at a number of clients; what a client costs is the growth since before the first.
type Held struct {
	Clients int     `json:"clients"`
	RSS     int64   `json:"rss"`
	Heap    int64   `json:"go_heap"`
	Per     float64 `json:"rss_per_client"`
	PerHeap float64 `json:"go_heap_per_client"`
	Kernel  float64 `json:"kernel_per_client"` // half of the machine's
}

// Active is one of a hundred clients at work beside all others.
type Active struct {
	Clients  int          `json:"clients"`
	Messages uint64       `json:"messages"`
	Echo     load.Latency `json:"echo"`
	Cores    float64      `json:"cores"`
	RSS      int64        `json:"rss"`
}

// Density holds idle clients over middle proxies, more in every step.
func Density(ctx context.Context, o DensityOptions) (*DensityReport, error) {
	tg, err := o.Rig.StartTelegram(ctx)
	if err != nil {
		return nil, err
	}
	defer tg.Stop()
	p, err := o.Rig.EpoxyProxy("epoxy", rig.Middle, tg, "--secret", rig.Key)
	if err != nil {
		return nil, err
	}
	child, err := o.Rig.StartProxy(ctx, p)
	if err != nil {
		return nil, err
	}
	defer child.Stop()
	r := &DensityReport{Machine: rig.ThisMachine(), When: time.Now().UTC().Truncate(time.Second), Clients: o.Clients}
	fmt.Fprintf(o.Log, "%s\n%d clients over middle proxies in %d steps, %v of silence after each\n", r.Machine, o.Clients, o.Steps, o.Settle)
	report, err := o.Rig.Load(ctx, p, child.PID(), "density", "--clients", strconv.Itoa(o.Clients), "--steps", strconv.Itoa(o.Steps),
		"--settle", o.Settle.String(), "--duration", o.Active.String(), "--timeout", "5m")
	if err != nil {
		return nil, err
	}
	r.read(report)
	return r, nil
}

// read takes the figures out of the load's report, and judges.
func (r *DensityReport) read(report *load.Report) {
	r.Load = *report
	var before load.Memory
	for _, m := range report.Memory {
		switch {
		case m.When == "before":
			before = m
		case strings.HasPrefix(m.When, "held") && m.Clients > 0:
			n := float64(m.Clients)
			r.Held = append(r.Held, Held{
				Clients: m.Clients, RSS: m.RSS, Heap: m.Heap, Per: float64(m.RSS-before.RSS) / n,
				PerHeap: float64(m.Heap-before.Heap) / n, Kernel: float64(m.Kernel-before.Kernel) / n / 2,
			})
		case m.When == "active":
			r.Active.RSS = m.RSS
		}
	}
	for _, s := range report.Steps {
		switch s.Name {
		case "ping":
			r.Answers = s.Messages
		case "active":
			r.Active.Clients, r.Active.Messages, r.Active.Echo = max(1, r.Clients/100), s.Messages, s.Echo
			if s.CPU != nil && s.Seconds > 0 {
				r.Active.Cores = (s.CPU.User + s.CPU.System) / s.Seconds
			}
		}
	}
	if report.Failed > 0 {
		r.Faults = append(r.Faults, fmt.Sprintf("%d clients failed: %v", report.Failed, report.Faults))
	}
	if r.Answers != uint64(r.Clients) {
		r.Faults = append(r.Faults, fmt.Sprintf("%d of %d clients answered after the hold", r.Answers, r.Clients))
	}
	if len(r.Held) > 2 && r.Clients >= judgedFrom {
		early, late, clients := r.growth()
		if late > early*linearShare/100+linearSpare/clients {
			r.Faults = append(r.Faults, fmt.Sprintf("growth is not linear: %.0f B a client in the first half, %.0f B in the second", early, late))
		}
	}
}

// growth is the resident bytes of one client more, from the first step to the middle one and from there to the last, and how many
// clients came in the latter.
func (r *DensityReport) growth() (early, late, clients float64) {
	per := func(a, b Held) float64 { return float64(b.RSS-a.RSS) / float64(max(1, b.Clients-a.Clients)) }
	middle, last := r.Held[(len(r.Held)-1)/2], r.Held[len(r.Held)-1]
	return per(r.Held[0], middle), per(middle, last), float64(max(1, last.Clients-middle.Clients))
}

// Print writes the table and the verdict.
func (r *DensityReport) Print(w io.Writer) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "clients\tRSS MB\tRSS a client B\tGo heap MB\tGo heap a client B\tkernel a client B\t")
	for _, h := range r.Held {
		fmt.Fprintf(t, "%d\t%.1f\t%.0f\t%.1f\t%.0f\t%.0f\t\n", h.Clients, float64(h.RSS)/1e6, h.Per, float64(h.Heap)/1e6, h.PerHeap, h.Kernel)
	}
	_ = t.Flush()
	if len(r.Held) > 2 {
		early, late, _ := r.growth()
		fmt.Fprintf(w, "one client more: %.0f B of RSS in the first half, %.0f B in the second\n", early, late)
	}
	if r.Clients < judgedFrom {
		fmt.Fprintf(w, "too few clients to judge growth: that takes %d\n", judgedFrom)
	}
	fmt.Fprintf(w, "after the hold %d of %d clients answered\n", r.Answers, r.Clients)
	fmt.Fprintf(w, "%d of them active: %d round trips, p50 %.2f ms, p99 %.2f ms, %.3f cores, RSS %.1f MB\n",
		r.Active.Clients, r.Active.Messages, r.Active.Echo.P50, r.Active.Echo.P99, r.Active.Cores, float64(r.Active.RSS)/1e6)
	verdict(w, "density", r.Faults)
}

// Print writes what happened and the verdict.
func (r *Report) Print(w io.Writer) {
	for i := range r.Proxies {
		p := &r.Proxies[i]
		fmt.Fprintf(w, "%s: %v runs, %d clients, %d round trips, %.2f GB down, %.2f GB up, %d reloads\n",
			p.Name, p.Runs, p.Opened, p.Messages, float64(p.Down)/1e9, float64(p.Up)/1e9, p.Reloads)
		for _, s := range []struct {
			when string
			Sample
		}{{"before", p.Before}, {"after", p.After}} {
			fmt.Fprintf(w, "  %-6s  RSS %.1f MB, Go heap %.1f MB, %d descriptors, %d goroutines\n", s.when, float64(s.RSS)/1e6, float64(s.Heap)/1e6, s.FDs, s.Goroutines)
		}
		early, late := quarters(p.Samples, func(s Sample) int64 { return s.RSS })
		fmt.Fprintf(w, "  RSS in the second quarter %.1f MB, in the last %.1f MB, of %d samples\n", float64(early)/1e6, float64(late)/1e6, len(p.Samples))
		for _, why := range p.reasons() {
			fmt.Fprintln(w, "  failed:", why)
		}
	}
	verdict(w, "soak", r.Faults)
}

func verdict(w io.Writer, what string, faults []string) {
	for _, f := range faults {
		fmt.Fprintln(w, "FAULT:", f)
	}
	if len(faults) == 0 {
		fmt.Fprintln(w, what+": PASSED")
	} else {
		fmt.Fprintf(w, "%s: FAILED, %d faults\n", what, len(faults))
	}
}
