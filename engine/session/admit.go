package session

import (
	"net/netip"

	"epoxy/codec"
	"epoxy/engine/quota"
)

// Visitor is a client with a good secret that asks to come in.
type Visitor struct {
	Port     *Port
	Secret   *Secret
	Client   netip.AddrPort // what a PROXY protocol header said, else the socket's peer; invalid on a unix socket
	Domain   []byte         // the hello's SNI in lower case, nil outside TLS; lives until Admit returns
	Protocol codec.Protocol
	Session  *Session
}

// Admission decides about visitors, each once: after digest, clock and replay store, before anything is sent. Whoever it
// refuses with a reason other than ReasonNone is a stranger when it came with a hello, else is closed. The Pass may be nil.
type Admission interface {
	Admit(v Visitor) (*Pass, codec.Reason)
}

// Pass is what a client holds from its admission on. Its session gives it back exactly once, however it ends.
type Pass struct {
	Account *quota.Account // that its bytes are counted on; nil for none
	Owner   Releaser       // nil for nobody
}

// Releaser takes a Pass back. It is called by the loop and may not call the session.
type Releaser interface {
	Release(s *Session)
}

// admit asks whether the client may come in.
func (s *Session) admit(proto codec.Protocol, sni []byte) codec.Reason {
	ask := s.port.env.Admit
	if ask == nil {
		return codec.ReasonNone
	}
	pass, why := ask.Admit(Visitor{Port: s.port, Secret: s.secret, Client: s.Client(), Domain: sni, Protocol: proto, Session: s})
	if why == codec.ReasonNone && pass != nil {
		s.pass, s.account = pass, pass.Account
	}
	return why
}

// leavePass gives the pass back.
func (s *Session) leavePass() {
	pass := s.pass
	if pass == nil {
		return
	}
	s.pass, s.account = nil, nil
	if pass.Owner != nil {
		pass.Owner.Release(s)
	}
}

// Account returns what the client's bytes are counted on, nil for nothing.
func (s *Session) Account() *quota.Account { return s.account }

// restUp stops reading the client while its secret's rate is spent.
func (s *Session) restUp() {
	if s.flags&restsUp == 0 && s.account.SpentUp(s) {
		s.flags |= restsUp
		s.socket.Pause()
	}
}

// restDown stops reading for the client while its secret's rate is spent.
func (s *Session) restDown() {
	if s.flags&restsDown == 0 && s.stream != nil && s.account.SpentDown(s) {
		s.flags |= restsDown
		s.stream.Pause()
	}
}

// WakeUp reads from the client again.
func (s *Session) WakeUp() {
	s.flags &^= restsUp
	if s.flags&held == 0 {
		s.socket.Resume()
	}
}

// WakeDown reads for the client again.
func (s *Session) WakeDown() {
	s.flags &^= restsDown
	if s.flags&blocked == 0 && s.stream != nil {
		s.stream.Resume()
	}
}
