package middle

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"

	"epoxy/codec"
	"epoxy/codec/frame"
	"epoxy/codec/rpc"
)

// twin is what the naive model knows of one client.
type twin struct {
	c      *client
	up     [][]byte // packets that are still to reach a middle proxy, in order
	got    int      // answers checked
	want   [][]byte // answers that it is to get
	lost   bool     // its link ended with something outstanding: it may be closed
	closed bool     // by itself
	ext    bool     // by the middle proxy
	mark   int
}

// model drives a router and its middle proxies at random, beside plain lists of what must come out.
type model struct {
	*rapid.T
	w       *world
	twins   []*twin
	read    map[*peer]int   // queries checked
	seen    map[uint64]bool // ids used on any link
	relayed int
}

// A55: random clients come, speak, hear, stall and go; links are cut at random. Every packet arrives once, in order and
// at its own client; nobody is closed without cause; in the end no stream, byte, id or count is left over.
func TestModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(t, twoAddr+"proxy_for 4 192.0.2.4:80;\n", Options{})
		m := &model{T: rt, w: w, read: map[*peer]int{}, seen: map[uint64]bool{}}
		rt.Repeat(map[string]func(*rapid.T){
			"open": m.open, "send": m.send, "send torn": m.torn, "answer": m.answer, "pause": m.pause,
			"resume": m.resume, "client closes": m.leave, "close ext": m.ext, "link ends": m.cut, "time": m.time,
			"links come": func(*rapid.T) { w.up() },
			"":           m.check,
		})
		m.finish()
	})
}

// pick returns a client that lives, nil when there is none.
func (m *model) pick(rt *rapid.T) *twin {
	var live []*twin
	for _, x := range m.twins {
		if !x.closed && x.c.ends == 0 {
			live = append(live, x)
		}
	}
	if len(live) == 0 {
		rt.Skip("nobody lives")
	}
	return live[rapid.IntRange(0, len(live)-1).Draw(rt, "client")]
}

func (m *model) open(rt *rapid.T) {
	dc := rapid.SampledFrom([]codec.DC{2, 2, 4, -4, 9}).Draw(rt, "dc")
	x := &twin{c: m.w.open(dc, rapid.SampledFrom(transports).Draw(rt, "transport")), mark: len(m.twins) * 1000}
	m.twins = append(m.twins, x)
}

// next returns the client's next packet; its first bytes name client and number.
func (x *twin) next(size int) []byte {
	x.mark++
	return packet(x.mark, size&^3)
}

func (m *model) send(rt *rapid.T) {
	x := m.pick(rt)
	var wire []byte
	for range rapid.IntRange(1, 4).Draw(rt, "packets") {
		p := x.next(rapid.IntRange(28, 3000).Draw(rt, "size"))
		x.up = append(x.up, p)
		wire = frame.Append(wire, x.c.transport, p, nil)
	}
	x.c.s.Send(wire)
}

func (m *model) torn(rt *rapid.T) {
	x := m.pick(rt)
	p := x.next(rapid.IntRange(28, 3000).Draw(rt, "size"))
	wire := frame.Append(nil, x.c.transport, p, nil)
	cut := rapid.IntRange(1, len(wire)-1).Draw(rt, "cut")
	x.c.s.Send(bytes.Clone(wire[:cut]))
	if rapid.Bool().Draw(rt, "a link dies between") && x.c.s.(*Stream).link != nil {
		m.drop(m.w.peerOf(x.c))
	}
	x.up = append(x.up, p)
	x.c.s.Send(wire[cut:])
}

// flushed lets the turn pass and checks what reached the middle proxies against the model.
func (m *model) flushed() {
	m.w.turn()
	for _, p := range m.w.peers {
		for _, q := range p.queries[m.read[p]:] {
			m.relayed++
			x := m.owner(q)
			if x == nil {
				m.Fatalf("a packet that nobody sent, or out of order: % x", q.Packet[:8])
			}
			m.seen[q.ID] = true
		}
		m.read[p] = len(p.queries)
	}
}

// owner takes a query off the list of the client that sent it.
func (m *model) owner(q rpc.Query) *twin {
	for _, x := range m.twins {
		if len(x.up) > 0 && bytes.Equal(x.up[0], q.Packet) {
			x.up = x.up[1:]
			return x
		}
	}
	return nil
}

func (m *model) answer(rt *rapid.T) {
	m.flushed()
	alive := m.w.alive()
	if len(alive) == 0 {
		rt.Skip("no link")
	}
	p := alive[rapid.IntRange(0, len(alive)-1).Draw(rt, "link")]
	var bodies [][]byte
	for range rapid.IntRange(1, 6).Draw(rt, "answers") {
		for _, x := range m.twins {
			s := x.c.s.(*Stream)
			if s.link == nil || s.link.socket != p.socket || !rapid.Bool().Draw(rt, "to this") {
				continue
			}
			a := x.next(rapid.IntRange(8, 5000).Draw(rt, "size"))
			x.want = append(x.want, a)
			bodies = append(bodies, rpc.AppendAnswer(nil, 0, s.id, a))
		}
	}
	wire := p.frames(bodies...)
	for len(wire) > 0 {
		n := rapid.IntRange(1, len(wire)).Draw(rt, "read")
		p.data(wire[:n])
		wire = wire[n:]
	}
}

