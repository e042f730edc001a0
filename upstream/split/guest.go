package split

import (
	"epoxy/codec"
	"epoxy/codec/buf"
	"epoxy/codec/frame"
	wire "epoxy/codec/split"
	"epoxy/upstream"
)

// guest is one client of a front, and the Sink of its stream to Telegram.
//
//	open > ending > over
//
// Ending is without a stream: what is left goes out as the front gives credit.
type guest struct {
	back      *Back
	lane      *lane
	tenant    *tenant
	stream    upstream.Stream // nil when Telegram's side is over
	out       *outq
	part      *buf.Buffer // a torn packet of the client's
	rest      *buf.Buffer // bytes of Telegram's that were not sent: a torn packet, or for want of credit
	id        uint32
	credit    int // bytes that we may send
	window    int // bytes that the front may send
	owed      int // bytes that went up and the front may send again
	flags     flags
	transport codec.Transport
	over      bool
	why       codec.Reason // of the end, while ending
}

var _ upstream.Sink = (*guest)(nil)

// Flags of a guest, beside ofBytes, listed, and paused: the stream is, for want of credit or because the outbox is full.
const (
	behind = pending // the stream has more than it should, SendDrained is due
	ending = migrant // its stream is over
)

// data takes a fragment of a packet, or bytes; raw is the whole frame.
func (g *guest) data(f *wire.Frame, raw []byte) error {
	n := len(f.Payload)
	if g.part == nil && g.window <= 0 {
		return errCredit
	}
	g.window -= n
	g.back.Count.BytesUp += uint64(n)
	if g.stream == nil {
		return nil
	}
	if g.flags&ofBytes != 0 {
		g.stream.Send(f.Payload)
		g.pay(n)
		return nil
	}
	body := f.Payload
	if f.More() || g.part != nil {
		if err := g.lane.collect(&g.part, body, frame.MaxPacket); err != nil || f.More() {
			return err
		}
		body = g.part.B
	}
	if len(body) == 0 || len(body)%4 != 0 {
		return errPacket
	}
	g.back.Count.PacketsUp++
	if size := frame.HeaderSize(g.transport, len(body)); g.part == nil { // the link's header makes room for the packet's
		at := wire.HeaderSize - size
		frame.AppendHeader(raw[:at], g.transport, len(body), f.Quick())
		g.stream.Send(raw[at:])
	} else {
		p := append(frame.AppendHeader(g.back.framed[:0], g.transport, len(body), f.Quick()), body...)
		if g.back.framed = p[:0]; cap(p) > deliverMost {
			g.back.framed = nil
		}
		n = len(body)
		g.lane.release(&g.part)
		g.stream.Send(p)
	}
	g.pay(n)
	return nil
}

// pay lets the front send n more bytes, now, with the next, or when the stream took what it has.
func (g *guest) pay(n int) {
	g.owed += n
	if g.stream == nil || g.over {
		return
	}
	if g.stream.Queued() > softQueue {
		g.flags |= behind
		return
	}
	if g.owed < payUp {
		return
	}
	var room [wire.HeaderSize + 4]byte
	g.lane.link.out.urgent(wire.AppendCredit(room[:0], g.id, uint32(g.owed)))
	g.window += g.owed
	g.owed = 0
}

// SendDrained gives the credit that waited.
func (g *guest) SendDrained() {
	if g.flags&behind != 0 {
		g.flags &^= behind
		g.pay(0)
	}
}

// Deliver carries Telegram's bytes down, as far as they are whole packets and there is credit.
func (g *guest) Deliver(p []byte) {
	if g.over {
		return
	}
	if g.rest != nil {
		g.keep(p)
		g.resend()
		return
	}
	if n := g.pack(p); n < len(p) && !g.over {
		g.rest = buf.Partial.Get()
		g.keep(p[n:])
	}
}

// keep appends p to what was not sent. A guest for whom much waits is closed while too much does for all together.
func (g *guest) keep(p []byte) {
	b := g.back
	g.rest.B = append(g.rest.B, p...)
	if b.held += len(p); b.held > b.Budget && len(g.rest.B) > softQueue {
		b.Count.Shed++
		g.lane.link.out.discard(g.out)
		g.close(codec.ReasonMemory)
	}
}

