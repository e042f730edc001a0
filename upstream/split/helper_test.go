package split

import (
	"bytes"
	"net"
	"net/netip"
	"testing"

	"go.uber.org/goleak"

	"epoxy/codec"
	"epoxy/codec/frame"
	wire "epoxy/codec/split"
	"epoxy/upstream"
	"epoxy/upstream/upstreamtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// memLoop is a loop in memory; what is posted runs when the test says so.
type memLoop struct {
	*upstreamtest.Loop
	posted []func()
}

func newLoop() *memLoop { return &memLoop{Loop: upstreamtest.NewLoop(1_700_000_000)} }

func (l *memLoop) Post(fn func()) error {
	l.posted = append(l.posted, fn)
	return nil
}

// turn runs what was posted and the tasks that want it.
func (l *memLoop) turn() {
	for len(l.posted) > 0 {
		fn := l.posted[0]
		l.posted = l.posted[1:]
		fn()
	}
	for _, t := range l.Tasks {
		t.Turn()
	}
}

// sink is a session that keeps what it gets.
type sink struct {
	got     []byte
	drained int
	ended   codec.Reason
	most    int // bytes in one Deliver
}

func (s *sink) Deliver(p []byte)       { s.got, s.most = append(s.got, p...), max(s.most, len(p)) }
func (s *sink) SendDrained()           { s.drained++ }
func (s *sink) EndOfStream()           {}
func (s *sink) Ended(why codec.Reason) { s.ended = why }

// far is Telegram at the back: a Router whose streams a test plays.
type far struct {
	streams []*farStream
	refuse  codec.Reason
	stuck   int // of streams to come
}

func (f *far) Open(req upstream.Request, sink upstream.Sink) (upstream.Stream, codec.Reason) {
	if f.refuse != codec.ReasonNone {
		return nil, f.refuse
	}
	s := &farStream{req: req, sink: sink, stuck: f.stuck}
	f.streams = append(f.streams, s)
	return s, codec.ReasonNone
}

type farStream struct {
	req    upstream.Request
	sink   upstream.Sink
	got    []byte
	stuck  int // what Queued says
	paused bool
	closed codec.Reason
}

func (s *farStream) Send(p []byte)          { s.got = append(s.got, p...) }
func (s *farStream) Queued() int            { return s.stuck }
func (s *farStream) Pause()                 { s.paused = true }
func (s *farStream) Resume()                { s.paused = false }
func (s *farStream) CloseSend()             {}
func (s *farStream) Compact()               {}
func (s *farStream) Close(why codec.Reason) { s.closed = why }

// pair is a front and a back with one link between them, which the test carries by hand.
type pair struct {
	t      interface{ Fatal(...any) }
	loop   [2]*memLoop // of the front and of the back
	router *Router
	back   *Back
	far    *far
	a, b   *lane // the link's ends
	server *Server
	sent   map[uint32]*account // by stream
}

// account is what went over the link for one stream, by direction, 0 is up.
type account struct {
	data, credit [2]int
	whole        [2]bool // the last frame ended a packet
	worst        [2]int  // by how much data was ahead of credit at the beginning of a packet
}

func newPair(t interface{ Fatal(...any) }, ofBytes bool) *pair {
	p := &pair{t: t, loop: [2]*memLoop{newLoop(), newLoop()}, far: &far{}, sent: map[uint32]*account{}}
	p.router = newRouter(p.loop[0], 0)
	p.server = &Server{opts: ServerOptions{
		Routers: []upstream.Router{p.far}, Linked: func(int, upstream.Request) bool { return true },
	}}
	p.back = newBack(p.server, p.loop[1], 0)
	p.server.backs = []*Back{p.back}
	p.a, p.b = p.link(0, ofBytes)
	return p
}

// link makes a further link; rank is its back's.
func (p *pair) link(rank int, ofBytes bool) (a, b *lane) {
	x, y := net.Pipe()
	front := newLink(x, x, &backend{front: &Front{routers: []*Router{p.router}}})
	front.hello = wire.Hello{Streams: maxStreams, Credit: creditUp}
	front.bytes, front.rank = ofBytes, rank
	front.ready.Store(true)
	front.attach([]end{p.router}, []Loop{p.loop[0]})
	host := newLink(y, y, &tenant{server: p.server, name: "f"})
	host.attach([]end{p.back}, []Loop{p.loop[1]})
	front.tell(newsWelcome)
	host.tell(newsWelcome)
	p.turn()
	return front.lanes[0], host.lanes[0]
}

func (p *pair) turn() {
	p.loop[0].turn()
	p.loop[1].turn()
}

// carry takes about most bytes over a link; up is from the front. It reports whether there were any.
func (p *pair) carry(from, to *lane, up bool) bool {
	if from.link.out.load.Load() == 0 {
		return false
	}
	out, drained, _ := from.link.out.pull(nil)
	if drained {
		from.drain()
	}
	for rest := out; len(rest) > 0; {
		f, n, err := wire.Next(rest)
		if err != nil {
			p.t.Fatal(err)
		}
		p.count(&f, up)
		rest = rest[n:]
		if f.Stream == 0 {
			continue
		}
		if f.Type == wire.TypeOpen {
			if ok, err := to.link.owner.admit(to.link, f.Stream); err != nil || !ok {
				continue
			}
		}
		if err := to.end.frame(to, &f, bytes.Clone(out[len(out)-len(rest)-n:len(out)-len(rest)])); err != nil {
			p.t.Fatal(err)
		}
	}
	to.end.flush()
	p.turn()
	return true
}

// count keeps the books of credit, from outside.
func (p *pair) count(f *wire.Frame, up bool) {
	if f.Stream == 0 {
		return
	}
	a := p.sent[f.Stream]
	if a == nil {
		a = &account{whole: [2]bool{true, true}}
		a.credit = [2]int{creditUp, creditDown}
		p.sent[f.Stream] = a
	}
	way := 1
	if up {
		way = 0
	}
	switch f.Type {
	case wire.TypeData:
		if a.whole[way] {
			a.worst[way] = max(a.worst[way], a.data[way]-a.credit[way]+1)
		}
		a.whole[way] = !f.More()
		a.data[way] += len(f.Payload)
	case wire.TypeCredit:
		n, _ := wire.ParseWord(f.Payload)
		a.credit[1-way] += int(n)
	default: //exhaustive:ignore
	}
}

// settle carries everything until nothing moves.
func (p *pair) settle() {
	for range 100_000 {
		x, y := p.carry(p.a, p.b, true), p.carry(p.b, p.a, false)
		if !x && !y {
			return
		}
	}
	p.t.Fatal("it never settles")
}

// open begins a stream of a client.
func (p *pair) open(t codec.Transport) (*Stream, *sink) {
	k := &sink{}
	s, why := p.router.Open(upstream.Request{DC: 2, Transport: t, Client: netip.MustParseAddrPort("192.0.2.1:5")}, k)
	if why != codec.ReasonNone {
		p.t.Fatal(why)
	}
	return s.(*Stream), k
}

// packet is one of n bytes as a client frames it.
func packet(t codec.Transport, n int, fill byte) []byte {
	return frame.Append(nil, t, bytes.Repeat([]byte{fill | 1}, n), nil)
}
