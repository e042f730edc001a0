// Package soak runs Epoxy for long: as many idle clients as there is room for, and everything at once for half an hour. Both end with
// a verdict.
package soak

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"syscall"
	"time"

	"epoxy/bench/load"
	"epoxy/bench/rig"
)

// Options are what to soak.
type Options struct {
	Rig      *rig.Rig
	Duration time.Duration
	Log      io.Writer // lines of progress
}

// Report is what a soak saw.
type Report struct {
	Machine rig.Machine `json:"machine"`
	When    time.Time   `json:"when"`
	Seconds float64     `json:"seconds"`
	Proxies []Proxy     `json:"proxies"`
	Faults  []string    `json:"faults,omitempty"` // none: it passed
}

// Proxy is what became of one proxy.
type Proxy struct {
	Name     string            `json:"name"`
	Runs     map[string]int    `json:"runs"` // of each kind of work
	Opened   uint64            `json:"opened"`
	Messages uint64            `json:"messages"`
	Down     uint64            `json:"down_bytes"` // every byte checked
	Up       uint64            `json:"up_bytes"`
	Failed   uint64            `json:"failed_clients"`
	Why      map[string]uint64 `json:"why,omitempty"`
	Reloads  int               `json:"reloads"`
	Before   Sample            `json:"before"`
	After    Sample            `json:"after"` // when all clients had left
	Samples  []Sample          `json:"samples"`
}

// role is what a proxy is soaked in.
type role struct {
	name  string
	mode  rig.Mode
	flags []string
	jobs  [][]string
	clean bool // nothing may fail: its upstream does not
	moves bool // clients change links
}

// roles are the proxies. Clients who change links when theirs dies have small packets only: a download of many packets goes on after
// a change because Telegram sends again what was lost, which the fake one does not.
func roles() []role {
	return []role{
		{name: "epoxy-direct", mode: rig.Direct, jobs: jobs, clean: true},
		{name: "epoxy-middle", mode: rig.Middle, jobs: jobs, flags: []string{"--migrate", "never"}},
		{name: "epoxy-migrate", mode: rig.Middle, jobs: [][]string{churn, small}, flags: []string{"--migrate", "idle"}, moves: true},
	}
}

// soaked is a proxy at work.
type soaked struct {
	role
	options *Options
	proxy   *rig.Proxy
	child   *rig.Child
	config  *settings

	mu  sync.Mutex
	out Proxy
}

// Run soaks proxies over middle proxies whose links die every few seconds and one in direct mode, where no client may notice
// anything. An error is a soak that did not take place; what the proxies did wrong is in the report.
func Run(ctx context.Context, o Options) (*Report, error) {
	tg, err := o.Rig.StartTelegram(ctx, "--fault", "life="+linkLife)
	if err != nil {
		return nil, err
	}
	defer tg.Stop()
	r := &Report{Machine: rig.ThisMachine(), When: time.Now().UTC().Truncate(time.Second)}
	start := time.Now()
	var all []*soaked
	for _, who := range roles() {
		s, err := o.start(ctx, who, tg)
		if err != nil {
			return nil, err
		}
		defer s.child.Stop()
		all = append(all, s)
	}
	fmt.Fprintf(o.Log, "%s\nsoaking for %v, middle proxies' links live %s\n", r.Machine, o.Duration, linkLife)
	var wait sync.WaitGroup
	for _, s := range all {
		wait.Go(func() { s.work(ctx, start.Add(o.Duration)) })
	}
	wait.Wait()
	if ctx.Err() != nil {
		return nil, fmt.Errorf("soak: %w", context.Cause(ctx))
	}
	for _, s := range all {
		s.rest(ctx)
		r.Faults = append(r.Faults, s.judge()...)
		r.Proxies = append(r.Proxies, s.out)
	}
	r.Seconds = time.Since(start).Seconds()
	return r, nil
}

