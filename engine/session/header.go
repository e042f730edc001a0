package session

import (
	"net/netip"

	"epoxy/codec"
	"epoxy/codec/buf"
	"epoxy/codec/proxyproto"
)

// extra is what only some sessions have; a pointer to it keeps the others small.
type extra struct {
	client, local netip.AddrPort // as a PROXY protocol header gave them; invalid when none did
	key           codec.Key      // that made the hello, on a port with a salt
}

// extras returns the session's extra, which it makes when there is none.
func (s *Session) extras() *extra {
	if s.extra == nil {
		s.extra = new(extra)
	}
	return s.extra
}

// spent forgets a key that has served.
func (s *Session) spent() {
	switch {
	case s.extra == nil:
	case s.extra.client.IsValid():
		s.extra.key = codec.Key{}
	default:
		s.extra = nil
	}
}

// Client returns the client's address: what a PROXY protocol header said, else the socket's peer, which costs a system
// call.
func (s *Session) Client() netip.AddrPort {
	if s.extra != nil && s.extra.client.IsValid() {
		return s.extra.client
	}
	return s.socket.Peer()
}

// local returns what the client connected to, as Client does.
func (s *Session) local() netip.AddrPort {
	if s.extra != nil && s.extra.local.IsValid() {
		return s.extra.local
	}
	return s.socket.Local()
}

// header takes bytes of a PROXY protocol header, which may be cut anywhere; what is behind it is the client's. A bad one
// is the fault of a balancer, not a stranger: it closes the connection and never meets the front (spec client-protocols
// 7.2).
func (s *Session) header(p []byte) {
	part := s.part
	if part != nil {
		_, _ = part.Write(p)
		p = part.B
	}
	h, used, err := proxyproto.Parse(p)
	switch {
	case err == codec.ErrShort:
		if part == nil {
			s.part = buf.Handshake.Get()
			_, _ = s.part.Write(p)
		}
		return
	case err != nil:
		s.end(codec.ReasonOf(err, codec.ReasonProxyHeader))
		return
	}
	if !h.Local {
		x := s.extras()
		x.client, x.local = h.Src, h.Dst
		s.client = hashAddr(h.Src.Addr())
		if ask := s.port.Screen; ask != nil {
			if why := ask(h.Src.Addr()); why != codec.ReasonNone {
				s.end(why)
				return
			}
		}
	}
	s.part = nil
	s.begin(s.port.env.Loop.Now())
	if used < len(p) {
		s.shake(p[used:])
	}
	if part != nil {
		buf.Handshake.Put(part)
	}
}
