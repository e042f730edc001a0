// Package session is one client's protocol machine; no gnet, no goroutine, no lock.
//
//	header > sniff > hello > opening > relay > closed
//	         sniff > init  > relay
//	         sniff | hello | init > front | discard > closed
//	any > closed
//
// Header is for ports behind a balancer only; the others begin with sniff.
package session

import (
	"encoding/binary"
	"net/netip"

	"epoxy/codec"
	"epoxy/codec/buf"
	"epoxy/codec/faketls"
	"epoxy/codec/obfs2"
	"epoxy/engine/quota"
	"epoxy/upstream"
)

// State is where a session stands.
type State uint8

// The states; the arrows are in the package comment.
const (
	Header  State = iota // collecting a PROXY protocol header
	Sniff                // too few bytes to tell fake-TLS from a bare init
	Hello                // collecting and checking a ClientHello
	Opening              // answered, or about to be; collecting the init inside the records
	Init                 // collecting and checking a bare init
	Relay                // carrying bytes
	Front                // a stranger, spliced to the front
	Discard              // a stranger, read into silence
	Closed               // the socket is closing or gone
)

var stateNames = [...]string{"header", "sniff", "hello", "opening", "init", "relay", "front", "discard", "closed"}

// String returns the state's name.
func (s State) String() string { return stateNames[s] }

type flags uint16

const (
	spoke     flags = 1 << iota // the first byte came
	inTLS                       // records around everything
	compacted                   // ciphers dropped
	held                        // the client is paused for its stream, or for a scan
	blocked                     // the stream is paused for the client
	atEOF                       // the client sent FIN
	grounded                    // the flight waits in part for its time
	ramping                     // records to the client start small
	restsUp                     // the client is paused for its secret's rate
	restsDown                   // the stream is paused for its secret's rate
)

// Session is one client. It is the Handler of the client's socket and the Sink of its stream; its loop alone
// touches it. At most 256 bytes.
type Session struct {
	in, out  obfs2.Stream // from and to the client
	socket   upstream.Socket
	stream   upstream.Stream // nil before Relay or Front, and after the end
	port     *Port
	part     *buf.Buffer    // an opening that is not whole yet, or a flight that waits; else nil
	extra    *extra         // nil for most
	secret   *Secret        // that fitted; nil before
	pass     *Pass          // nil before it was admitted, and where nobody is asked
	account  *quota.Account // the pass's; counts its bytes, nil for none
	active   int64          // loop time of the last byte; of accept before the first
	deadline int64          // loop time when the opening has to be whole, or the talk with the front over; in Relay, when it began
	records  faketls.Reader
	cursor   uint32 // secrets tried, or bytes swallowed from a stranger
	client   uint32 // hash of the client's address
	sentAt   uint32 // loop time, cut off, of the last byte to a client with a ramp
	dc       codec.DC
	flags    flags
	state    State
	ramp     uint8 // records of the ramp so far
	tag      codec.Transport
	proto    codec.Protocol
}

// New begins the session of a client that was just accepted and returns it as the socket's Handler.
func New(port *Port, socket upstream.Socket, peer netip.AddrPort) *Session {
	now := port.env.Loop.Now()
	s := &Session{socket: socket, port: port, client: hashAddr(peer.Addr())}
	if port.ProxyHeader {
		socket.SetTimer(now + port.Timing.ProxyHeader)
	} else {
		if ask := port.env.Remember; ask != nil && ask() {
			s.extras().client = peer
		}
		s.begin(now)
	}
	port.env.Count.Accepted++
	port.env.Count.Open++
	return s
}

// begin starts to wait for the client's first byte.
func (s *Session) begin(now int64) {
	t := s.port.Timing
	s.state, s.active, s.deadline = Sniff, now, now+t.FirstByte
	if s.port.fronts() {
		s.deadline = now + t.FrontSilence
	}
	s.socket.SetTimer(s.deadline)
}

// Port returns the port as it was when the client came.
func (s *Session) Port() *Port { return s.port }

// Secret returns the secret that fitted, nil before one did.
func (s *Session) Secret() *Secret { return s.secret }

// State returns where the session stands.
func (s *Session) State() State { return s.state }

// hashAddr folds an address to 32 bits; IPv6 by its /64. It is a hint only, so it need not be keyed.
func hashAddr(a netip.Addr) uint32 {
	b := a.As16()
	h := binary.BigEndian.Uint64(b[:8])*0x9e3779b97f4a7c15 + 1
	if a.Is4() {
		h ^= uint64(binary.BigEndian.Uint32(b[12:])) * 0xff51afd7ed558ccd
	}
	return uint32(h >> 32)
}

// Opened is not called for accepted sockets.
func (s *Session) Opened(upstream.Socket) {}

// Data takes what the client sent.
func (s *Session) Data(_ upstream.Socket, p []byte) {
	switch s.state {
	case Relay:
		s.up(p)
	case Front:
		s.touch()
		s.send(p)
	case Discard:
		s.swallow(len(p))
	case Header:
		s.header(p)
	case Sniff, Hello, Init, Opening:
		s.shake(p)
	case Closed:
	}
}

