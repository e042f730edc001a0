package session

import (
	"epoxy/codec"
	"epoxy/upstream"
)

// open starts the stream of a client whose opening fitted. rest is what came behind it.
func (s *Session) open(proto codec.Protocol, rest []byte) {
	env := s.port.env
	env.Count.Handshakes[proto]++
	s.proto = proto
	req := upstream.Request{DC: s.dc, Transport: s.tag, Client: s.Client(), Local: s.local(), Tag: s.port.Tag}
	if s.secret.Tag != nil {
		req.Tag = s.secret.Tag
	}
	stream, why := env.Router.Open(req, s)
	if why != codec.ReasonNone {
		s.end(why)
		return
	}
	s.stream = stream
	s.state = Relay
	s.active = env.Loop.Now()
	s.deadline = s.active
	s.arm()
	if len(rest) > 0 {
		s.carry(rest)
	}
}

// up carries what the client sent: out of its records, out of its cipher, into the stream.
func (s *Session) up(p []byte) {
	s.touch()
	var err error
	if s.flags&inTLS != 0 {
		var n int
		n, err = s.records.Strip(p)
		p = p[:n]
	}
	if len(p) > 0 {
		s.carry(p)
	}
	if err != nil {
		s.end(codec.ReasonOf(err, codec.ReasonTLSRecord))
	}
}

// carry deciphers p in place and sends it up.
func (s *Session) carry(p []byte) {
	s.in.XOR(p, p)
	s.port.env.Count.BytesUp += uint64(len(p))
	if a := s.account; a != nil {
		if a.Up.Bytes += uint64(len(p)); a.Up.Bytes > a.Up.Stop {
			s.restUp()
		}
	}
	s.send(p)
}

// send gives p to the stream and stops reading the client when too much waits there.
func (s *Session) send(p []byte) {
	s.stream.Send(p)
	if s.flags&held == 0 && s.stream.Queued() > softQueue {
		s.flags |= held
		s.port.env.Count.HeldClient++
		s.socket.Pause()
	}
}

// Deliver takes clear bytes from Telegram, or a front's bytes as they are.
func (s *Session) Deliver(p []byte) {
	if s.state == Closed {
		return
	}
	s.touch()
	switch {
	case s.state == Front:
	case s.flags&inTLS == 0:
		s.charge(len(p))
		s.out.XOR(p, p)
	default:
		s.charge(len(p))
		if s.flags&ramping != 0 {
			s.rewind()
		}
		p = s.seal(s.port.env.Loop.Scratch(), p)
	}
	s.socket.Write(p)
	if s.flags&blocked == 0 && s.socket.Queued() > softQueue && s.stream != nil {
		s.flags |= blocked
		s.port.env.Count.Paused++
		s.stream.Pause()
	}
}

// charge counts n bytes to the client.
func (s *Session) charge(n int) {
	s.port.env.Count.BytesDown += uint64(n)
	if a := s.account; a != nil {
		if a.Down.Bytes += uint64(n); a.Down.Bytes > a.Down.Stop {
			s.restDown()
		}
	}
}

// SendDrained lets a held client go on.
func (s *Session) SendDrained() {
	if s.flags&held != 0 {
		s.flags &^= held
		if s.flags&restsUp == 0 {
			s.socket.Resume()
		}
	}
}

// EndOfStream says that Telegram, or the front, sent its last byte. MTProto knows no half-open connection, so
// the client is closed when it has everything; a front's visitor may go on speaking.
func (s *Session) EndOfStream() {
	if s.state == Front && s.flags&atEOF == 0 {
		s.socket.CloseWrite()
		return
	}
	s.end(s.closer())
}

// closer says who ended a conversation that ended in an orderly way: whoever sent FIN first.
func (s *Session) closer() codec.Reason {
	if s.flags&atEOF != 0 {
		return codec.ReasonClientClosed
	}
	return codec.ReasonUpstreamClosed
}

// Ended says that the stream is gone.
func (s *Session) Ended(why codec.Reason) {
	s.stream = nil
	if why == codec.ReasonUpstreamClosed {
		why = s.closer()
	}
	s.end(why)
}
