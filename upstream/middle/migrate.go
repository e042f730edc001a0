package middle

import "epoxy/codec"

// Outcome says what became of a stream whose link ended.
type Outcome uint8

// The outcomes.
const (
	Moved  Outcome = iota // it is on another link
	Waited                // it was held, and then moved
	Busy                  // closed: an answer was outstanding, or the link was at fault
	Late                  // closed: it was held, and no link came
	Barred                // closed: streams never move
	outcomes
)

var outcomeNames = [outcomes]string{"moved", "waited", "busy", "late", "barred"}

// lost ends a link whose connection ended.
func (l *link) lost(why codec.Reason) {
	if l.stage == Handshake && (why == codec.ReasonUpstreamClosed || why == codec.ReasonUpstreamReset) {
		why = codec.ReasonLinkMute
	}
	l.die(why, why == codec.ReasonPanic)
}

// fail ends a link whose peer is at fault, or silent.
func (l *link) fail(why codec.Reason) {
	l.die(why, why != codec.ReasonLinkDead && why != codec.ReasonLinkTime)
	l.socket.Abort(why)
}

// die takes the link out of its pool and moves or closes its streams (spec upstream-protocols 4.4).
func (l *link) die(why codec.Reason, fault bool) {
	r, p, was := l.router, l.pool, l.stage
	now := r.loop.Now()
	l.enter(Dead)
	l.socket.SetTimer(0)
	l.out = nil
	p.remove(l, was)
	switch {
	case why == codec.ReasonShutdown:
	case was < Ready:
		least := int64(0)
		if l.report(was, why) {
			least = muteWait
		}
		p.failing++
		r.rest(l.host, least)
	default:
		r.Count.Ended[why]++
		switch life := now - l.readyAt; {
		case life >= goodLife:
			l.host.fails = 0
		case life < shortLife:
			r.rest(l.host, 0)
		}
	}
	for len(l.streams) > 0 {
		s := l.streams[len(l.streams)-1]
		switch {
		case why == codec.ReasonShutdown:
			s.end(why, true)
		case r.opts.Migrate == Never:
			r.settle(s, Barred)
		case r.opts.Migrate == Idle && s.busy(fault):
			r.settle(s, Busy)
		default:
			s.move()
		}
	}
	l.stalled = nil
	if !r.stopped && why != codec.ReasonShutdown {
		p.ensure()
	}
}

// busy reports whether a stream would miss something on another link: an answer, or at a fault of the link what it
// carried in the last second.
func (s *Stream) busy(fault bool) bool {
	r := s.router
	if s.flags&pending != 0 && r.since(s.up) < busyTime {
		return true
	}
	return fault && (s.flags&sent != 0 && r.since(s.up) < faultTime || s.flags&answered != 0 && r.since(s.down) < faultTime)
}

// move binds a stream to another link, or holds it until there is one.
func (s *Stream) move() {
	r := s.router
	s.rehome()
	if l := s.pool.pick(); l != nil {
		r.Count.Migrated[Moved]++
		s.bind(l)
		return
	}
	s.hold()
	s.flags |= migrant
}

// rehome gives a stream to the pool to which the address book sends its DC now, and lets it wait there when it waits.
func (s *Stream) rehome() {
	r, old := s.router, s.pool
	home := r.pool(r.resolve(old.dc, nil))
	if home == old {
		return
	}
	was := s.state == held
	if was {
		old.waiting.remove(s)
		home.waiting.add(s)
	}
	old.join(-1)
	s.pool = home
	home.join(1)
	if l := home.pick(); was && l != nil {
		s.bind(l)
	}
	home.ensure()
}

// settle closes a stream whose link ended: some at once, many within paceTime.
func (r *Router) settle(s *Stream, o Outcome) {
	r.Count.Migrated[o]++
	r.retire(s, codec.ReasonLinkLost)
}

// retire closes a stream, many of them within paceTime.
func (r *Router) retire(s *Stream, why codec.Reason) {
	s.detach()
	s.release()
	s.state, s.why = pacing, why
	if len(r.pacing) == 0 {
		r.paceEnd = r.loop.Now() + paceTime
	}
	r.pacing.add(s)
	r.wake(r.loop.Now() + 1)
}

// pace closes the next of those that are closed in good time.
func (r *Router) pace() {
	if len(r.pacing) == 0 {
		return
	}
	steps := max((r.paceEnd-r.loop.Now())>>stampBits, 1)
	n := max(len(r.pacing)/int(steps), min(paceLeast, len(r.pacing)))
	for range min(n, len(r.pacing)) {
		s := r.pacing[0]
		s.end(s.why, true)
	}
	if len(r.pacing) > 0 {
		r.wake(r.loop.Now() + 1<<stampBits)
	}
}