// start starts a proxy with a settings file.
func (o *Options) start(ctx context.Context, who role, tg *rig.Telegram) (*soaked, error) {
	config, err := newSettings(o.Rig.Dir, who.name)
	if err != nil {
		return nil, err
	}
	p, err := o.Rig.EpoxyProxy(who.name, who.mode, tg, append(who.flags, "--replay-memory", replayMemory, "--config", config.file)...)
	if err != nil {
		return nil, err
	}
	child, err := o.Rig.StartProxy(ctx, p)
	if err != nil {
		return nil, err
	}
	s := &soaked{role: who, options: o, proxy: p, child: child, config: config}
	s.out = Proxy{Name: p.Name, Runs: map[string]int{}, Why: map[string]uint64{}}
	s.out.Before, err = s.sample(ctx)
	if err != nil {
		child.Stop()
	}
	return s, err
}

// jobs are the kinds of work, each a run of epoxy-bench load, again and again.
var (
	churn = []string{"handshake", "--total", "1500", "--clients", "32"}
	bulk  = []string{"bulk", "--clients", "6", "--bytes", "12MB", "--window", "256Ki", "--direction", "both"}
	small = []string{"small", "--clients", "32", "--idle", "200", "--duration", "6s", "--think", "16ms"}
	stall = []string{"stall", "--clients", "6", "--bytes", "2MB", "--duration", "3s"}
	jobs  = [][]string{churn, bulk, small, stall}
)

// work is everything at once until end: each kind of work in a row of its own, samples, and reloads.
func (s *soaked) work(ctx context.Context, end time.Time) {
	var rows, watch sync.WaitGroup
	done := make(chan struct{})
	for _, job := range s.jobs {
		rows.Go(func() {
			for time.Now().Before(end) && ctx.Err() == nil && s.alive() {
				report, err := s.options.Rig.Load(ctx, s.proxy, 0, job...)
				if ctx.Err() == nil {
					s.count(job[0], report, err)
				}
			}
		})
	}
	watch.Go(func() { s.watch(ctx, done) })
	rows.Wait()
	close(done)
	watch.Wait()
}

func (s *soaked) alive() bool {
	select {
	case <-s.child.Ended():
		return false
	default:
		return true
	}
}

// count adds a run.
func (s *soaked) count(job string, r *load.Report, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := &s.out
	o.Runs[job]++
	if err != nil {
		o.Why[job+": "+err.Error()]++
	}
	for _, step := range r.Steps {
		o.Opened += step.Opened
		o.Messages += step.Messages
		o.Down += step.Down
		o.Up += step.Up
	}
	o.Failed += r.Failed
	for why, n := range r.Faults {
		o.Why[job+": "+why] += n
	}
}

// watch samples and reloads until done.
func (s *soaked) watch(ctx context.Context, done <-chan struct{}) {
	samples := time.NewTicker(max(s.options.Duration/sampleCount, sampleStep))
	defer samples.Stop()
	reloads := time.NewTicker(reloadStep)
	defer reloads.Stop()
	for {
		select {
		case <-done:
			return
		case <-samples.C:
			if one, err := s.sample(ctx); err == nil { // else it ended, or is too busy to say
				s.out.Samples = append(s.out.Samples, one)
			}
		case <-reloads.C:
			if s.config.change() == nil && s.child.Signal(syscall.SIGHUP) == nil {
				s.out.Reloads++
			}
		}
	}
}

// rest waits until the proxy has no client, and looks at what is left.
func (s *soaked) rest(ctx context.Context) {
	for end := time.Now().Add(restTime); ; {
		one, err := s.sample(ctx)
		if err == nil {
			s.out.After = one
		}
		if err != nil || one.Clients == 0 && one.FDs <= s.out.Before.FDs+spareFDs || time.Now().After(end) || !s.alive() {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Second):
		}
	}
}

// reasons lists why clients failed, in order.
func (p *Proxy) reasons() (all []string) {
	for _, why := range slices.Sorted(maps.Keys(p.Why)) {
		all = append(all, fmt.Sprintf("%d %s", p.Why[why], why))
	}
	return all
}
