// Package load is a client-load generator: Telegram apps by the thousand, who check every byte.
//
// A Client is one app as a socket-free machine. Run puts them on event loops, lets them play a Scenario
// against any MTProxy that has epoxy-bench's fake Telegram behind it, and measures the proxy's process.
package load

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"time"
)

// run is one run of a scenario.
type run struct {
	cfg    *Config
	fleet  *fleet
	report *Report
}

// Run plays a scenario. The report is never nil, and holds what was done before an error. A client that failed
// or saw a wrong byte is no error of Run, but in the report.
func Run(ctx context.Context, c Config, log *slog.Logger) (*Report, error) {
	r := &run{cfg: &c, report: newReport(&c)}
	if err := c.Validate(); err != nil {
		return r.report, err
	}
	f, err := newFleet(c.Loops, log)
	if err != nil {
		return r.report, fmt.Errorf("load: start: %w", err)
	}
	defer f.stop()
	r.fleet = f
	defer r.report.sum()
	switch c.Scenario {
	case Handshake:
		err = r.handshake(ctx)
	case Idle:
		err = r.idle(ctx)
	case Small:
		err = r.small(ctx)
	case Bulk:
		err = r.bulk(ctx)
	case Stall:
		err = r.stall(ctx)
	case Strangers:
		err = r.strangers(ctx)
	case Reconnect:
		err = r.reconnect(ctx)
	case Density:
		err = r.density(ctx)
	case Paced:
		err = r.paced(ctx)
	}
	return r.report, err
}

// group makes clients for so many connections.
func (r *run) group(connections int) (*group, error) {
	return r.fleet.group(r.cfg, r.cfg.sources(connections))
}

// step does something with groups and reports what it brought and cost.
func (r *run) step(name string, act func() error, groups ...*group) error {
	for _, g := range groups {
		g.watch = func(done Tally) {
			if r.cfg.Progress != nil {
				r.cfg.Progress(name, done, g.open())
			}
		}
	}
	before, err := r.usage()
	if err != nil {
		return err
	}
	own, _ := Measure([]int{os.Getpid()})
	start := time.Now()
	failure := act()
	took := time.Since(start)
	after, err := r.usage()
	ownAfter, _ := Measure([]int{os.Getpid()})
	sum := new(Tally)
	for _, g := range groups {
		sum.merge(g.take())
	}
	s := newStep(name, took, sum)
	s.LoadCPU = (ownAfter.CPU() - own.CPU()).Seconds()
	if len(r.cfg.PIDs) > 0 && err == nil {
		s.measured(before, after, slices.Contains([]Scenario{Small, Strangers, Density, Paced}, r.cfg.Scenario))
	}
	r.report.add(s, sum)
	return errors.Join(failure, err)
}

func (r *run) usage() (Usage, error) {
	if len(r.cfg.PIDs) == 0 {
		return Usage{}, nil
	}
	return Measure(r.cfg.PIDs)
}

// memory notes what the measured processes hold now.
func (r *run) memory(when string, groups ...*group) error {
	if len(r.cfg.PIDs) == 0 {
		return nil
	}
	var heap float64
	if r.cfg.Metrics != "" { // first, so that what a proxy needs to answer is in it from the beginning
		page, err := Scrape(context.Background(), r.cfg.Metrics)
		if err != nil {
			return err
		}
		heap = page[heapMetric]
	}
	u, err := Measure(r.cfg.PIDs)
	if err != nil {
		return err
	}
	clients := 0
	for _, g := range groups {
		clients += g.open()
	}
	r.report.Memory = append(r.report.Memory, Memory{When: when, Clients: clients, Usage: u, Heap: int64(heap), Kernel: KernelMemory()})
	return nil
}

// open brings count clients of a group to their first answer.
func (r *run) open(ctx context.Context, g *group, count int) error {
	if count == 0 {
		return nil
	}
	return g.run(ctx, task{job: jobOpen, count: count, atOnce: dialsAtOnce * len(g.lanes)})
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("load: %w", context.Cause(ctx))
	}
}

// first runs acts one after another until one fails.
func first(acts ...func() error) error {
	for _, act := range acts {
		if err := act(); err != nil {
			return err
		}
	}
	return nil
}
