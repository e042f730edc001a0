// Package compare plays the scenarios against proxies in turn on pinned CPUs, and writes a Markdown table, JSON and a chart of each
// scenario. A round plays every case with every proxy, each started anew, so that an hour in which the machine is slow is
// slow for all of them.
package compare

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"epoxy/bench/rig"
)

// Options are what to compare, and how.
type Options struct {
	Rig    *rig.Rig
	Runs   int
	Cases  []Case
	Epoxy  []rig.Mode  // Epoxy's own modes to measure
	Trials []Trial     // other builds or settings of Epoxy, measured in those modes instead of it
	Alone  bool        // without haproxy and the floor
	Title  string      // of Result
	Others []rig.Proxy // Argv of one word is a shell's line with {telegram}, {middle}, {lists}, {listen} and {dir}
	Out    string      // directory
	Sizes  Sizes
	Log    io.Writer // lines of progress
}

// Trial is Epoxy as another program, or with more flags.
type Trial struct {
	Name    string
	Program string // empty: the same
	Flags   []string
}

// Result is what a comparison found.
type Result struct {
	Title   string      `json:"title,omitempty"` // of a comparison that tries something
	Machine rig.Machine `json:"machine"`
	When    time.Time   `json:"when"`
	Runs    int         `json:"runs"`
	Sizes   Sizes       `json:"sizes"`
	CPUs    [2]string   `json:"cpus_proxy_and_load"`
	Proxies []rig.Proxy `json:"proxies"`
	Missing []string    `json:"missing,omitempty"` // who should be there and is not installed
	Cases   []Outcome   `json:"cases"`
	Failed  []string    `json:"failed,omitempty"` // runs in which clients failed or the proxy ended, with why
}

// Outcome is the figures of a case.
type Outcome struct {
	Name    string   `json:"name"`
	Title   string   `json:"title"`
	Figures []Figure `json:"figures"`
}

// Figure is one number of every proxy.
type Figure struct {
	Title string   `json:"title"`
	Unit  string   `json:"unit"`
	By    []Spread `json:"by"`
}

// Spread is the values of all rounds.
type Spread struct {
	Proxy  string    `json:"proxy"`
	Median float64   `json:"median"`
	Min    float64   `json:"min"`
	Max    float64   `json:"max"`
	Values []float64 `json:"values"`
}

// Run compares and writes compare.json, compare.md and CASE.svg into o.Out. When it is interrupted, nothing is written.
func Run(ctx context.Context, o Options) (*Result, error) {
	if err := os.MkdirAll(filepath.Join(o.Out, "reports"), 0o755); err != nil {
		return nil, fmt.Errorf("compare: %w", err)
	}
	tg, err := o.Rig.StartTelegram(ctx)
	if err != nil {
		return nil, err
	}
	defer tg.Stop()
	r := &Result{Title: o.Title, Machine: rig.ThisMachine(), When: time.Now().UTC().Truncate(time.Second), Runs: o.Runs, Sizes: o.Sizes, CPUs: [2]string{o.Rig.ProxyCPU, o.Rig.LoadCPU}}
	if err := r.invite(&o, tg); err != nil {
		return nil, err
	}
	fmt.Fprintln(o.Log, r.Machine)
	values := newValues(o.Cases, r.Proxies)
	for round := 1; round <= o.Runs; round++ {
		for _, c := range o.Cases {
			for i := range r.Proxies {
				if err := r.measure(ctx, &o, c, i, round, values); err != nil {
					return nil, fmt.Errorf("compare: round %d, %s, %s: %w", round, c.Name, r.Proxies[i].Name, err)
				}
			}
		}
	}
	r.Cases = values.outcomes(o.Cases, r.Proxies)
	return r, r.write(o.Out)
}

