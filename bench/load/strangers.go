package load

import (
	"context"

	"epoxy/upstream/faketg"
)

// strangers: Clients send packets of Size bytes, alone, then beside a crowd of strangers, then alone again, Duration each.
func (r *run) strangers(ctx context.Context) error {
	g, err := r.group(r.cfg.Clients)
	if err != nil {
		return err
	}
	cs, err := r.crowds()
	if err != nil {
		return err
	}
	talk := func() error {
		return g.run(ctx, task{job: jobEcho, size: r.cfg.Size - faketg.HeadSize, until: r.cfg.Duration, think: r.cfg.Think.Milliseconds()})
	}
	step := func(name string) func() error { return func() error { return r.step(name, talk, g) } }
	pause := min(fillTime, r.cfg.Duration)
	beside := func() error {
		cs.take()
		stop := cs.begin(ctx, r.cfg.Probes)
		failure := step("beside")()
		r.report.Crowd = newCrowd(cs.take(), r.cfg.Duration.Seconds())
		failure = first(func() error { return failure }, func() error { return r.memory("beside", g) })
		stop()
		cs.leave()
		return failure
	}
	gather := func() error { // until the slow ones are there
		stop := cs.begin(ctx, 0)
		defer stop()
		return sleep(ctx, pause)
	}
	err = first(
		func() error { return r.step("open", func() error { return r.open(ctx, g, r.cfg.Clients) }, g) },
		step("alone"),
		func() error { return r.memory("alone", g) },
		gather,
		beside,
		func() error { return sleep(ctx, pause) },
		step("alone again"),
		func() error { return r.memory("after", g) },
		func() error { return r.close(g) },
	)
	r.report.compare()
	return err
}

func newCrowd(t *CrowdTally, seconds float64) *Crowd {
	l := latency(&t.Answer)
	return &Crowd{
		Answered: t.Answered, Closed: t.Closed, Silent: t.Silent, Refused: t.Refused, Ended: t.Ended,
		PerSecond: float64(t.Answered) / seconds, AnswerP50: l.P50, AnswerP99: l.P99,
	}
}

// compare sets what the strangers did to the clients and to the proxy.
func (r *Report) compare() {
	c := r.Crowd
	if c == nil {
		return
	}
	steps := map[string]Step{}
	for _, s := range r.Steps {
		steps[s.Name] = s
	}
	before, beside, after := steps["alone"], steps["beside"], steps["alone again"]
	c.AloneP50, c.AloneP99 = (before.Echo.P50+after.Echo.P50)/2, (before.Echo.P99+after.Echo.P99)/2
	c.BesideP50, c.BesideP99 = beside.Echo.P50, beside.Echo.P99
	if c.AloneP99 > 0 {
		c.Change = (c.BesideP99/c.AloneP99 - 1) * 100
	}
	held := map[string]int64{}
	for _, m := range r.Memory {
		held[m.When] = m.RSS
	}
	c.RSS, c.RSSGrowth = held["beside"], held["beside"]-held["alone"]
	if before.CPU == nil || beside.CPU == nil {
		return
	}
	c.CPUAlone = (before.CPU.User + before.CPU.System) / before.Seconds
	c.CPU = (beside.CPU.User + beside.CPU.System) / beside.Seconds
	if n := c.Answered + c.Closed + c.Silent; n > 0 {
		c.PerProbe = (c.CPU - c.CPUAlone) * beside.Seconds / float64(n) * 1e6
	}
}
