package split

import (
	"epoxy/codec"
	"epoxy/codec/buf"
	"epoxy/codec/frame"
	wire "epoxy/codec/split"
	"epoxy/upstream"
)

// Stream is one client on a link to a back.
//
//	held <-> bound -> closing -> leaving -> ended
//	  '-> pacing | leaving
//
// Close ends it from any state.
type Stream struct {
	router  *Router
	sink    upstream.Sink // nil once ended
	lane    *lane         // nil unless bound
	out     *outq         // of this lane
	ask     wire.Open
	up      *buf.Buffer // bytes of the client that were not sent: a torn packet, or for want of credit
	part    *buf.Buffer // a torn packet of Telegram's
	queue   *buf.Buffer // framed bytes that a paused sink did not take yet
	at      int         // bytes of queue that are gone
	id      uint32
	place   uint32 // in the list that the state names
	credit  int    // bytes that we may send
	window  int    // bytes that the back may send
	owed    int    // bytes that the sink took and the back may send again
	unpaid  int    // bytes in queue, as they came
	weight  int    // bytes in up and queue
	upAt    int64  // loop time of the last packet up
	heldAt  int64
	flags   flags
	state   state
	why     codec.Reason // what it ends with, once it is to end
	lasting bool         // it is in resumed
}

var _ upstream.Stream = (*Stream)(nil)

// state says where a stream stands, and which list it is in.
type state uint8

const (
	fresh   state = iota // none
	bound                // lane.streams
	held                 // router.waiting, for a link
	closing              // none: its queue is to go out first
	pacing               // router.pacing
	leaving              // router.leaving
	ended                // none
)

// flags are what else there is to know of a stream.
type flags uint8

const (
	told    flags = 1 << iota // the back hears of the end
	pending                   // a packet went, and nothing came since
	paused                    // by the sink
	waiting                   // the sink was told to wait, SendDrained is due
	migrant                   // held because its link ended
	ofBytes                   // this lane carries bytes, not packets
	listed                    // in lane.stalled
)

// Send carries the client's bytes up, as far as they are whole packets and there is credit.
func (s *Stream) Send(p []byte) {
	switch {
	case s.state == held:
		s.flags |= waiting
		s.keep(p)
	case s.state != bound:
	case s.up != nil:
		s.keep(p)
		s.resend()
	default:
		if n := s.pack(p); n < len(p) && s.state == bound {
			s.keep(p[n:])
		}
	}
}

// keep appends p to what was not sent.
func (s *Stream) keep(p []byte) {
	if s.up == nil {
		s.up = buf.Partial.Get()
	}
	s.up.B = append(s.up.B, p...)
	s.weigh(len(p))
}

// weigh counts n bytes that wait for this client, or no longer do. A client for whom much waits is closed while too much does for
// all together.
func (s *Stream) weigh(n int) {
	r := s.router
	s.weight += n
	if r.held += n; n > 0 && r.held > r.Budget && s.weight > softQueue {
		r.Count.Shed++
		s.leave(codec.ReasonMemory)
	}
}

// resend sends what was kept.
func (s *Stream) resend() {
	b := s.up
	if b == nil {
		return
	}
	n := s.pack(b.B)
	if s.up != b { // it is leaving
		return
	}
	s.weigh(-n)
	if b.B = b.B[:copy(b.B, b.B[n:])]; len(b.B) == 0 {
		s.up = nil
		buf.Partial.Put(b)
	}
}

// pack sends p as far as it can, and returns how far. The stream may be leaving afterwards.
func (s *Stream) pack(p []byte) (n int) {
	r := s.router
	out := r.frames[:0]
	why := codec.ReasonNone
	for n < len(p) && s.credit > 0 && why == codec.ReasonNone {
		body, quick := p[n:min(len(p), n+s.credit)], uint8(0)
		used := len(body)
		if s.flags&ofBytes == 0 {
			packet, took, err := frame.Next(s.ask.Transport, p[n:])
			if err == codec.ErrShort {
				break
			}
			if err != nil {
				why = codec.ReasonOf(err, codec.ReasonBadTag)
				break
			}
			if body, used = packet.Body, took; packet.Quick {
				quick = wire.FlagQuick
			}
			r.Count.PacketsUp++
		}
		out = wire.AppendData(out, s.id, quick, body, fragment)
		s.credit -= len(body)
		r.Count.BytesUp += uint64(len(body))
		n += used
	}
	if len(out) > 0 {
		s.flags |= pending
		s.upAt = r.loop.Now()
		s.lane.put(s.out, out)
	}
	if r.frames = out[:0]; cap(out) > 4*deliverMost {
		r.frames = nil
	}
	if why != codec.ReasonNone {
		s.leave(why)
	} else if s.blocked() {
		s.wait()
	}
	return n
}

// blocked reports whether nothing more may be sent now.
func (s *Stream) blocked() bool { return s.credit <= 0 || s.lane.full }

// wait makes the sink wait.
func (s *Stream) wait() {
	if s.flags&waiting == 0 {
		s.flags |= waiting
		s.router.Count.Stalls++
	}
	if s.lane.full && s.flags&listed == 0 {
		s.flags |= listed
		s.lane.stalled = append(s.lane.stalled, s)
	}
}

