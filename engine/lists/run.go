package lists

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"
)

// Why a download is not believed.
var (
	errEmpty     = errors.New("lists: the download is empty")
	errEverybody = errors.New("lists: the download blocks everybody")
)

// list is one list; its goroutine owns it.
type list struct {
	set   *Set
	place int
	spec  Spec
	url   string // or
	watch watch
	mark  mark          // of the list in use
	size  int           // entries in use
	wait  time.Duration // until the next look
	fails int           // in a row
	has   bool          // a list is in use
}

// Run keeps the lists fresh until ctx is done. It is called once.
func (s *Set) Run(ctx context.Context) {
	var all sync.WaitGroup
	for _, l := range s.lists {
		all.Go(func() { l.run(ctx) })
	}
	all.Wait()
}

func (l *list) run(ctx context.Context) {
	timer := time.NewTimer(l.wait)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		if l.url == "" {
			l.look()
		} else {
			l.download(ctx)
		}
		timer.Reset(l.wait)
	}
}

// first takes what is there before the network is: the file, or the cached download.
func (l *list) first(now time.Time) {
	if l.url == "" {
		l.look()
		return
	}
	body, m, saved, err := l.set.cache.load(l.spec.Name, l.url)
	if err == nil {
		err = l.apply(body, saved, true)
	}
	switch {
	case err == nil:
		l.mark = m
		l.wait = max(0, min(l.set.interval-now.Sub(saved), l.set.interval))
		l.set.log.Info("lists: starting from the cache", "list", l.spec.Name, "age", now.Sub(saved).Round(time.Second))
	case !errors.Is(err, fs.ErrNotExist):
		l.set.log.Warn("lists: the cache is ignored", "list", l.spec.Name, "err", err)
	}
}

// look reads the file if it changed.
func (l *list) look() {
	l.wait = watchEvery
	body, changed, err := l.watch.look()
	if err == nil && changed {
		err = l.apply(body, time.Now(), false)
	}
	if err != nil {
		l.fail(err)
		l.set.log.Warn("lists: not read, what is in use stays", "list", l.spec.Name, "err", err)
	}
}

// download gets the list if it changed.
func (l *list) download(ctx context.Context) {
	a, err := get(ctx, l.set.client, l.url, l.mark)
	if ctx.Err() != nil {
		return
	}
	l.wait = l.set.interval + time.Duration(float64(l.set.interval/jitterPart)*(2*l.set.jitter()-1))
	if err != nil {
		l.wait = min(retries[min(l.fails, len(retries)-1)], l.set.interval)
		l.fail(err)
		l.set.log.Warn("lists: not downloaded, what is in use stays", "list", l.spec.Name, "err", err, "again_in", l.wait)
		return
	}
	now := time.Now()
	if a.unchanged {
		l.confirm(now)
		l.set.cache.touch(l.spec.Name, now)
		return
	}
	if err := l.apply(a.body, now, false); err != nil {
		l.fail(err)
		l.set.log.Warn("lists: the download is not believed, what is in use stays", "list", l.spec.Name, "err", err, "again_in", l.wait)
		return
	}
	l.mark = a.mark
	if err := l.set.cache.save(l.spec.Name, l.url, a.body, a.mark); err != nil {
		l.set.log.Warn("lists: cannot be cached", "list", l.spec.Name, "err", err)
	}
}

// apply judges body and takes it into use.
func (l *list) apply(body string, good time.Time, cached bool) error {
	s := l.set
	s.building.Lock()
	defer s.building.Unlock()
	c, err := parse(body)
	if err == nil && l.url != "" {
		err = l.believe(c)
	}
	if err != nil {
		return err
	}
	if c.bad > 0 {
		s.log.Warn("lists: lines were skipped", "list", l.spec.Name, "lines", c.bad, "first", c.firstBad)
	}
	size := c.entries
	if !l.has || l.size != size {
		s.log.Info("lists: in use", "list", l.spec.Name, "entries", size, "before", l.size)
	}
	l.size, l.has, l.fails = size, true, 0
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tables[l.place] = c.table
	s.status[l.place] = Status{Spec: l.spec, Loaded: true, Entries: size, BadLines: c.bad, Cached: cached, Good: good}
	s.publish()
	return nil
}

// believe judges a download: what is empty, blocks everybody, or is less than a tenth of what it was is
// likely an accident, or an attack.
func (l *list) believe(c content) error {
	size := c.entries
	switch {
	case size == 0:
		return errEmpty
	case !l.spec.Mode.allows() && c.table.everybody():
		return errEverybody
	case l.has && size*shrinkTo < l.size:
		return fmt.Errorf("lists: it shrank from %d entries to %d; if that is right, delete list-%s in the state directory and start again",
			l.size, size, l.spec.Name)
	}
	return nil
}

// confirm notes that what is in use is the newest.
func (l *list) confirm(now time.Time) {
	l.fails = 0
	l.set.mu.Lock()
	defer l.set.mu.Unlock()
	st := &l.set.status[l.place]
	st.Good, st.Cached, st.Failures, st.Err = now, false, 0, ""
}

func (l *list) fail(err error) {
	l.fails++
	l.set.mu.Lock()
	defer l.set.mu.Unlock()
	st := &l.set.status[l.place]
	st.Failures, st.Err = l.fails, err.Error()
}
