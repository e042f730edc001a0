package faketg

import (
	"epoxy/codec"
	"epoxy/codec/frame"
	"epoxy/upstream"
)

// forwarder is Behind for one link: each stream is a connection to a real datacenter.
type forwarder struct {
	link      *link
	to        upstream.Target
	transport codec.Transport
	dc        codec.DC
	calls     map[uint64]*call
	waiting   []*call // not read, because the link is full
	full      *call   // the link is not read, because of this one
}

func newForwarder(l *link, o *MiddleSettings, dc codec.DC) *forwarder {
	f := &forwarder{
		link: l, to: upstream.Target{Addr: o.Forward}, transport: o.Transport, dc: dc, calls: map[uint64]*call{},
	}
	if f.transport == codec.TransportNone {
		f.transport = codec.Intermediate
	}
	if f.dc == 0 {
		f.dc = o.ForwardDC
	}
	return f
}

// Packet sends a packet on, dialling for the first.
func (f *forwarder) Packet(id uint64, packet []byte, quick bool) bool {
	c := f.calls[id]
	if c == nil {
		c = &call{f: f, id: id}
		sock, why := f.link.loop.Dial(f.to, c)
		if why != codec.ReasonNone {
			return false
		}
		caller, opening := NewCaller(f.link.loop.Rand, f.transport, f.dc)
		c.sock, c.caller = sock, caller
		f.calls[id] = c
		sock.Write(opening[:])
	}
	c.room = c.caller.Send(c.room[:0], packet, quick)
	c.sock.Write(c.room)
	if c.sock.Queued() > linkQueued && f.full == nil {
		f.full = c
		f.link.paused = true
		f.link.sock.Pause()
	}
	return true
}

// Closed ends a stream's connection.
func (f *forwarder) Closed(id uint64) {
	if c := f.calls[id]; c != nil {
		delete(f.calls, id)
		c.sock.Close(codec.ReasonClientClosed)
	}
}

// resume reads all connections again.
func (f *forwarder) resume() {
	for _, c := range f.waiting {
		c.sock.Resume()
	}
	f.waiting = f.waiting[:0]
}

// call is one stream's connection to the datacenter.
type call struct {
	f      *forwarder
	id     uint64
	sock   upstream.Socket
	caller *Caller
	room   []byte
}

func (c *call) Opened(upstream.Socket) {}
func (c *call) Timer(upstream.Socket)  {}
func (c *call) Again(upstream.Socket)  {}

// Data turns packets into answers.
func (c *call) Data(s upstream.Socket, p []byte) {
	l := c.f.link
	out := l.loop.Scratch()[:0]
	err := c.caller.Feed(p, func(a frame.Answer) {
		if a.Body == nil {
			out = l.m.Ack(out, c.id, a.Confirm)
		} else {
			out = l.m.Answer(out, c.id, a.Body)
		}
	})
	l.send(l.sock, out)
	l.pump(l.sock)
	if err != nil {
		s.Close(codec.ReasonOf(err, codec.ReasonPacketSize))
		return
	}
	if l.queued(l.sock) > linkQueued {
		s.Pause()
		c.f.waiting = append(c.f.waiting, c)
	}
}

// EOF closes; the stream ends with Closed.
func (c *call) EOF(s upstream.Socket) { s.Close(codec.ReasonPeerClosed) }

// Drained lets the link be read again.
func (c *call) Drained(upstream.Socket) {
	if c.f.full == c {
		c.f.full = nil
		c.f.link.resume(c.f.link.sock)
	}
}

// Closed ends the stream.
func (c *call) Closed(s upstream.Socket, _ codec.Reason) {
	c.Drained(s)
	if c.f.calls[c.id] != c {
		return
	}
	delete(c.f.calls, c.id)
	l := c.f.link
	l.send(l.sock, l.m.CloseExt(l.loop.Scratch()[:0], c.id))
}