// measure is one case with one proxy.
func (r *Result) measure(ctx context.Context, o *Options, c Case, who, round int, v *values) error {
	p := &r.Proxies[who]
	began := time.Now()
	child, err := o.Rig.StartProxy(ctx, p)
	if err != nil {
		return err
	}
	report, err := o.Rig.Load(ctx, p, child.PID(), c.Args(p.Mode, o.Sizes)...)
	child.Stop()
	if ctx.Err() != nil {
		return err
	}
	if err != nil { // a proxy that died, say: the others go on
		r.Failed = append(r.Failed, fmt.Sprintf("round %d, %s, %s: %v", round, c.Name, p.Name, err))
	}
	text, err := json.MarshalIndent(report, "", "  ")
	if err != nil {
		return err
	}
	name := fmt.Sprintf("%s.%s.%d.json", c.Name, p.Name, round)
	if err := os.WriteFile(filepath.Join(o.Out, "reports", name), append(text, '\n'), 0o644); err != nil {
		return err
	}
	if !report.OK() {
		r.Failed = append(r.Failed, fmt.Sprintf("round %d, %s, %s: %d clients failed, %v", round, c.Name, p.Name, report.Failed, report.Faults))
	}
	if err == nil {
		v.add(c, who, report)
	}
	fmt.Fprintf(o.Log, "round %d of %d, %s, %s: %.1f s, %d failed\n", round, o.Runs, c.Name, p.Name, time.Since(began).Seconds(), report.Failed)
	return nil
}

// invite lists the proxies: Epoxy, the others, and the physical neighbours.
func (r *Result) invite(o *Options, tg *rig.Telegram) error {
	trials := o.Trials
	if len(trials) == 0 {
		trials = []Trial{{Name: "epoxy"}}
	}
	for _, mode := range o.Epoxy {
		for _, t := range trials {
			p, err := o.Rig.EpoxyProxy(t.Name+"-"+string(mode), mode, tg, append([]string{"--secret", rig.Key}, t.Flags...)...)
			if err != nil {
				return err
			}
			if t.Program != "" {
				p.Argv[0] = t.Program
			}
			r.Proxies = append(r.Proxies, *p)
		}
	}
	for _, p := range o.Others {
		line := strings.NewReplacer("{telegram}", tg.DC, "{middle}", tg.Middle, "{lists}", "http://"+tg.Lists, "{listen}", p.Addr, "{dir}", o.Rig.Dir).Replace(p.Argv[0])
		p.Argv = []string{"sh", "-c", "exec " + line}
		r.Proxies = append(r.Proxies, p)
	}
	if o.Alone {
		return nil
	}
	haproxy, err := haproxy(o, tg)
	switch {
	case err != nil:
		return err
	case haproxy == nil:
		r.Missing = append(r.Missing, "haproxy")
		fmt.Fprintln(o.Log, "haproxy is not installed: it is left out (apt-get install haproxy)")
	default:
		r.Proxies = append(r.Proxies, *haproxy)
	}
	at, err := rig.FreeAddr()
	if err != nil {
		return err
	}
	r.Proxies = append(r.Proxies, rig.Proxy{Name: "floor", Mode: rig.Relay, Addr: at, Argv: []string{o.Rig.Bench, "floor", "--listen", at, "--target", tg.DC}})
	return nil
}

// haproxy is the neighbour in C, nil where it is not installed.
func haproxy(o *Options, tg *rig.Telegram) (*rig.Proxy, error) {
	program, err := exec.LookPath("haproxy")
	if err != nil {
		if program, err = exec.LookPath("/usr/sbin/haproxy"); err != nil {
			return nil, nil //nolint:nilerr // absence is an answer
		}
	}
	at, err := rig.FreeAddr()
	if err != nil {
		return nil, err
	}
	file := filepath.Join(o.Rig.Dir, "haproxy.cfg")
	config := fmt.Sprintf("global\n  nbthread 1\n  maxconn %d\ndefaults\n  mode tcp\n  timeout connect 5s\n  timeout client 1h\n  timeout server 1h\n"+
		"listen proxy\n  bind %s\n  server telegram %s\n", o.Sizes.most()+haproxySpare, at, tg.DC)
	if err := os.WriteFile(file, []byte(config), 0o644); err != nil {
		return nil, fmt.Errorf("compare: %w", err)
	}
	return &rig.Proxy{Name: "haproxy", Mode: rig.Relay, Addr: at, Argv: []string{program, "-f", file}}, nil
}

// haproxySpare is the connections that haproxy may hold beyond the clients.
const haproxySpare = 500
