package session

import (
	"epoxy/codec"
	"epoxy/codec/buf"
	"epoxy/codec/faketls"
	"epoxy/codec/obfs2"
	"epoxy/codec/secret"
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
	case Header, Relay, Front, Discard, Closed:
	}
	switch {
	case s.flags&grounded != 0: // part holds the flight
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
	if s.port.fronts() && obfs2.Foreign(p) {
		s.stranger(codec.ReasonNotTLS, p)
		return true
	}
	if len(p) < obfs2.InitSize {
		return false
	}
	opening := p[:obfs2.InitSize]
	entry, v := s.search(nil, 1, func(c *Secret) (ok bool) {
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
		if why := s.admit(proto, nil); why != codec.ReasonNone {
			env.Count.Strangers[why]++
			s.end(why)
			return true
		}
		s.in, s.out = obfs2.Accept(opening, &entry.Key)
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
	sni := lower(&env.name, h.SNI)
	entry, key, unix, v := s.author(&h, sni)
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
	site := s.port.profile(sni, entry)
	choice, err := site.Choose(&h)
	if err != nil {
		s.stranger(codec.ReasonOf(err, codec.ReasonHelloShape), p)
		return true
	}
	if env.Replay.Seen(replay.Hello, h.Random[:16], now) {
		s.stranger(codec.ReasonReplay, p)
		return true
	}
	if why := s.admit(codec.TLS, sni); why != codec.ReasonNone {
		s.stranger(why, p)
		return true
	}
	s.avoidTrap(&choice, &h)
	flight, err := env.digester.AppendFlight(env.Loop.Scratch()[:0], key, &h, site, choice, env.Loop.Rand)
	if err != nil {
		s.stranger(codec.ReasonOf(err, codec.ReasonHelloShare), p)
		return true
	}
	s.state = Opening
	s.flags |= inTLS
	if s.port.ramps(site) {
		s.flags |= ramping
	}
	s.answer(flight, site)
	return true
}

// author searches for the secret behind a hello, sni being its SNI in lower case, and returns it with the key that made
// the hello and the time inside. On a port with a salt that key is another one for every SNI, made anew for each try,
// and kept for the opening.
func (s *Session) author(h *faketls.Hello, sni []byte) (c *Secret, key *faketls.Key, unix uint32, v verdict) {
	env, set := s.port.env, s.port.Secrets
	if set.salt == nil {
		c, v = s.search(set.byDomain[string(sni)], 1, func(c *Secret) (ok bool) {
			unix, ok = env.digester.Check(c.hello, h)
			return ok
		})
		if v == found {
			key = c.hello
		}
		return c, key, unix, v
	}
	if len(sni) == 0 {
		return nil, nil, 0, nobody
	}
	name := string(sni)
	c, v = s.search(set.byDomain[name], 2, func(c *Secret) (ok bool) {
		derived := secret.DeriveSNI(set.salt, c.Key, name)
		env.digester.Rekey(&env.derived, derived)
		if unix, ok = env.digester.Check(&env.derived, h); ok {
			s.extras().key = derived
		}
		return ok
	})
	return c, &env.derived, unix, v
}

// opening opens the init inside the records. The secret is the hello's, and only the padded tag belongs here
// (spec client-protocols 4.6). There is no front any more: our ServerHello left.
func (s *Session) opening(p []byte) bool {
	if len(p) < obfs2.InitSize {
		return false
	}
	key := &s.secret.Key
	if s.port.Secrets.salt != nil {
		key = &s.extra.key
	}
	tag, dc, ok := obfs2.Match(p[:obfs2.InitSize], key)
	switch {
	case !ok:
		s.end(codec.ReasonBadTag)
	case tag != codec.Padded:
		s.end(codec.ReasonPlainInTLS)
	default:
		s.tag, s.dc = tag, dc
		s.in, s.out = obfs2.Accept(p[:obfs2.InitSize], key)
		s.spent()
		s.open(codec.TLS, p[obfs2.InitSize:])
	}
	return true
}
