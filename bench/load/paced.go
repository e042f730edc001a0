package load

import (
	"context"
	"math"
	"time"

	"epoxy/engine/reactor"
	"epoxy/upstream/faketg"
)

// paced: Rate round trips a second, evenly in time, each by the next of Clients who has its answer. What a proxy spends on
// one is then what it costs to be woken for it.
func (r *run) paced(ctx context.Context) error {
	g, err := r.group(r.cfg.Clients)
	if err != nil {
		return err
	}
	talk := func() error {
		wait := g.begin(task{job: jobPaced, size: r.cfg.Size - faketg.HeadSize, until: r.cfg.Duration})
		stop := g.pace(r.cfg.Rate)
		defer stop()
		return wait(ctx)
	}
	return first(
		func() error { return r.step("open", func() error { return r.open(ctx, g, r.cfg.Clients) }, g) },
		func() error { return r.step("paced", talk, g) },
		func() error { return r.memory("after", g) },
		func() error { return r.close(g) },
	)
}

// pace says so many times a second that a client may speak, until stop is called.
func (g *group) pace(rate int) (stop func()) {
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		step := time.Second / time.Duration(rate)
		start, sent := time.Now(), 0
		for {
			select {
			case <-quit:
				return
			default:
				reactor.Sleep(step)
			}
			due := int(float64(rate)*time.Since(start).Seconds()) - sent
			sent += due
			due = min(due, int(math.Ceil(float64(rate)*mostLate.Seconds()))) // a late beat makes no burst
			for i, l := range g.lanes {
				if n := share(due, (i+sent)%len(g.lanes), len(g.lanes)); n > 0 {
					g.post(i, func() { l.tick(n) })
				}
			}
		}
	}()
	return func() { close(quit); <-done }
}

// tick lets n parked clients speak, or ends all of them when the task's time is over.
func (l *lane) tick(n int) {
	if l.task.job != jobPaced {
		return
	}
	over := l.clock() >= l.task.until
	for len(l.parked) > 0 && (n > 0 || over) {
		c := l.parked[0]
		l.parked = l.parked[1:]
		switch {
		case !c.busy: // it failed
		case over, !c.echo(l.task.size):
			c.finish()
		default:
			n--
		}
	}
}