// goOn says that the outbox drained.
func (s *Stream) goOn() {
	s.flags &^= listed
	s.unwait()
}

// unwait sends what was kept and lets the sink go on, if it may.
func (s *Stream) unwait() {
	if s.state != bound || s.blocked() {
		return
	}
	s.resend()
	if s.state == bound && !s.blocked() && s.flags&waiting != 0 {
		s.flags &^= waiting
		s.sink.SendDrained()
	}
}

// Queued is 0 while more may come, a great number while not. A torn packet does not count: only more of it helps.
func (s *Stream) Queued() int {
	if s.state == held || s.state == bound && s.flags&waiting != 0 {
		return fullQueue
	}
	return 0
}

// Pause stops Deliver; what comes is queued, as far as the back has credit.
func (s *Stream) Pause() { s.flags |= paused }

// Resume undoes Pause.
func (s *Stream) Resume() {
	if s.flags&paused == 0 {
		return
	}
	s.flags &^= paused
	if s.queue != nil && !s.lasting {
		s.lasting = true
		s.router.resumed = append(s.router.resumed, s)
		s.router.task.Again()
	}
}

// CloseSend ends the stream after what is queued for the client: a link knows no half-open stream.
func (s *Stream) CloseSend() {
	if s.state == bound || s.state == held {
		s.finish(codec.ReasonClientClosed)
	}
}

// Compact has nothing to drop.
func (s *Stream) Compact() {}

// Close ends the stream; the back hears of it behind all that was sent.
func (s *Stream) Close(why codec.Reason) {
	s.why = why
	s.end(why, false)
}

// bind puts a stream on a link. It calls the sink when that waits. false is a link that has no more ids.
func (s *Stream) bind(a *lane) bool {
	r := s.router
	s.ask.Credit = creditDown
	s.ask.Flags &^= wire.OpenBytes
	if a.link.bytes {
		s.ask.Flags |= wire.OpenBytes
	}
	id := a.link.out.open(s.ask.Append(r.frames[:0], 0), uint32(r.index), uint32(len(a.link.lanes)))
	if id == 0 {
		a.link.away.Store(true)
		return false
	}
	s.detach()
	s.lane, s.out, s.id, s.state = a, new(outq), id, bound
	a.streams[id] = s
	a.link.live.Add(1)
	s.credit, s.window, s.owed, s.unpaid = int(min(a.link.hello.Credit, creditMost)), creditDown, 0, 0 // what waits was of another lane
	s.flags = s.flags&^(pending|migrant|ofBytes|listed) | told
	if a.link.bytes {
		s.flags |= ofBytes
	}
	s.resend()
	s.unwait()
	return true
}

// hold lets a stream wait for a link.
func (s *Stream) hold() {
	r := s.router
	s.detach()
	s.state, s.heldAt = held, r.loop.Now()
	r.waiting.add(s)
	r.wake(s.heldAt + holdTime)
}

// finish ends a stream when its sink took what is queued.
func (s *Stream) finish(why codec.Reason) {
	if s.queue == nil {
		s.leave(why)
		return
	}
	s.why = why
	s.detach()
	s.state = closing
}

// leave ends a stream with the next turn of the loop: the caller may be its own session.
func (s *Stream) leave(why codec.Reason) {
	if s.state == leaving || s.state == ended {
		return
	}
	s.why = why
	s.detach()
	s.release()
	s.state = leaving
	s.router.leaving.add(s)
	s.router.task.Again()
}

// detach takes a stream off its link or list.
func (s *Stream) detach() {
	r := s.router
	switch s.state {
	case bound:
		a := s.lane
		delete(a.streams, s.id)
		if a.link.live.Add(-1) == 0 && a.link.away.Load() && !a.gone {
			a.link.kill(codec.ReasonLinkSpare) // another takes its place
		}
		if s.flags&told != 0 && !a.gone {
			var room [wire.HeaderSize + 2]byte
			a.put(s.out, wire.AppendClose(room[:0], s.id, wire.WhyOf(s.why)))
		}
		if s.part != nil {
			a.release(&s.part)
		}
		s.lane, s.out = nil, nil
	case held:
		r.waiting.remove(s)
	case pacing:
		r.pacing.remove(s)
	case leaving:
		r.leaving.remove(s)
	case fresh, closing, ended:
	}
	s.state = fresh
}

// release gives the stream's buffers back.
func (s *Stream) release() {
	s.weigh(-s.weight)
	for _, b := range []**buf.Buffer{&s.up, &s.queue} {
		if *b != nil {
			buf.Partial.Put(*b)
			*b = nil
		}
	}
}

// end is the end.
func (s *Stream) end(why codec.Reason, tell bool) {
	if s.state == ended {
		return
	}
	s.why = why
	s.detach()
	s.release()
	s.state = ended
	s.router.Count.Streams--
	sink := s.sink
	s.sink = nil
	if tell {
		sink.Ended(why)
	}
}
