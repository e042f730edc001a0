package middle

import (
	"epoxy/codec"
	"epoxy/codec/buf"
	"epoxy/codec/rpc"
	"epoxy/upstream"
)

// Stream is one client on a link: 112 bytes, and no buffer while nothing is torn or waits.
//
//	held  <-> bound -> closing -> leaving -> ended
//	  '-> pacing | leaving
//
// Close ends it from any state.
type Stream struct {
	router    *Router
	sink      upstream.Sink // nil once ended
	pool      *pool
	link      *link // nil unless bound
	prefix    *rpc.Prefix
	part      *buf.Buffer // a torn packet; all bytes while held
	queue     *queue      // what a paused sink did not take yet
	id        uint64
	client    rpc.Address
	at        uint32 // place in the list that the state names
	up, down  uint32 // stamps of the last packets; down is when it began while held
	parcel    uint32 // place in the batch, from 1
	flags     flags
	state     state
	transport codec.Transport
	why       codec.Reason // what it ends with, once it is to end
}

var _ upstream.Stream = (*Stream)(nil)

// state says where a stream stands, and which list it is in.
type state uint8

const (
	fresh   state = iota // none
	bound                // link.streams
	held                 // pool.waiting, for a link
	closing              // none: its queue is to go out first
	pacing               // router.pacing
	leaving              // router.leaving
	ended                // none
)

// flags are what else there is to know of a stream.
type flags uint8

const (
	sent     flags = 1 << iota // a request went over this link, which hears of the end
	pending                    // a request went, and nothing came since
	paused                     // by the sink
	waiting                    // the sink was told to wait, SendDrained is due
	answered                   // an answer came
	migrant                    // held because its link died
	wrong                      // two bits: packets that no app sends

	wrongMask = 3 * wrong
)

// Send carries the client's bytes up, as far as they are whole packets.
func (s *Stream) Send(p []byte) {
	switch s.state {
	case bound:
		s.forward(p)
		if l := s.link; l != nil && s.flags&waiting == 0 && l.backlog() > linkHigh {
			s.flags |= waiting
			s.router.Count.Stalled++
			l.stalled = append(l.stalled, s)
		}
	case held:
		s.flags |= waiting
		s.keep(p, 0)
	case fresh, closing, pacing, leaving, ended:
	}
}

// Queued says whether the link takes more: 0, or what waits there, or a great number while there is no link. Bytes of
// a torn packet do not count, because only more of them help.
func (s *Stream) Queued() int {
	switch {
	case s.state == held:
		return fullQueue
	case s.state == bound && s.flags&waiting != 0:
		return s.link.backlog()
	}
	return 0
}

// Pause stops Deliver; what comes is queued.
func (s *Stream) Pause() { s.flags |= paused }

// Resume undoes Pause.
func (s *Stream) Resume() {
	if s.flags&paused == 0 {
		return
	}
	s.flags &^= paused
	if s.queue != nil {
		s.router.resumed = append(s.router.resumed, s)
		s.router.later()
	}
}

// CloseSend ends the stream after what is queued for the client: middle proxies know no half-open stream.
func (s *Stream) CloseSend() {
	if s.state == bound || s.state == held {
		s.finish(codec.ReasonClientClosed)
	}
}

// Compact has nothing to drop.
func (s *Stream) Compact() {}

// Close ends the stream; the middle proxy hears of it when it knew of the stream.
func (s *Stream) Close(why codec.Reason) { s.end(why, false) }

// bind puts a stream on a ready link. It calls the sink when that waits.
func (s *Stream) bind(l *link) {
	s.detach()
	s.id = s.router.table.renew(s.id)
	s.link, s.state = l, bound
	s.flags &^= sent | pending | migrant
	l.streams.add(s)
	if b := s.part; b != nil {
		s.part = nil
		s.forward(b.B)
		s.router.put(b)
	}
	if s.flags&waiting != 0 && s.state == bound {
		s.flags &^= waiting
		s.sink.SendDrained()
	}
}

// hold lets a stream wait for a link.
func (s *Stream) hold() {
	s.detach()
	s.state = held
	s.down = s.router.stamp()
	s.pool.waiting.add(s)
	s.router.wake(s.router.loop.Now() + holdTime)
}

// finish ends a stream when its sink took what is queued.
func (s *Stream) finish(why codec.Reason) {
	if s.queue == nil {
		s.leave(why)
		return
	}
	s.detach()
	s.state, s.why = closing, why
}

// leave ends a stream with the next turn of the loop: the caller may be its own session.
func (s *Stream) leave(why codec.Reason) {
	if s.state == leaving || s.state == ended {
		return
	}
	s.detach()
	s.release()
	s.state, s.why = leaving, why
	s.router.leaving.add(s)
	s.router.later()
}

// detach takes a stream off its link or list.
func (s *Stream) detach() {
	switch s.state {
	case bound:
		l := s.link
		s.link = nil
		l.streams.remove(s)
		if s.flags&sent != 0 {
			l.closeConn(s.id)
		}
		if len(l.streams) == 0 {
			l.emptyAt = s.router.loop.Now()
		}
	case held:
		s.pool.waiting.remove(s)
	case pacing:
		s.router.pacing.remove(s)
	case leaving:
		s.router.leaving.remove(s)
	case fresh, closing, ended:
	}
	s.state = fresh
}

// release gives the stream's buffers back.
func (s *Stream) release() {
	if s.part != nil {
		s.router.put(s.part)
		s.part = nil
	}
	if s.queue != nil {
		s.router.drop(s.queue)
		s.queue = nil
	}
}

// end is the end.
func (s *Stream) end(why codec.Reason, tell bool) {
	if s.state == ended {
		return
	}
	r := s.router
	s.detach()
	s.release()
	s.state = ended
	s.pool.join(-1)
	r.table.remove(s.id)
	r.Count.Closed[why]++
	sink := s.sink
	s.sink = nil
	if tell {
		sink.Ended(why)
	}
}
