package middle

import (
	"net/netip"
	"slices"

	"epoxy/codec"
)

// pool holds the links to one DC id and the streams that wait for one. It grows with its streams, by ensure, and
// shrinks by itself: links end every minute or so, and those that nobody uses are closed.
type pool struct {
	router  *Router
	dc      codec.DC
	addrs   []netip.AddrPort // from the address book; none when it lost the DC
	links   []*link          // all but dead ones
	ready   []*link          // that take streams
	waiting list
	dialing int   // links that are not ready yet
	streams int   // all of this pool
	failing int   // failed links since the last one became ready
	bulkAt  int64 // loop time when much went up last
	warm    bool  // keeps a link without streams
	count   *DCCount
}

// pool returns the pool of a DC id, new if need be.
func (r *Router) pool(dc codec.DC) *pool {
	if p := r.pools[dc]; p != nil {
		return p
	}
	p := &pool{router: r, dc: dc, addrs: r.addrs(dc), warm: slices.Contains(r.opts.Warm, dc), count: r.Count.ByDC[dc]}
	if p.count == nil { // else an earlier pool's
		p.count = new(DCCount)
		r.Count.ByDC[dc] = p.count
	}
	r.pools[dc] = p
	r.order = append(r.order, p)
	r.wake(r.loop.Now() + upkeepTime)
	return p
}

// join counts streams that come or go.
func (p *pool) join(n int) {
	p.streams += n
	p.count.Streams += int64(n)
	p.router.Count.Streams += int64(n)
}

// want returns how many links the pool should have: one for each share of streams and one to spare.
func (p *pool) want() int {
	if p.streams == 0 {
		if p.warm {
			return 1
		}
		return 0
	}
	n := (p.streams+linkShare-1)/linkShare + 1
	if m := len(p.ready); m >= n {
		busy := 0
		for _, l := range p.ready {
			if l.backlog() > linkGrow {
				busy++
			}
		}
		if busy == m {
			n = m + 1
		}
	}
	if p.bulkAt > 0 && p.router.loop.Now()-p.bulkAt < spareTime {
		n = max(n, bulkLinks)
	}
	n = min(n, maxLinks)
	if p.streams > maxLinks*linkFill { // as many as that take full ones
		n = min((p.streams+linkFill-1)/linkFill+1, mostLinks)
	}
	return n
}

// ensure dials what is missing.
func (p *pool) ensure() {
	for len(p.ready)+p.dialing < p.want() && p.dialing < maxDialling {
		if !p.dial() {
			return
		}
	}
}

// pick returns the better of two random ready links, nil when there is none with room.
func (p *pool) pick() *link {
	n := len(p.ready)
	if n == 0 {
		return nil
	}
	if w := p.want(); n > w && w > 0 {
		n = w // those beyond empty themselves
	}
	rnd := &p.router.random
	i := rnd.below(n)
	best := p.ready[i]
	if n > 1 {
		j := rnd.below(n - 1)
		if j >= i {
			j++
		}
		best = better(best, p.ready[j])
	}
	if len(best.streams) < maxStreams {
		return best
	}
	for _, l := range p.ready {
		best = better(best, l)
	}
	if len(best.streams) < maxStreams {
		return best
	}
	return nil
}

// better returns the link with less to send, or else with fewer streams.
func better(a, b *link) *link {
	switch x, y := a.backlog(), b.backlog(); {
	case len(a.streams) >= maxStreams:
		return b
	case len(b.streams) >= maxStreams:
		return a
	case x-y > linkLevel:
		return b
	case y-x > linkLevel:
		return a
	case len(b.streams) < len(a.streams):
		return b
	}
	return a
}

// welcome takes a link that became ready, and binds those that wait.
func (p *pool) welcome(l *link) {
	r := p.router
	p.dialing--
	p.failing = 0
	r.Count.Ready++
	p.ready = append(p.ready, l)
	if r.heldBack {
		l.socket.Pause()
	}
	if !slices.Contains(p.addrs, l.host.addr) { // removed meanwhile
		p.drain(l)
	}
	for len(p.waiting) > 0 {
		s := p.waiting[len(p.waiting)-1]
		to := p.pick()
		if to == nil {
			break
		}
		if s.flags&migrant != 0 {
			r.Count.Migrated[Waited]++
		}
		s.bind(to)
	}
	p.ensure()
}

// remove takes out a link that died.
func (p *pool) remove(l *link, was Stage) {
	if was < Ready {
		p.dialing--
	}
	p.links = slices.DeleteFunc(p.links, func(o *link) bool { return o == l })
	p.ready = slices.DeleteFunc(p.ready, func(o *link) bool { return o == l })
}

// drain lets a ready link serve its streams until they have moved.
func (p *pool) drain(l *link) {
	r := p.router
	l.enter(Draining)
	l.drainEnd = r.loop.Now() + drainTime
	p.ready = slices.DeleteFunc(p.ready, func(o *link) bool { return o == l })
	r.wake(r.loop.Now() + drainEvery)
}

// forgotten reports whether nothing of the pool is left but its counts.
func (p *pool) forgotten() bool {
	return p.streams == 0 && len(p.links) == 0 && len(p.addrs) == 0
}

// upkeep does what time brings: streams that waited too long, links that drain or are idle, dials that may be tried
// again. It asks for its next time.
func (p *pool) upkeep() {
	r := p.router
	now := r.loop.Now()
	for i := 0; i < len(p.waiting); {
		s := p.waiting[i]
		if left := holdTime - r.since(s.down); left > 0 {
			r.wake(now + left)
			i++
			continue
		}
		if s.flags&migrant != 0 {
			r.Count.Migrated[Late]++
		}
		r.Count.HeldLate++
		r.retire(s, codec.ReasonNoLink)
	}
	next := upkeepTime
	for i := len(p.links) - 1; i >= 0; i-- {
		l := p.links[i]
		switch {
		case l.stage == Draining:
			next = drainEvery
			l.step(now)
		case l.stage == Ready && len(l.streams) == 0 && len(p.ready) > p.want() && now-l.emptyAt >= spareTime:
			l.close(codec.ReasonLinkSpare)
		}
	}
	if len(p.links) > 0 || p.streams > 0 {
		r.wake(now + int64(next))
	}
	p.ensure()
}

// step moves some idle streams off a draining link, all when its time is over, and closes it when it is empty.
func (l *link) step(now int64) {
	r := l.router
	over := now >= l.drainEnd
	budget := drainPace
	for i := len(l.streams) - 1; i >= 0 && budget > 0 && r.opts.Migrate != Never && !over; i-- {
		s := l.streams[i]
		if r.opts.Migrate == Idle && s.busy(false) {
			continue
		}
		if home := r.pools[r.resolve(l.pool.dc, nil)]; home == nil || len(home.ready) == 0 {
			r.pool(r.resolve(l.pool.dc, nil)).prepare()
			break // it is better off here
		}
		s.move()
		budget--
	}
	if over || len(l.streams) == 0 {
		l.close(codec.ReasonLinkSpare)
	}
}

// prepare dials for streams that are about to come.
func (p *pool) prepare() {
	if len(p.ready)+p.dialing == 0 {
		p.dial()
	}
}

// close ends a link that is not needed.
func (l *link) close(why codec.Reason) {
	l.flush()
	l.die(why, false)
	l.socket.Close(why)
}
