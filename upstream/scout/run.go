package scout

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// Run watches until ctx is done, and returns when every question has ended. It is called once.
func (s *Scout) Run(ctx context.Context) {
	reports := make(chan func(now time.Time)) // what a question found, to be taken in by this goroutine
	s.tell(s.Current())
	timer := time.NewTimer(s.start(ctx, reports))
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			for ; s.running > 0; s.running-- {
				<-reports
			}
			return
		case take := <-reports:
			s.running--
			if ctx.Err() == nil {
				take(time.Now())
				s.publish()
			}
		case <-timer.C:
		}
		timer.Reset(s.start(ctx, reports))
	}
}

// start asks what is due, each question in a goroutine of its own, and returns the time until the next.
func (s *Scout) start(ctx context.Context, reports chan<- func(time.Time)) time.Duration {
	now := time.Now()
	wait := measureEvery
	due := func(at time.Time, busy bool) bool {
		if !busy && now.Before(at) {
			wait = min(wait, at.Sub(now))
		}
		return !busy && !now.Before(at)
	}
	for _, t := range s.sites {
		if t.host != "" && due(t.resolveDue, t.resolving) {
			t.resolving = true
			s.running++
			go func() {
				r := s.resolve(ctx, t)
				local := listeners(s.own(), s.public)
				reports <- func(now time.Time) {
					t.resolving = false
					s.settle(r, local, now)
				}
			}()
		}
		if s.measureWait > 0 && (t.path != "" || len(t.addrs) > 0) && due(t.measureDue, t.measuring) {
			t.measuring = true
			s.running++
			p := s.newProbe(t)
			go func() {
				f, err := p.measure(ctx)
				reports <- func(now time.Time) {
					t.measuring = false
					s.learn(t, f, err, now)
				}
			}()
		}
	}
	return wait
}

// learn takes a measurement. A failed one changes nothing but its own warning and the time of the next.
func (s *Scout) learn(t *site, f finding, err error, now time.Time) {
	if err != nil {
		wait := min(measureRetries[min(t.measureFails, len(measureRetries)-1)], s.measureWait)
		t.measureFails++
		if t.measureErr != err.Error() {
			s.log.Warn("front: not measured", t.attr(), "err", err, "again_in", wait)
		}
		t.measureErr, t.measureDue = err.Error(), now.Add(wait)
		return
	}
	f.Measured = now
	for _, w := range f.Warnings {
		if t.found.cached || !slices.Contains(t.found.Warnings, w) {
			s.log.Warn("front: "+w, t.attr())
		}
	}
	if was := t.found.Profile; f.Profile != nil && (was == nil || *was != *f.Profile) {
		p := f.Profile
		s.log.Info("front: measured", t.attr(), "suite", fmt.Sprintf("%04x", p.Suite), "group", fmt.Sprintf("%04x", uint16(p.Group)), "first_flight", f.FirstFlight,
			"records", f.Records, "delay", f.DelayHigh, "ramp", p.Ramp, "alpn", f.ALPN)
	}
	t.found, t.measureErr, t.measureFails = f, "", 0
	t.measureDue = now.Add(s.spread(s.measureWait))
	if err := s.cache.save(t); err != nil {
		s.log.Warn("front: cannot be cached", t.attr(), "err", err)
	}
}
