package load

import (
	"context"
	"fmt"

	"epoxy/upstream/faketg"
)

// activeShare is the part of Density's clients that speak at the end: one of a hundred.
const activeShare = 100

// density: Clients open in Steps parts, each followed by a silence of Settle after which memory is noted as "held"; then every client
// speaks, and one of a hundred goes on for Duration beside the others.
func (r *run) density(ctx context.Context) error {
	active, quiet, err := r.groups(0)
	if err != nil {
		return err
	}
	talkers := max(1, r.cfg.Clients/activeShare)
	grow := func() error {
		for i := range r.cfg.Steps {
			fresh := share(r.cfg.Clients, i, r.cfg.Steps)
			open := func() error { return r.open(ctx, quiet, fresh) }
			if i == 0 {
				open = func() error {
					return first(
						func() error { return r.open(ctx, active, min(talkers, fresh)) },
						func() error { return r.open(ctx, quiet, fresh-min(talkers, fresh)) },
					)
				}
			}
			name := fmt.Sprintf(" %d/%d", i+1, r.cfg.Steps)
			err := first(
				func() error { return r.step("open"+name, open, active, quiet) },
				func() error {
					return r.step("hold"+name, func() error { return sleep(ctx, r.cfg.Settle) }, active, quiet)
				},
				func() error { return r.memory("held"+name, active, quiet) },
			)
			if err != nil {
				return err
			}
		}
		return nil
	}
	ping := task{job: jobEcho, once: true, size: pingSize, atOnce: dialsAtOnce * len(quiet.lanes)}
	talk := task{job: jobEcho, size: r.cfg.Size - faketg.HeadSize, until: r.cfg.Duration, think: r.cfg.Think.Milliseconds()}
	all := func() error {
		return first(func() error { return active.run(ctx, ping) }, func() error { return quiet.run(ctx, ping) })
	}
	return first(
		func() error { return r.memory("before", active, quiet) },
		grow,
		func() error { return r.step("ping", all, active, quiet) },
		func() error { return r.memory("pinged", active, quiet) },
		func() error { return r.step("active", func() error { return active.run(ctx, talk) }, active) },
		func() error { return r.memory("active", active, quiet) },
		func() error { return r.close(active, quiet) },
	)
}

// reconnect: Clients open at leisure, all are cut off, and all come back in the same moment.
func (r *run) reconnect(ctx context.Context) error {
	g, err := r.group(2 * r.cfg.Clients)
	if err != nil {
		return err
	}
	all := task{job: jobOpen, count: r.cfg.Clients, atOnce: r.cfg.Clients}
	return first(
		func() error { return r.step("open", func() error { return r.open(ctx, g, r.cfg.Clients) }, g) },
		func() error { return r.step("cut", func() error { return g.run(ctx, task{job: jobClose}) }, g) },
		func() error { return r.step("reconnect", func() error { return g.run(ctx, all) }, g) },
		func() error { return r.memory("reconnected", g) },
		func() error { return r.close(g) },
	)
}
