package load

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"epoxy/codec/faketls"
	"epoxy/engine/reactor"
	"epoxy/upstream"
)

// patience is every stall limit of our reactors, in milliseconds: a measured proxy may be slow, we wait.
const patience = 3_600_000

// fleet is the event loops of a run.
type fleet struct {
	loops  []*reactor.Reactor
	wait   sync.WaitGroup
	start  time.Time
	serial uint32 // lanes so far
}

// newFleet starts n loops.
func newFleet(n int, log *slog.Logger) (*fleet, error) {
	f := &fleet{start: time.Now()}
	for i := range n {
		r, err := reactor.New(reactor.Options{Index: i, CPU: -1, Log: log, StallTime: patience, HalfTime: patience})
		if err != nil {
			f.stop()
			return nil, err
		}
		f.loops = append(f.loops, r)
		f.wait.Go(func() {
			if err := r.Run(); err != nil {
				log.Error("load: a loop ended", "err", err)
			}
		})
	}
	return f, nil
}

// stop ends the loops and what is left on them.
func (f *fleet) stop() {
	for _, r := range f.loops {
		r.Stop()
	}
	f.wait.Wait()
}

// group is clients that do the same thing, spread over all loops.
type group struct {
	fleet *fleet
	lanes []*lane
	watch func(done Tally) // hears of progress; may be nil
	limit time.Duration    // without any progress until the clients are given up
}

// group makes a group without clients.
func (f *fleet) group(c *Config, sources []netip.Addr) (*group, error) {
	g := &group{fleet: f, limit: c.Timeout}
	options := dialOptions(sources)
	for _, r := range f.loops {
		who := Identity{TLS: c.Protocol == TLS, Transport: c.transport(), DC: c.DC, Rand: r.Rand}
		if c.Protocol != Direct {
			key := c.Secret.Key
			who.Secret, who.Domain = &key, c.Secret.Domain
		}
		if who.TLS {
			shares, err := faketls.NewShares(random)
			if err != nil {
				return nil, err
			}
			who.Shares = shares
		}
		f.serial++
		g.lanes = append(g.lanes, &lane{
			loop: r, server: c.Server, sources: options, start: f.start, who: who, serial: f.serial, stride: maxLanes,
		})
	}
	return g, nil
}

// dialOptions returns socket options for each source address.
func dialOptions(sources []netip.Addr) (all []*upstream.DialOptions) {
	for _, addr := range sources {
		o := new(upstream.DialOptions)
		if addr.Is4() {
			o.BindV4 = addr
		} else {
			o.BindV6 = addr
		}
		all = append(all, o)
	}
	return all
}

// run gives every lane its share of the task and waits until all are done.
func (g *group) run(ctx context.Context, t task) error {
	wait := g.begin(t)
	return wait(ctx)
}

// begin starts the task and returns what waits for its end.
func (g *group) begin(t task) (wait func(context.Context) error) {
	if t.until > 0 {
		t.until += time.Since(g.fleet.start)
	}
	var done []chan struct{}
	n := len(g.lanes)
	for i, l := range g.lanes {
		part := t
		part.count = share(t.count, i, n)
		part.atOnce = share(t.atOnce, i, n)
		part.messages = uint64(share(int(t.messages), i, n))
		end := make(chan struct{})
		if idle := t.count > 0 && part.count == 0 || t.messages > 0 && part.messages == 0; idle {
			close(end)
		} else {
			if t.atOnce > 0 {
				part.atOnce = max(part.atOnce, 1)
			}
			g.post(i, func() { l.begin(part, end) })
		}
		done = append(done, end)
	}
	return func(ctx context.Context) error { return g.wait(ctx, done, t.job) }
}

// share is lane i's part of n things among lanes.
func share(n, i, lanes int) int { return n/lanes + min(1, max(0, n%lanes-i)) }

var errStuck = errors.New("load: nothing moved any more")

// wait watches the lanes until all are done, or nothing moved for the limit, or ctx ended.
func (g *group) wait(ctx context.Context, done []chan struct{}, j job) error {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	var last uint64
	moved := time.Now()
	limit := g.limit
	if j == jobClose {
		limit = closeTime
	}
	var failure error
	stop := ctx.Done()
	for _, end := range done {
		for open := true; open; {
			select {
			case <-end:
				open = false
			case <-stop:
				stop = nil
				failure = fmt.Errorf("load: %w", context.Cause(ctx))
				g.giveUp("interrupted")
			case now := <-tick.C:
				seen := g.peek()
				if g.watch != nil {
					g.watch(seen)
				}
				if a := seen.activity() + uint64(g.open()); a != last {
					last, moved = a, now
				} else if failure == nil && now.Sub(moved) > limit {
					failure = errStuck
					g.giveUp("no answer in time")
				}
			}
		}
	}
	return failure
}

func (g *group) giveUp(why string) {
	for i, l := range g.lanes {
		g.post(i, func() { l.giveUp(why) })
	}
}

// end lets a task that goes on until a time end now.
func (g *group) end() {
	for i, l := range g.lanes {
		g.post(i, func() { l.task.until = 1 })
	}
}

// post runs fn on loop i, or not at all when the fleet was stopped.
func (g *group) post(i int, fn func()) { _ = g.fleet.loops[i].Post(fn) }

// call runs fn on loop i and waits for it.
func (g *group) call(i int, fn func()) { _ = g.fleet.loops[i].Call(fn) }

// peek sums the counters of all lanes without histograms and faults.
func (g *group) peek() (sum Tally) {
	for i, l := range g.lanes {
		g.call(i, func() {
			sum.Opened += l.tally.Opened
			sum.Messages += l.tally.Messages
			sum.Down += l.tally.Down
			sum.Up += l.tally.Up
			sum.Failed += l.tally.Failed
		})
	}
	return sum
}

// take sums what all lanes did since the last take.
func (g *group) take() *Tally {
	sum := new(Tally)
	for i, l := range g.lanes {
		g.call(i, func() {
			part := l.tally.take()
			sum.merge(&part)
		})
	}
	return sum
}

// open returns how many sockets there are.
func (g *group) open() (n int) {
	for i, l := range g.lanes {
		g.call(i, func() { n += l.open })
	}
	return n
}
