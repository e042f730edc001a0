package session

import (
	"epoxy/codec"
	"epoxy/codec/buf"
	"epoxy/codec/faketls"
	"epoxy/upstream"
)

// stranger turns away whoever failed before our ServerHello: to the front with the untouched bytes p, or into
// silence when there is none for it (spec client-protocols 1.6, 6).
func (s *Session) stranger(why codec.Reason, p []byte) {
	env := s.port.env
	s.note(why, p)
	s.leavePass()
	if s.flags&held != 0 {
		s.flags &^= held
		s.socket.Resume()
	}
	if s.port.fronts() {
		stream, refused := s.port.front().Open(s.request(p), s)
		switch refused {
		case codec.ReasonNone:
			s.meet(stream, p)
			return
		case codec.ReasonLimit: // more strangers than the front shall bear (spec client-protocols 9, row 43)
			s.end(refused)
			return
		default: //exhaustive:ignore
		}
	}
	s.forget()
	s.state, s.cursor = Discard, 0
	env.Count.Discarding++
	chance := int64(s.random())
	at := s.active + discardLeast + chance%discardSpan // active is still the time of accept
	if at <= env.Loop.Now() {
		at = env.Loop.Now() + chance%discardLeast + 1
	}
	s.socket.SetTimer(at)
	s.swallow(len(p))
}

// note counts a stranger and tells of it.
func (s *Session) note(why codec.Reason, p []byte) {
	env := s.port.env
	env.Count.Strangers[why]++
	if env.Strangers != nil {
		env.Strangers(why, p)
	}
}

// request asks for the front of a stranger that sent p. A whole hello names the site, whoever made it.
func (s *Session) request(p []byte) upstream.Request {
	req := upstream.Request{Client: s.Client(), Local: s.local()}
	if s.state == Hello {
		env := s.port.env
		if h, used, err := faketls.ParseHello(p, env.join[:0]); err == nil {
			req.SNI = h.SNI
			if len(h.Record) != used {
				env.join = h.Record[:0]
			}
		}
	}
	return req
}

// meet begins a stranger's talk with the front.
func (s *Session) meet(front upstream.Stream, p []byte) {
	now := s.port.env.Loop.Now()
	s.stream, s.state, s.active = front, Front, now
	s.deadline = now + s.port.Timing.FrontTime
	s.visit(now)
	if len(p) > 0 {
		s.send(p)
	}
	s.forget()
}

// visit looks at a talk with the front: it ends after a silence, or when it has lasted long enough.
func (s *Session) visit(now int64) {
	silent := s.active + s.port.Timing.FrontIdle
	switch {
	case now >= s.deadline:
		s.end(codec.ReasonFrontTime)
	case now >= silent:
		s.end(codec.ReasonIdle)
	default:
		s.socket.SetTimer(min(silent, s.deadline))
	}
}

// swallow counts n bytes of a stranger and stops reading when they are enough.
func (s *Session) swallow(n int) {
	s.cursor += uint32(min(n, discardBytes))
	if s.cursor >= discardBytes {
		s.socket.Pause()
	}
}

// late is called when the opening is not whole in time.
func (s *Session) late(now int64) {
	if now < s.deadline { // a scan that waited for its budget
		s.socket.SetTimer(s.deadline)
		s.Again(s.socket)
		return
	}
	if s.flags&spoke != 0 {
		s.stranger(codec.ReasonHandshakeTime, s.collected())
		return
	}
	if s.port.fronts() {
		s.stranger(codec.ReasonFirstByteTime, nil)
		return
	}
	s.note(codec.ReasonFirstByteTime, nil)
	s.end(codec.ReasonFirstByteTime)
}

// leave is called when the client's FIN comes before its opening is whole. Whoever said nothing is answered by a FIN, as
// every site does.
func (s *Session) leave() {
	if p := s.collected(); s.port.fronts() && len(p) > 0 {
		s.stranger(codec.ReasonClientClosed, p)
	} else {
		s.note(codec.ReasonClientClosed, p)
	}
	if s.state == Front {
		s.stream.CloseSend()
		return
	}
	s.end(codec.ReasonClientClosed)
}

// collected returns the bytes of the opening so far; they live until forget.
func (s *Session) collected() []byte {
	if s.part == nil {
		return nil
	}
	return s.part.B
}

// forget gives the opening's buffer back.
func (s *Session) forget() {
	if s.part != nil {
		buf.Handshake.Put(s.part)
		s.part = nil
	}
}