// resend sends what was kept.
func (g *guest) resend() {
	b := g.rest
	if b == nil {
		return
	}
	n := g.pack(b.B)
	if g.rest != b {
		return
	}
	g.back.held -= n
	if b.B = b.B[:copy(b.B, b.B[n:])]; len(b.B) == 0 {
		buf.Partial.Put(b)
		g.rest = nil
	}
}

// pack sends p as far as it can, and returns how far. The guest may be over afterwards.
func (g *guest) pack(p []byte) (n int) {
	b := g.back
	out := b.frames[:0]
	why := codec.ReasonNone
	for n < len(p) && g.credit > 0 {
		if g.flags&ofBytes != 0 {
			m := min(len(p)-n, g.credit)
			out = wire.AppendData(out, g.id, 0, p[n:n+m], fragment)
			g.credit -= m
			b.Count.BytesDown += uint64(m)
			n += m
			continue
		}
		a, used, err := frame.NextAnswer(g.transport, p[n:])
		if err == codec.ErrShort {
			break
		}
		if err != nil {
			why = codec.ReasonOf(err, codec.ReasonMessage)
			break
		}
		if n += used; a.Body == nil {
			out = wire.AppendAck(out, g.id, a.Confirm)
			continue
		}
		b.Count.PacketsDown++
		b.Count.BytesDown += uint64(len(a.Body))
		out = wire.AppendData(out, g.id, 0, a.Body, fragment)
		g.credit -= len(a.Body)
	}
	if len(out) > 0 {
		g.lane.put(g.out, out)
	}
	if b.frames = out[:0]; cap(out) > 4*deliverMost {
		b.frames = nil
	}
	if why != codec.ReasonNone {
		g.close(why)
		return n
	}
	if g.blocked() {
		g.wait()
	}
	return n
}

// blocked reports whether nothing more may be sent now.
func (g *guest) blocked() bool { return g.credit <= 0 || g.lane.full }

// wait makes Telegram wait: a datacenter's socket is not read, a middle proxy's answers are queued up to --queue-limit.
func (g *guest) wait() {
	if g.flags&paused == 0 {
		g.flags |= paused
		g.back.Count.Stalls++
		if g.stream != nil {
			g.stream.Pause()
		}
	}
	if g.lane.full && g.flags&listed == 0 {
		g.flags |= listed
		g.lane.stalled = append(g.lane.stalled, g)
	}
}

// goOn says that there is credit, or that the outbox drained.
func (g *guest) goOn() {
	if g.flags&listed != 0 && !g.lane.full {
		g.flags &^= listed
	}
	if g.over || g.blocked() {
		return
	}
	g.resend()
	switch {
	case g.over || g.blocked():
	case g.flags&ending != 0:
		g.close(g.why)
	case g.flags&paused != 0:
		g.flags &^= paused
		g.stream.Resume()
	}
}

// EndOfStream says that Telegram sent its last byte. A link knows no half-open stream.
func (g *guest) EndOfStream() {
	st := g.stream
	g.Ended(codec.ReasonUpstreamClosed)
	st.Close(codec.ReasonUpstreamClosed)
}

// Ended says that the stream is gone. What the front has no credit for goes out first, unless that is the reason.
func (g *guest) Ended(why codec.Reason) {
	g.stream = nil
	if g.over {
		return
	}
	if why == codec.ReasonQueueLimit || why == codec.ReasonMemory {
		g.lane.link.out.discard(g.out)
	} else if g.rest != nil && g.blocked() {
		g.flags |= ending
		g.why = why
		return
	}
	g.close(why)
}

// close tells the front, behind all that was sent, and ends.
func (g *guest) close(why codec.Reason) {
	var room [wire.HeaderSize + 2]byte
	g.lane.put(g.out, wire.AppendClose(room[:0], g.id, wire.WhyOf(why)))
	g.end(why)
}

// end is the end.
func (g *guest) end(why codec.Reason) {
	if g.over {
		return
	}
	g.over = true
	delete(g.lane.guests, g.id)
	if g.part != nil {
		g.lane.release(&g.part)
	}
	if g.rest != nil {
		g.back.held -= len(g.rest.B)
		buf.Partial.Put(g.rest)
		g.rest = nil
	}
	g.back.Count.Guests--
	g.tenant.streams.Add(-1)
	if st := g.stream; st != nil {
		g.stream = nil
		st.Close(why)
	}
}
