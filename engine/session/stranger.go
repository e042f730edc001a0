package session

import (
	"encoding/binary"

	"epoxy/codec"
	"epoxy/codec/buf"
	"epoxy/upstream"
)

// stranger turns away whoever failed before our ServerHello: to the front with the untouched bytes p, or into
// silence when there is none (spec client-protocols 1.6, 6).
func (s *Session) stranger(why codec.Reason, p []byte) {
	env := s.port.env
	env.Count.Strangers[why]++
	if s.flags&held != 0 {
		s.flags &^= held
		s.socket.Resume()
	}
	if env.Front != nil {
		stream, refused := env.Front.Open(upstream.Request{Client: s.socket.Peer()}, s)
		if refused == codec.ReasonNone {
			s.stream, s.state, s.active = stream, Front, env.Loop.Now()
			s.arm()
			if len(p) > 0 {
				s.send(p)
			}
			s.forget()
			return
		}
	}
	s.forget()
	s.state, s.cursor = Discard, 0
	env.Count.Discarding++
	var r [4]byte
	env.Loop.Rand(r[:])
	chance := int64(binary.LittleEndian.Uint32(r[:]))
	at := s.active + discardLeast + chance%discardSpan // active is still the time of accept
	if at <= env.Loop.Now() {
		at = env.Loop.Now() + chance%discardLeast + 1
	}
	s.socket.SetTimer(at)
	s.swallow(len(p))
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
	if s.port.env.Front != nil {
		s.stranger(codec.ReasonFirstByteTime, nil)
		return
	}
	s.port.env.Count.Strangers[codec.ReasonFirstByteTime]++
	s.end(codec.ReasonFirstByteTime)
}

// leave is called when the client's FIN comes before its opening is whole.
func (s *Session) leave() {
	if s.port.env.Front == nil {
		s.port.env.Count.Strangers[codec.ReasonClientClosed]++
		s.end(codec.ReasonClientClosed)
		return
	}
	s.stranger(codec.ReasonClientClosed, s.collected())
	if s.state == Front {
		s.stream.CloseSend()
	}
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