// EOF says that the client will send no more.
func (s *Session) EOF(upstream.Socket) {
	s.flags |= atEOF
	switch s.state {
	case Relay, Front:
		s.stream.CloseSend()
	case Header:
		s.end(codec.ReasonProxyHeader)
	case Sniff, Hello, Init:
		s.leave()
	case Opening, Discard:
		s.end(codec.ReasonClientClosed)
	case Closed:
	}
}

// Drained lets a paused stream go on.
func (s *Session) Drained(upstream.Socket) {
	if s.flags&blocked != 0 && s.stream != nil {
		s.flags &^= blocked
		if s.flags&restsDown == 0 {
			s.stream.Resume()
		}
	}
}

// Again goes on with a search for the secret.
func (s *Session) Again(upstream.Socket) {
	if s.part != nil && (s.state == Hello || s.state == Init) {
		s.advance(s.part.B)
	}
}

// Timer acts on the time that has come.
func (s *Session) Timer(upstream.Socket) {
	now := s.port.env.Loop.Now()
	switch s.state {
	case Header:
		s.end(codec.ReasonProxyHeaderTime)
	case Sniff, Hello, Init:
		s.late(now)
	case Opening:
		if s.flags&grounded != 0 {
			s.takeOff()
			return
		}
		s.end(codec.ReasonOpeningTime)
	case Relay:
		s.quiet(now)
	case Front:
		s.visit(now)
	case Discard:
		s.end(codec.ReasonDiscarded)
	case Closed:
	}
}

// quiet looks at a silence: compacts after one time, closes after another.
func (s *Session) quiet(now int64) {
	t, silence := s.port.Timing, now-s.active
	if silence >= t.Idle {
		s.end(codec.ReasonIdle)
		return
	}
	if silence >= t.Compact && s.flags&compacted == 0 {
		s.flags |= compacted
		s.in.Compact()
		s.out.Compact()
		s.stream.Compact()
		s.port.env.Count.Compacted++
	}
	s.arm()
}

// arm sets the timer of a session that carries bytes.
func (s *Session) arm() {
	t := s.port.Timing
	next := s.active + t.Idle
	if s.flags&compacted == 0 {
		next = min(next, s.active+t.Compact)
	}
	s.socket.SetTimer(next)
}

// touch notes that something moved.
func (s *Session) touch() {
	s.active = s.port.env.Loop.Now()
	if s.flags&compacted != 0 {
		s.flags &^= compacted
		s.arm()
	}
}

// end closes the client after what is queued for it, and its stream; or at once, see hasty.
func (s *Session) end(why codec.Reason) {
	if s.state == Closed {
		return
	}
	s.tell(why)
	if s.state == Discard {
		s.port.env.Count.Discarding--
	}
	abort := s.hasty(why)
	s.state = Closed
	s.drop(why)
	s.socket.SetTimer(0)
	if abort {
		s.socket.Abort(why)
		return
	}
	s.socket.Close(why)
}

// hasty reports an end by RST: of a client for whom too much waits, as it does not read and what waits is memory for others;
// and of a stranger whom the front refused or reset (spec client-protocols 6).
func (s *Session) hasty(why codec.Reason) bool {
	switch why {
	case codec.ReasonQueueLimit, codec.ReasonMemory:
		return true
	case codec.ReasonUpstreamReset, codec.ReasonNoUpstream, codec.ReasonDialRefused, codec.ReasonDialTime, codec.ReasonDialError:
		return s.state == Front
	default: //exhaustive:ignore
	}
	return false
}

// Expel ends a live session for a reason of the operator's: what is queued still leaves. On the loop.
func (s *Session) Expel(why codec.Reason) { s.end(why) }

// drop gives back everything but the socket.
func (s *Session) drop(why codec.Reason) {
	if s.stream != nil {
		st := s.stream
		s.stream = nil
		st.Close(why)
	}
	s.forget()
	s.leavePass()
	s.spent()
	s.in.Wipe()
	s.out.Wipe()
}

// Closed is the socket's last word.
func (s *Session) Closed(_ upstream.Socket, why codec.Reason) {
	switch why { // what the socket calls its peer is our client
	case codec.ReasonPeerClosed:
		why = codec.ReasonClientClosed
	case codec.ReasonPeerReset:
		why = codec.ReasonClientReset
	default: //exhaustive:ignore
	}
	if s.state != Closed {
		s.tell(why)
	}
	if s.state == Discard {
		s.port.env.Count.Discarding--
	}
	s.state = Closed
	s.drop(why)
	c := &s.port.env.Count
	c.Open--
	c.Closed[why]++
	if s.port.env.Gone != nil {
		s.port.env.Gone()
	}
	if s.port.Gone != nil {
		s.port.Gone()
	}
}
