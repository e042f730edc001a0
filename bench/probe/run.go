package probe

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	crand "crypto/rand"

	"epoxy/codec/faketls"
)

// ErrUnreachable says that one of the two sides takes no connection at all.
var ErrUnreachable = errors.New("probe: unreachable")

// ErrNothing says that the options leave no probe to send.
var ErrNothing = errors.New("probe: no probe has such a name")

// Run sends every probe that o asks for to both sides and compares. Probes with a difference are sent once
// more when all others are done, fewer at a time, and judged by what is seen then: what a busy machine does
// once is no difference. The error is that of ctx, ErrUnreachable or ErrNothing.
func Run(ctx context.Context, o Options) (*Report, error) {
	o.complete()
	probes := o.Select()
	if len(probes) == 0 {
		return nil, ErrNothing
	}
	for _, side := range []struct {
		name string
		addr netip.AddrPort
	}{{"reference", o.Reference}, {"target", o.Target}} {
		t, err := dial(ctx, o.Source, side.addr)
		if err != nil {
			return nil, fmt.Errorf("%w: %s %s: %s", ErrUnreachable, side.name, side.addr, cause(err))
		}
		t.drop()
	}
	shares, err := faketls.NewShares(func(p []byte) { _, _ = crand.Read(p) }) // never fails
	if err != nil {
		return nil, err
	}
	start := time.Now()
	r := runner{ctx: ctx, options: &o, shares: shares, seen: make([]seen, len(probes)), all: len(probes)}
	var again []int
	r.round(probes, slices.Collect(count(len(probes))), o.Parallel)
	for i := range probes {
		if r.results(&probes[i], &r.seen[i]).Differences != nil {
			again = append(again, i)
		}
	}
	r.all += len(again)
	r.round(probes, again, min(max(len(again)/4, 2), o.Parallel))
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	report := &Report{Target: o.Target.String(), Reference: o.Reference.String(), Seconds: time.Since(start).Seconds()}
	for i := range probes {
		result := r.results(&probes[i], &r.seen[i])
		if result.Differences != nil {
			report.Different++
		}
		report.Results = append(report.Results, result)
	}
	return report, nil
}

// count yields 0..n-1.
func count(n int) func(func(int) bool) {
	return func(yield func(int) bool) {
		for i := range n {
			if !yield(i) {
				return
			}
		}
	}
}

// runner is one Run.
type runner struct {
	ctx     context.Context
	options *Options
	shares  *faketls.Shares
	seen    []seen // by probe, each written by one goroutine at a time

	mu        sync.Mutex // around what follows
	done, all int
}

// seen is what both sides did to one probe in the last round.
type seen struct {
	reference, target []Sight
	err               error // why the probe could not be made
}

// round sends the probes of those indices, so many at a time.
func (r *runner) round(probes []Probe, which []int, parallel int) {
	var all sync.WaitGroup
	slots := make(chan struct{}, parallel)
	for _, i := range which {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			r.send(&probes[i], &r.seen[i])
			r.mu.Lock()
			defer r.mu.Unlock()
			if r.done++; r.options.Progress != nil {
				r.options.Progress(r.done, r.all)
			}
		})
	}
	all.Wait()
}

// send sends p to both sides, Repeat times each, and keeps what was seen in s.
func (r *runner) send(p *Probe, s *seen) {
	o := r.options
	limit := o.Limit
	if p.Slow {
		limit = o.SlowLimit
	}
	var what script
	if p.script != nil {
		k := newKit(p, r.shares)
		k.domain, k.secret, k.ctx, k.wait = o.Domain, o.Secret, r.ctx, o.ReplayAfter
		k.target = func() (*tap, error) { return dial(r.ctx, o.Source, o.Target) }
		if what, s.err = p.script(k); s.err != nil {
			return
		}
	}
	reference, target := make([]Sight, o.Repeat), make([]Sight, o.Repeat)
	var all sync.WaitGroup
	for i := range 2 * o.Repeat {
		to, into := o.Reference, &reference[i/2]
		if i%2 == 1 {
			to, into = o.Target, &target[i/2]
		}
		all.Go(func() {
			time.Sleep(time.Duration(i) * stagger)
			*into = r.once(p, what, to, limit)
		})
	}
	all.Wait()
	s.reference, s.target = reference, target
}

// once sends p over one connection.
func (r *runner) once(p *Probe, what script, to netip.AddrPort, limit time.Duration) Sight {
	connect := func() (*tap, error) { return dial(r.ctx, r.options.Source, to) }
	if p.client != nil {
		return p.client.play(r.ctx, r.options.Domain, limit, connect)
	}
	t, err := connect()
	if err != nil {
		return unreachable(err)
	}
	return what.play(t, limit)
}

// results judges one probe.
func (r *runner) results(p *Probe, s *seen) Result {
	result := Result{Probe: *p}
	if s.err != nil {
		text := s.err.Error()
		result.Reference, result.Target = "-", text
		result.Differences = []Difference{{DiffProbe, "-", text}}
		return result
	}
	result.Reference, result.Target = s.reference[0].String(), s.target[0].String()
	result.ReferenceFirst, result.TargetFirst = millis(firsts(s.reference)), millis(firsts(s.target))
	result.Differences = Judge(s.reference, s.target, r.options.Slack)
	return result
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
