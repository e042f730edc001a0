package split

import (
	"epoxy/codec"
	"epoxy/codec/rpc"
	wire "epoxy/codec/split"
	"epoxy/upstream"
)

// BackCounters are a loop's counts since its start; the loop alone touches them.
type BackCounters struct {
	Guests                 int64 // alive
	Opened                 uint64
	Failed                 uint64 // that could not be opened
	Stalls                 uint64 // times that Telegram waited for credit or a link
	Shed                   uint64 // closed because too much waited
	Lost                   uint64 // closed with their front's link
	PacketsUp, PacketsDown uint64
	BytesUp, BytesDown     uint64
}

// Back puts the clients of fronts on one loop's own way to Telegram. Its loop alone touches it.
type Back struct {
	server  *Server
	loop    Loop
	index   int
	Count   BackCounters
	Budget  int // bytes that may wait for all guests of the loop
	held    int // that do
	task    upstream.Socket
	timerAt int64
	lanes   []*lane
	pacing  []*guest
	paceEnd int64
	frames  []byte // of one Deliver
	framed  []byte // a packet for Telegram
	stopped bool
}

func newBack(s *Server, loop Loop, index int) *Back {
	b := &Back{server: s, loop: loop, index: index, Budget: loopBudget}
	b.task = loop.Task(b)
	return b
}

// welcome takes a link.
func (b *Back) welcome(a *lane) {
	a.guests = make(map[uint32]*guest)
	if b.stopped {
		a.gone = true
		return
	}
	b.lanes = append(b.lanes, a)
}

// frame acts on one frame of a front.
func (b *Back) frame(a *lane, f *wire.Frame, raw []byte) error {
	g := a.guests[f.Stream]
	switch f.Type {
	case wire.TypeOpen:
		return b.open(a, f)
	case wire.TypeData:
		if g == nil {
			return nil // of a stream that we closed
		}
		return g.data(f, raw)
	case wire.TypeCredit:
		n, err := wire.ParseWord(f.Payload)
		if err == nil && g != nil {
			if n > creditMost || g.credit > creditMost {
				return errCredit
			}
			g.credit += int(n)
			g.goOn()
		}
		return err
	case wire.TypeClose:
		_, err := wire.ParseWhy(f.Payload)
		if err == nil && g != nil {
			g.end(codec.ReasonClientClosed)
		}
		return err
	case wire.TypeBound, wire.TypeAck:
		return errType
	default: //exhaustive:ignore
	}
	return nil // of a later version
}

// open lets a guest in, whom admit has counted.
func (b *Back) open(a *lane, f *wire.Frame) error {
	tenant := a.link.owner.(*tenant)
	o, err := wire.ParseOpen(f.Payload)
	if err != nil {
		tenant.streams.Add(-1)
		return err
	}
	g := &guest{back: b, lane: a, tenant: tenant, id: f.Stream, out: new(outq), transport: o.Transport,
		credit: int(min(o.Credit, creditMost)), window: creditUp}
	if o.Flags&wire.OpenBytes != 0 {
		g.flags |= ofBytes
	}
	req := upstream.Request{DC: o.DC, Transport: o.Transport, Client: o.Client, Local: o.Local, Tag: (*rpc.Tag)(o.Tag)}
	route := wire.RouteDirect
	if b.server.opts.Linked(b.index, req) {
		route = wire.RouteMiddle
	}
	stream, why := b.server.opts.Routers[b.index].Open(req, g)
	if why != codec.ReasonNone {
		b.Count.Failed++
		tenant.streams.Add(-1)
		a.link.out.urgent(wire.AppendClose(nil, f.Stream, wire.WhyOf(why)))
		return nil
	}
	g.stream = stream
	a.guests[g.id] = g
	b.Count.Guests++
	b.Count.Opened++
	a.link.out.urgent(wire.AppendBound(nil, g.id, route, o.DC))
	return nil
}

// flush has nothing to do: guests send at once.
func (b *Back) flush() {}

// changed has nothing to do: fronts have no status.
func (b *Back) changed(*lane) {}

// drained has nothing to do: the lane's guests went on.
func (b *Back) drained(*lane) {}

// lost ends the guests of a front that is gone, many of them within paceTime.
func (b *Back) lost(a *lane) {
	for i, other := range b.lanes {
		if other == a {
			b.lanes = append(b.lanes[:i], b.lanes[i+1:]...)
			break
		}
	}
	a.stalled = nil
	if len(a.guests) == 0 || b.stopped {
		return
	}
	if len(b.pacing) == 0 {
		b.paceEnd = b.loop.Now() + paceTime
	}
	for _, g := range a.guests {
		b.Count.Lost++
		b.pacing = append(b.pacing, g)
	}
	b.wake(b.loop.Now() + 1)
}

// wake asks for Timer at time at or earlier.
func (b *Back) wake(at int64) {
	if b.timerAt == 0 || at < b.timerAt {
		b.timerAt = at
		b.task.SetTimer(at)
	}
}

// Timer ends the next of those that are ended in good time.
func (b *Back) Timer(upstream.Socket) {
	b.timerAt = 0
	now := b.loop.Now()
	for range paceOf(len(b.pacing), now, b.paceEnd) {
		last := len(b.pacing) - 1
		g := b.pacing[last]
		b.pacing[last] = nil
		b.pacing = b.pacing[:last]
		g.end(codec.ReasonClientClosed)
	}
	if len(b.pacing) > 0 {
		b.wake(now + paceStep)
	}
}

// Closed says that the loop ends, or that a fault of ours cost the task.
func (b *Back) Closed(_ upstream.Socket, why codec.Reason) {
	if why == codec.ReasonPanic {
		b.timerAt = 0
		b.task = b.loop.Task(b)
		b.wake(b.loop.Now() + 1)
		return
	}
	b.stopped = true
	for _, a := range b.lanes {
		for _, g := range a.guests {
			g.end(why)
		}
	}
	for _, g := range b.pacing {
		g.end(why)
	}
	b.pacing = nil
}

// The task is no connection: the rest of upstream.Handler is not called.

// Opened is not called.
func (b *Back) Opened(upstream.Socket) {}

// Data is not called.
func (b *Back) Data(upstream.Socket, []byte) {}

// EOF is not called.
func (b *Back) EOF(upstream.Socket) {}

// Drained is not called.
func (b *Back) Drained(upstream.Socket) {}

// Again is not used.
func (b *Back) Again(upstream.Socket) {}