func (m *model) pause(rt *rapid.T)  { m.pick(rt).c.s.Pause() }
func (m *model) resume(rt *rapid.T) { m.pick(rt).c.s.Resume() }

func (m *model) leave(rt *rapid.T) {
	x := m.pick(rt)
	m.flushed() // what was sent before goes up
	if x.c.ends > 0 {
		return
	}
	x.closed = true
	x.up = nil
	x.c.s.Close(codec.ReasonClientClosed)
}

func (m *model) ext(rt *rapid.T) {
	m.flushed()
	x := m.pick(rt)
	s := x.c.s.(*Stream)
	if s.link == nil {
		rt.Skip("not on a link")
	}
	x.ext = true
	m.w.peerOf(x.c).send(rpc.AppendCloseExt(nil, s.id))
}

func (m *model) cut(rt *rapid.T) {
	alive := m.w.alive()
	if len(alive) == 0 {
		rt.Skip("no link")
	}
	m.drop(alive[rapid.IntRange(0, len(alive)-1).Draw(rt, "link")])
}

// drop ends a link. What its clients sent may be lost with it, and who waits for an answer may be closed.
func (m *model) drop(p *peer) {
	m.flushed()
	for _, x := range m.twins {
		if s := x.c.s.(*Stream); s.link != nil && s.link.socket == p.socket && s.flags&pending != 0 {
			x.lost = true
		}
	}
	p.close()
}

func (m *model) time(rt *rapid.T) {
	m.flushed()
	m.w.pass(int64(rapid.IntRange(1, 4000).Draw(rt, "ms")))
	m.flushed()
}

// check looks at what is true at any time.
func (m *model) check(rt *rapid.T) {
	m.flushed()
	streams := 0
	for _, x := range m.twins {
		for i := x.got; i < len(x.c.got); i++ {
			if i >= len(x.want) || !bytes.Equal(x.c.got[i], x.want[i]) {
				rt.Fatalf("answer %d of %d is not the client's next", i, len(x.want))
			}
		}
		x.got = len(x.c.got)
		s := x.c.s.(*Stream)
		if s.state != ended {
			streams++
		}
		switch {
		case x.c.ends == 0 && !x.closed:
			if s.flags&paused == 0 && s.queue == nil && !x.ext && x.got != len(x.want) && s.state == bound {
				rt.Fatalf("%d answers of %d", x.got, len(x.want))
			}
		case x.c.ends > 1 || x.c.ends == 1 && x.closed:
			rt.Fatalf("%d ends", x.c.ends)
		case x.c.ends == 1:
			ok := x.c.why == codec.ReasonUpstreamClosed && x.ext || x.c.why == codec.ReasonLinkLost && x.lost ||
				x.c.why == codec.ReasonNoLink
			if !ok {
				rt.Fatalf("ended by %v", x.c.why)
			}
		}
		if s.state == ended {
			x.up = nil
		}
	}
	r := m.w.r
	inPools, listed := 0, 0
	for _, p := range r.order {
		inPools += p.streams
		listed += len(p.waiting)
		for _, l := range p.links {
			listed += len(l.streams)
		}
	}
	finishing := 0
	for _, e := range r.table.slots {
		if e.stream != nil && e.stream.state == closing {
			finishing++
		}
	}
	if int64(streams) != r.Count.Streams || inPools != streams || listed+len(r.pacing)+len(r.leaving)+finishing != streams {
		rt.Fatalf("%d streams, counted %d, in pools %d, in lists %d", streams, r.Count.Streams, inPools, listed)
	}
	if len(r.table.slots)-len(r.table.free) != streams {
		rt.Fatalf("%d slots in use for %d streams", len(r.table.slots)-len(r.table.free), streams)
	}
}

// finish lets everybody hear what is still to come, ends them, and looks for what is left.
func (m *model) finish() {
	m.w.up()
	for _, x := range m.twins {
		x.c.s.Resume()
	}
	m.flushed()
	m.check(m.T)
	for _, x := range m.twins {
		if x.c.ends == 0 && !x.closed {
			x.closed = true
			x.c.s.Close(codec.ReasonClientClosed)
		}
	}
	m.w.pass(1000)
	r := m.w.r
	closed := uint64(0)
	for _, n := range r.Count.Closed {
		closed += n
	}
	if r.held != 0 || r.Count.Streams != 0 || closed != uint64(len(m.twins)) || r.Count.Opened != closed {
		m.Fatalf("%d bytes, %d streams, %d opened, %d closed", r.held, r.Count.Streams, r.Count.Opened, closed)
	}
	if r.Count.PacketsUp != uint64(m.relayed) {
		m.Fatalf("%d packets counted, %d arrived", r.Count.PacketsUp, m.relayed)
	}
	for _, p := range m.w.alive() {
		used := map[uint64]bool{}
		for _, q := range p.queries {
			used[q.ID] = true
		}
		for _, id := range p.closes {
			if !used[id] {
				m.Fatalf("CloseConn for %x, which the link does not know", id)
			}
			delete(used, id)
		}
		for id := range used {
			found := false
			for _, x := range m.twins {
				found = found || x.ext && x.c.s.(*Stream).id == id
			}
			if !found {
				m.Fatalf("stream %x is left over", id)
			}
		}
	}
}
