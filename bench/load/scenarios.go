package load

import (
	"context"
	"fmt"
	"time"

	"epoxy/upstream/faketg"
)

// handshake: Total connections, Clients of them at the same time.
func (r *run) handshake(ctx context.Context) error {
	g, err := r.group(r.cfg.Total)
	if err != nil {
		return err
	}
	cycle := func() error {
		return g.run(ctx, task{job: jobCycle, count: r.cfg.Total, atOnce: r.cfg.Clients})
	}
	return first(
		func() error { return r.memory("before", g) },
		func() error { return r.step("handshake", cycle, g) },
		func() error { return r.memory("after", g) },
	)
}

// idle: Clients open, are silent for Settle, and all speak again. They open in quarters, so that the memory per
// client is a slope and not a difference. The end of the silence is a step of its own: by then a proxy has given back what idle clients
// do not need, and the CPU time that is left is what their mere presence costs.
func (r *run) idle(ctx context.Context) error {
	g, err := r.group(r.cfg.Clients)
	if err != nil {
		return err
	}
	open := func() error {
		for i := range 4 {
			if err := r.open(ctx, g, share(r.cfg.Clients, i, 4)); err != nil {
				return err
			}
			if err := r.memory(fmt.Sprintf("open %d/4", i+1), g); err != nil {
				return err
			}
		}
		return nil
	}
	ping := func() error {
		return g.run(ctx, task{job: jobEcho, once: true, size: pingSize, atOnce: dialsAtOnce * len(g.lanes)})
	}
	quiet := min(quietTime, r.cfg.Settle/3)
	return first(
		func() error { return r.memory("before", g) },
		func() error { return r.step("open", open, g) },
		func() error { return r.step("settle", func() error { return sleep(ctx, r.cfg.Settle-quiet) }, g) },
		func() error { return r.step("idle", func() error { return sleep(ctx, quiet) }, g) },
		func() error { return r.memory("settled", g) },
		func() error { return r.step("ping", ping, g) },
		func() error { return r.memory("pinged", g) },
		func() error { return r.close(g) },
		func() error { return r.memory("closed", g) },
	)
}

// small: Clients send packets of Size bytes one after another, beside Idle silent clients.
func (r *run) small(ctx context.Context) error {
	active, quiet, err := r.groups(r.cfg.Idle)
	if err != nil {
		return err
	}
	talk := task{
		job: jobEcho, size: r.cfg.Size - faketg.HeadSize, messages: r.cfg.Messages, until: r.cfg.Duration,
		think: r.cfg.Think.Milliseconds(),
	}
	return first(
		func() error { return r.openBoth(ctx, active, quiet, r.cfg.Idle) },
		func() error { return r.step("small", func() error { return active.run(ctx, talk) }, active) },
		func() error { return r.memory("after", active, quiet) },
		func() error { return r.close(active, quiet) },
	)
}

// bulk: Clients download Down bytes each, then upload Up bytes each.
func (r *run) bulk(ctx context.Context) error {
	g, err := r.group(r.cfg.Clients)
	if err != nil {
		return err
	}
	transfer := func(name string, down, up uint64) func() error {
		act := func() error {
			return g.run(ctx, task{job: jobTransfer, down: down, up: up, packet: r.cfg.Packet, window: r.cfg.Window})
		}
		return func() error {
			if down+up == 0 {
				return nil
			}
			return r.step(name, act, g)
		}
	}
	return first(
		func() error { return r.step("open", func() error { return r.open(ctx, g, r.cfg.Clients) }, g) },
		func() error { return r.memory("open", g) },
		transfer("down", r.cfg.Down, 0),
		transfer("up", 0, r.cfg.Up),
		func() error { return r.memory("after", g) },
		func() error { return r.close(g) },
	)
}

// stall: a few clients send small packets all the time; then Clients others ask for Down bytes each and do not
// read; then they read on to the end.
func (r *run) stall(ctx context.Context) error {
	readers, pinging, err := r.groups(pingers)
	if err != nil {
		return err
	}
	ping := task{job: jobEcho, size: pingSize, until: r.cfg.Duration, think: max(r.cfg.Think.Milliseconds(), 1)}
	hold := task{job: jobHold, down: r.cfg.Down, packet: r.cfg.Packet}
	talk := func() error { return pinging.run(ctx, ping) }
	fill := func() error {
		short := ping
		short.until = min(fillTime, ping.until)
		wait := pinging.begin(short)
		return first(func() error { return readers.run(ctx, hold) }, func() error { return wait(ctx) })
	}
	readOn := func() error {
		endless := ping
		endless.until = 24 * time.Hour
		wait := pinging.begin(endless)
		err := readers.run(ctx, task{job: jobRelease})
		pinging.end()
		return first(func() error { return err }, func() error { return wait(ctx) })
	}
	return first(
		func() error { return r.openBoth(ctx, readers, pinging, pingers) },
		func() error { return r.step("alone", talk, pinging) },
		func() error { return r.step("filling", fill, readers, pinging) },
		func() error { return r.step("stalled", talk, pinging) },
		func() error { return r.memory("stalled", readers, pinging) },
		func() error { return r.step("read on", readOn, readers, pinging) },
		func() error { return r.memory("after", readers, pinging) },
		func() error { return r.close(readers, pinging) },
	)
}

// groups makes a group for the Clients and a second one for others.
func (r *run) groups(others int) (clients, second *group, err error) {
	all := r.cfg.Clients + others
	if clients, err = r.group(all); err != nil {
		return nil, nil, err
	}
	second, err = r.group(all)
	return clients, second, err
}

func (r *run) openBoth(ctx context.Context, clients, second *group, others int) error {
	open := func() error {
		return first(
			func() error { return r.open(ctx, second, others) },
			func() error { return r.open(ctx, clients, r.cfg.Clients) },
		)
	}
	return first(
		func() error { return r.memory("before", clients, second) },
		func() error { return r.step("open", open, clients, second) },
		func() error { return r.memory("open", clients, second) },
	)
}

// close ends all clients in an orderly way.
func (r *run) close(groups ...*group) error {
	return r.step("close", func() error {
		for _, g := range groups {
			if err := g.run(context.Background(), task{job: jobClose}); err != nil {
				return err
			}
		}
		return nil
	}, groups...)
}
