package middle

import (
	"epoxy/codec"
	"epoxy/codec/buf"
	"epoxy/codec/frame"
	"epoxy/codec/rpc"
)

// forward takes packets out of the client's bytes and keeps the torn one at the end. A bound stream may be leaving
// afterwards.
func (s *Stream) forward(p []byte) {
	for len(p) > 0 && s.state == bound {
		if s.part != nil {
			p = s.complete(p)
			continue
		}
		packet, n, err := frame.Next(s.transport, p)
		switch err {
		case nil:
			s.request(packet)
			p = p[n:]
		case codec.ErrShort:
			size, _ := frame.Size(s.transport, p)
			s.keep(p, size)
			return
		default:
			s.leave(codec.ReasonOf(err, codec.ReasonBadTag))
			return
		}
	}
}

// complete adds to the torn packet what it lacks and returns the rest of p.
func (s *Stream) complete(p []byte) []byte {
	size, err := frame.Size(s.transport, s.part.B)
	if err == codec.ErrShort { // the header itself is torn: it ends soon, and the next byte may end it
		s.keep(p[:1], 0)
		return p[1:]
	}
	if err == nil {
		n := min(size-len(s.part.B), len(p))
		s.keep(p[:n], size)
		if p = p[n:]; len(s.part.B) < size {
			return nil
		}
	}
	b := s.part
	s.part = nil
	s.forward(b.B)
	s.router.put(b)
	return p
}

// keep appends p to the torn packet, for which size bytes are enough when that is known. Memory is taken as bytes come,
// not as a header promises them.
func (s *Stream) keep(p []byte, size int) {
	if s.part == nil {
		s.part = buf.Partial.Get()
		s.router.held += cap(s.part.B)
	}
	b := s.part
	if need, room := len(b.B)+len(p), cap(b.B); need > room {
		grow := max(2*room, need)
		if size >= need {
			grow = min(grow, size)
		}
		b.B = append(make([]byte, 0, grow), b.B...)
		s.router.held += cap(b.B) - room
	}
	b.B = append(b.B, p...)
	if s.router.overBudget() {
		s.router.later()
	}
}

// put gives a buffer of torn packets back.
func (r *Router) put(b *buf.Buffer) {
	r.held -= cap(b.B)
	buf.Partial.Put(b)
	r.lighter()
}

// request sends one packet up.
func (s *Stream) request(p frame.Packet) {
	r, l := s.router, s.link
	if !rpc.Acceptable(p.Body, r.opts.AnyCall) {
		r.Count.Dropped++
		if s.flags += wrong; s.flags&wrongMask == maxWrong*wrong {
			s.leave(codec.ReasonPacketShape)
		}
		return
	}
	s.prefix.Bind(s.id, &s.client)
	at := len(l.out)
	l.out = s.prefix.Append(l.enc.Begin(l.out), p.Body, p.Quick)
	l.out = l.enc.End(l.out, at)
	s.flags |= sent | pending
	s.up = r.stamp()
	r.Count.PacketsUp++
	l.soil(len(l.out) - at)
}
