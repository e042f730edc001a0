package session

import (
	"epoxy/codec"
	"epoxy/codec/buf"
	"epoxy/codec/faketls"
	"epoxy/codec/obfs2"
	"epoxy/engine/replay"
)

// shake takes bytes of an opening.
func (s *Session) shake(p []byte) {
	if s.flags&spoke == 0 {
		s.flags |= spoke
		s.deadline = s.port.env.Loop.Now() + s.port.Timing.Handshake
		s.socket.SetTimer(s.deadline)
	}
	var bad error
	if s.state == Opening {
		var n int
		n, bad = s.records.Strip(p)
		p = p[:n]
	}
	if s.part != nil {
		_, _ = s.part.Write(p)
		p = s.part.B
	}
	s.advance(p)
	if bad != nil {
		s.end(codec.ReasonOf(bad, codec.ReasonTLSRecord))
	}
}

// advance works on the opening so far, which is p, and keeps it when it is not whole. p is part's content or
// the reader's.
func (s *Session) advance(p []byte) {
	if s.state == Sniff && !s.sniff(p) {
		return
	}
	done := true
	switch s.state {
	case Sniff: // not even that was decided
		done = false
	case Hello:
		done = s.hello(p)
	case Init:
		done = s.init(p)
	case Opening:
		done = s.opening(p)
	case Relay, Front, Discard, Closed:
	}
	switch {
	case done:
		s.forget()
	case s.part == nil && len(p) > 0:
		s.part = buf.Handshake.Get()
		_, _ = s.part.Write(p)
	}
}

// sniff decides between fake-TLS and a bare init (spec client-protocols 3.2); false when p was turned away.
func (s *Session) sniff(p []byte) bool {
	allow := s.port.Allow
	bare := allow.Has(codec.Classic) || allow.Has(codec.Secure)
	if !allow.Has(codec.TLS) {
		s.state = Init
		return true
	}
	tls, err := faketls.Sniff(p)
	switch {
	case err != nil: // undecided
	case tls:
		s.state = Hello
	case bare:
		s.state = Init
	default:
		s.stranger(codec.ReasonNotTLS, p)
		return false
	}
	return true
}

// wait keeps a client whose search goes on later: nothing is read from it meanwhile.
func (s *Session) wait() {
	if s.flags&held == 0 {
		s.flags |= held
		s.socket.Pause()
	}
	env := s.port.env
	if env.budget > 0 {
		s.socket.Again()
		return
	}
	env.Count.ScanWaits++
	s.socket.SetTimer(min(s.deadline, env.Loop.Now()+scanWait))
}

// resume lets a client go on whose search is over.
func (s *Session) resume() {
	if s.flags&held != 0 {
		s.flags &^= held
		s.socket.Resume()
	}
}

// init opens a bare obfuscated2 init: 64 bytes, then the stream.
func (s *Session) init(p []byte) bool {
	if len(p) < obfs2.InitSize {
		return false
	}
	opening := p[:obfs2.InitSize]
	secret, v := s.search(nil, func(c *Secret) (ok bool) {
		s.tag, s.dc, ok = obfs2.Match(opening, &c.Key)
		return ok
	})
	switch v {
	case again:
		s.wait()
		return false
	case nobody:
		s.stranger(codec.ReasonWrongSecret, p)
		return true
	case found:
	}
	s.resume()
	proto := codec.Classic
	if s.tag == codec.Padded {
		proto = codec.Secure
	}
	env := s.port.env
	switch {
	case !s.port.Allow.Has(proto):
		s.stranger(codec.ReasonNotAllowed, p)
	case env.Replay.Seen(replay.Opening, obfs2.ReplayKey(opening), env.Loop.Unix()):
		s.stranger(codec.ReasonReplay, p)
	default:
		s.in, s.out = obfs2.Accept(opening, &secret.Key)
		s.open(proto, p[obfs2.InitSize:])
	}
	return true
}

// hello checks a ClientHello and answers it. The order is: shape, digest, time, answerable, replay
// (spec client-protocols 5).
func (s *Session) hello(p []byte) bool {
	env := s.port.env
	h, used, err := faketls.ParseHello(p, env.join[:0])
	if err == codec.ErrShort {
		return false
	}
	if err != nil {
		s.stranger(codec.ReasonOf(err, codec.ReasonHelloShape), p)
		return true
	}
	if used < len(p) {
		s.stranger(codec.ReasonHelloTrailing, p)
		return true
	}
	if len(h.Record) != used { // several records: keep the grown scratch
		env.join = h.Record[:0]
	}
	var unix uint32
	secret, v := s.search(s.domain(h.SNI), func(c *Secret) (ok bool) {
		unix, ok = env.digester.Check(c.hello, &h)
		return ok
	})
	switch v {
	case again:
		s.wait()
		return false
	case nobody:
		s.stranger(codec.ReasonHelloDigest, p)
		return true
	case found:
	}
	s.resume()
	now := env.Loop.Unix()
	if diff := now - int64(unix); diff > s.port.Timing.Window || -diff > s.port.Timing.Window {
		s.stranger(codec.ReasonHelloTime, p)
		return true
	}
	choice, err := s.port.Profile.Choose(&h)
	if err != nil {
		s.stranger(codec.ReasonOf(err, codec.ReasonHelloShape), p)
		return true
	}
	if env.Replay.Seen(replay.Hello, h.Random[:16], now) {
		s.stranger(codec.ReasonReplay, p)
		return true
	}
	flight, err := env.digester.AppendFlight(env.Loop.Scratch()[:0], secret.hello, &h, s.port.Profile, choice, env.Loop.Rand)
	if err != nil {
		s.stranger(codec.ReasonOf(err, codec.ReasonHelloShare), p)
		return true
	}
	s.state = Opening
	s.flags |= inTLS
	s.deadline = env.Loop.Now() + openingTime
	s.socket.SetTimer(s.deadline)
	s.socket.Write(flight)
	return true
}

// domain returns the secrets whose links carry this SNI.
func (s *Session) domain(sni []byte) []uint32 {
	by := s.port.Secrets.byDomain
	if len(by) == 0 || len(sni) == 0 || len(sni) > 255 {
		return nil
	}
	var lower [255]byte
	for i, c := range sni {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		lower[i] = c
	}
	return by[string(lower[:len(sni)])]
}

// opening opens the init inside the records. The secret is the hello's, and only the padded tag belongs here
// (spec client-protocols 4.6). There is no front any more: our ServerHello left.
func (s *Session) opening(p []byte) bool {
	if len(p) < obfs2.InitSize {
		return false
	}
	secret := &s.port.Secrets.list[s.secret]
	tag, dc, ok := obfs2.Match(p[:obfs2.InitSize], &secret.Key)
	switch {
	case !ok:
		s.end(codec.ReasonBadTag)
	case tag != codec.Padded:
		s.end(codec.ReasonPlainInTLS)
	default:
		s.tag, s.dc = tag, dc
		s.in, s.out = obfs2.Accept(p[:obfs2.InitSize], &secret.Key)
		s.open(codec.TLS, p[obfs2.InitSize:])
	}
	return true
}
