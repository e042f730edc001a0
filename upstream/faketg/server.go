package faketg

import (
	"net/netip"
	"sync/atomic"

	"epoxy/codec"
	"epoxy/upstream"
)

// Faults is how a Server misbehaves. The zero value is a good server. Counts are bytes sent on one connection;
// 0 is never.
type Faults struct {
	Refuse     bool  // reset each connection as soon as it is accepted
	Deaf       bool  // accept, then read nothing
	Stall      bool  // read, and never answer
	OneByte    bool  // write one byte at a time
	ResetAfter int64 // send so many bytes, then reset
	CloseAfter int64 // send so many bytes, then FIN

	OnlyDC codec.DC // refuse openings for other datacenters with -444; 0 takes all
}

// Server is a datacenter for any number of event loops.
type Server struct {
	faults atomic.Pointer[Faults] // for connections yet to come
	ledger ledger
}

// NewServer returns a server with these faults.
func NewServer(f Faults) *Server {
	s := new(Server)
	s.SetFaults(f)
	return s
}

// SetFaults changes how new connections are treated; any goroutine may call it.
func (s *Server) SetFaults(f Faults) { s.faults.Store(&f) }

// On returns what accepts connections on one loop.
func (s *Server) On(loop upstream.Loop) *Acceptor { return &Acceptor{server: s, loop: loop} }

// Acceptor is a Server on one loop.
type Acceptor struct {
	server *Server
	loop   upstream.Loop
}

// Accept makes a DC for the socket.
func (a *Acceptor) Accept(s upstream.Socket, peer netip.AddrPort) upstream.Handler {
	f := a.server.faults.Load()
	a.server.ledger.accepted.Add(1)
	if f.Refuse {
		a.server.ledger.refused.Add(1)
		s.Abort(codec.ReasonDenied)
	}
	if f.Deaf {
		s.Pause()
	}
	v := &visitor{loop: a.loop, ledger: &a.server.ledger, faults: f, peer: peer, dc: NewDC(a.loop.Rand)}
	v.dc.Only = f.OnlyDC
	return v
}

// visitor is one connection of a Server. Its loop owns it.
type visitor struct {
	loop   upstream.Loop
	ledger *ledger
	faults *Faults
	peer   netip.AddrPort
	dc     DC
	sent   int64
	drip   []byte // what OneByte still has to send
	ended  bool   // the peer sent FIN
	paused bool
}

func (v *visitor) Opened(upstream.Socket) {}
func (v *visitor) Timer(upstream.Socket)  {}

// Data feeds the DC and sends its answer.
func (v *visitor) Data(s upstream.Socket, p []byte) {
	l := v.ledger
	l.received.Add(uint64(len(p)))
	wasOpen, packets := v.dc.Opened(), v.dc.Packets
	out, err := v.dc.Feed(p, v.loop.Scratch()[:0])
	if !wasOpen && v.dc.Opened() {
		l.visit(Visit{Opening: v.dc.Opening, Peer: v.peer})
	}
	l.packets.Add(v.dc.Packets - packets)
	v.send(s, out)
	if err != nil {
		if v.dc.Opened() && err != errOtherDC {
			l.badFrames.Add(1)
		} else {
			l.badOpenings.Add(1)
		}
		s.Close(codec.ReasonOf(err, codec.ReasonBadTag))
		return
	}
	v.pump(s)
	if !v.paused && v.queued(s) > maxQueued {
		v.paused = true
		s.Pause()
	}
}

// EOF closes when everything that was asked for is sent.
func (v *visitor) EOF(s upstream.Socket) {
	v.ended = true
	if v.faults.Stall {
		s.Close(codec.ReasonPeerClosed)
	}
	v.pump(s)
}

// Drained goes on with what waits.
func (v *visitor) Drained(s upstream.Socket) {
	if v.paused {
		v.paused = false
		s.Resume()
	}
	v.pump(s)
}

// Again sends the next byte, or the next part of a source.
func (v *visitor) Again(s upstream.Socket) {
	if len(v.drip) > 0 {
		v.write(s, v.drip[:1])
		v.drip = v.drip[1:]
		if len(v.drip) > 0 {
			s.Again()
			return
		}
	}
	v.pump(s)
}

// Closed counts.
func (v *visitor) Closed(upstream.Socket, codec.Reason) { v.ledger.closed.Add(1) }

func (v *visitor) queued(s upstream.Socket) int { return s.Queued() + len(v.drip) }

// pump sends parts of a source while the socket takes them, at most four in one turn.
func (v *visitor) pump(s upstream.Socket) {
	if v.faults.Stall {
		return
	}
	for turn := 0; v.dc.Left() > 0; turn++ {
		if v.queued(s) > 0 {
			return
		}
		if turn == 4 {
			s.Again()
			return
		}
		v.send(s, v.dc.Pull(v.loop.Scratch()[:0], pullSize))
	}
	if v.ended && len(v.drip) == 0 {
		s.Close(codec.ReasonPeerClosed)
	}
}

func (v *visitor) send(s upstream.Socket, p []byte) {
	switch {
	case len(p) == 0 || v.faults.Stall:
	case v.faults.OneByte:
		v.drip = append(v.drip, p...)
		s.Again()
	default:
		v.write(s, p)
	}
}

// write sends p up to the byte where a fault cuts.
func (v *visitor) write(s upstream.Socket, p []byte) {
	f := v.faults
	cut := f.ResetAfter
	if cut == 0 {
		cut = f.CloseAfter
	}
	if cut > 0 && v.sent+int64(len(p)) >= cut {
		p = p[:cut-v.sent]
	}
	s.Write(p)
	v.sent += int64(len(p))
	v.ledger.sent.Add(uint64(len(p)))
	if cut == 0 || v.sent < cut {
		return
	}
	v.drip = nil
	v.faults = &Faults{Stall: true}
	if f.ResetAfter > 0 {
		s.Abort(codec.ReasonDiscarded)
	} else {
		s.Close(codec.ReasonDiscarded)
	}
}
