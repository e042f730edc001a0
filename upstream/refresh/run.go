package refresh

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"epoxy/upstream/dcmap"
)

// Run refreshes until ctx is done, and returns when every fetch has ended. It is called once.
func (r *Refresher) Run(ctx context.Context) {
	results := make(chan fetched)
	if s := r.Current(); s != nil {
		r.tell(s)
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			for r.busy() {
				f := <-results
				f.res.busy = false
			}
			return
		case f := <-results:
			f.res.busy = false
			if ctx.Err() == nil {
				r.finish(f.res, f, time.Now())
				r.publish(time.Now())
			}
		case <-r.force:
			r.forced(time.Now())
		case <-timer.C:
		}
		timer.Reset(r.start(ctx, results))
	}
}

// start fetches what is due, each in a goroutine of its own, and returns the time until the next.
func (r *Refresher) start(ctx context.Context, results chan<- fetched) time.Duration {
	now := time.Now()
	wait := interval
	for _, res := range r.resources {
		switch {
		case res == nil || res.busy:
		case now.Before(res.due):
			wait = min(wait, res.due.Sub(now))
		default:
			res.busy = true
			force := !res.retry.IsZero() && !now.Before(res.retry)
			go func() { results <- res.fetch(ctx, r.clients[res.kind], force) }()
		}
	}
	return wait
}

func (r *Refresher) busy() bool {
	return slices.ContainsFunc(r.resources[:], func(res *resource) bool { return res != nil && res.busy })
}

// forced has the secret fetched at once, if that was not done within the last minute.
func (r *Refresher) forced(now time.Time) {
	if !r.forcedAt.IsZero() && now.Sub(r.forcedAt) < forceGap {
		return
	}
	r.forcedAt = now
	r.draft.Forced++
	res := r.resources[Secret]
	res.due, res.retry = now, now
	r.log.Info("telegram: a middle proxy has another secret, refreshing ours")
}

// finish judges what a fetch brought and sets the time of the next.
func (r *Refresher) finish(res *resource, f fetched, now time.Time) {
	s := &r.draft.Resources[res.kind]
	if f.skewOK && res.kind.cached() { // a lookup service's clock proves nothing
		r.noteSkew(f.skew, now)
	}
	if f.unchanged {
		if s.InRow == 0 {
			s.Good = now
		}
		r.next(res, now, watchEvery)
		return
	}
	changed, err := false, f.err
	if err == nil {
		changed, err = r.apply(res.kind, f.body, now)
	}
	if err != nil {
		r.fail(res, err, now)
		return
	}
	if s.InRow > 0 || changed {
		r.log.Info("telegram: refreshed", "resource", res.kind.String(), "changed", changed)
	}
	s.Good, s.FromCache, s.InRow, s.Err = now, false, 0, ""
	s.Successes++
	res.retry = time.Time{}
	if res.file() {
		r.next(res, now, watchEvery)
		return
	}
	if res.kind.cached() {
		if err := r.cache.save(res.kind, res.sources[0].url, f.body); err != nil {
			r.log.Warn("telegram: cannot be cached", "resource", res.kind.String(), "err", err)
		}
	}
	spread := time.Duration(float64(interval/jitterPart) * (2*r.jitter() - 1))
	r.next(res, now, interval+spread)
}

// fail counts a failure and sets the time of the next try; what is in use stays.
func (r *Refresher) fail(res *resource, err error, now time.Time) {
	s := &r.draft.Resources[res.kind]
	wait := retries[min(s.InRow, len(retries)-1)]
	s.Failures++
	s.InRow++
	s.Err = err.Error()
	r.log.Warn("telegram: not refreshed", "resource", res.kind.String(), "err", err, "again_in", wait)
	if res.file() {
		res.retry = now.Add(wait)
		wait = min(wait, watchEvery)
	}
	r.next(res, now, wait)
}

func (r *Refresher) next(res *resource, now time.Time, wait time.Duration) {
	res.due = now.Add(wait)
	r.draft.Resources[res.kind].Next = res.due
}

// noteSkew keeps the clock's error and speaks up when its level changes (spec upstream-protocols 2.3).
func (r *Refresher) noteSkew(skew time.Duration, now time.Time) {
	r.draft.Skew, r.draft.SkewAt = skew, now
	level := slog.LevelInfo
	switch size := skew.Abs(); {
	case size > skewError:
		level = slog.LevelError
	case size > skewWarn:
		level = slog.LevelWarn
	}
	if level == r.skewLevel {
		return
	}
	r.skewLevel = level
	attr := slog.Duration("ahead", skew.Round(time.Second))
	switch level {
	case slog.LevelError:
		r.log.Error("telegram: our clock is wrong by more than 30 s, middle proxies will refuse us; set it", attr)
	case slog.LevelWarn:
		r.log.Warn("telegram: our clock is wrong by more than 5 s; set it", attr)
	default:
		r.log.Info("telegram: our clock is right again", attr)
	}
}

// publish makes the status public, and a new snapshot when something in it changed.
func (r *Refresher) publish(now time.Time) {
	was := r.Current()
	next := r.snapshot(was, now)
	if next != nil {
		r.current.Store(next)
		r.draft.Generation = next.Generation
	}
	status := r.draft
	r.status.Store(&status)
	if next != nil {
		added, removed := was.Changes(next)
		r.log.Info("telegram: new address book", "generation", next.Generation, "dcs_v4", next.V4.Len(), "dcs_v6", next.V6.Len(),
			"added", len(added), "removed", len(removed))
		r.tell(next)
	}
}

// snapshot returns the successor of was, or nil when there is nothing new or not enough: a secret and a
// list.
func (r *Refresher) snapshot(was *dcmap.Snapshot, now time.Time) *dcmap.Snapshot {
	v4, v6 := r.lists[dcmap.V4], r.lists[dcmap.V6]
	if r.secret == nil || v4 == nil && v6 == nil {
		return nil
	}
	next := &dcmap.Snapshot{Generation: 1, Secret: r.secret, Selector: r.secret.Selector(), V4: v4, V6: v6}
	for f := range next.Own {
		next.Own[f] = dcmap.Own{Given: r.given[f].Unmap(), Found: r.found[f]}
	}
	if r.old != nil && now.Before(r.oldUntil) {
		next.Old, next.OldSelector, next.OldUntil = r.old, r.old.Selector(), r.oldUntil.Unix()
	} else {
		r.old = nil
	}
	if was == nil {
		return next
	}
	if was.V4 == v4 && was.V6 == v6 && was.Own == next.Own && was.OldUntil == next.OldUntil && was.Secret.Equal(next.Secret) {
		return nil
	}
	next.Generation = was.Generation + 1
	return next
}

// tell calls the subscribers.
func (r *Refresher) tell(s *dcmap.Snapshot) {
	r.mu.Lock()
	subscribers := slices.Clone(r.subscribers)
	r.mu.Unlock()
	for _, fn := range subscribers {
		fn(s)
	}
}
