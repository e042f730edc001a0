package middle

import (
	"bytes"
	"testing"

	"epoxy/codec"
	"epoxy/codec/rpc"
)

// steady is a fault of a ready link that ends it: why, and which clients survive on another link. Of four clients on
// it, the first is silent for long, the second was answered just now, the third waits for an answer, the fourth never
// spoke.
type steady struct {
	fault string
	do    func(w *world, p *peer)
	why   codec.Reason
	moved [4]bool
}

// corrupt sends an answer frame for nobody, with a change to its clear bytes that its checksum knows of or not.
func corrupt(change func(clear []byte)) func(*world, *peer) {
	return func(_ *world, p *peer) {
		wire := p.enc.Append(nil, rpc.AppendAnswer(nil, 0, 1, packet(1, 40)))
		change(wire)
		p.data(p.enc.Flush(wire, 0))
	}
}

var (
	all   = [4]bool{true, true, false, true}  // the connection ended: only outstanding answers are lost
	quiet = [4]bool{true, false, false, true} // the link was at fault: nor is the last second trusted
)

var steadies = []steady{
	{"16 wrong checksum", corrupt(func(p []byte) { p[len(p)-1] ^= 1 }), codec.ReasonFrameSum, quiet},
	{"17 wrong sequence", corrupt(func(p []byte) { p[4] ^= 1 }), codec.ReasonFrameSeq, quiet},
	{"18 length 8", corrupt(func(p []byte) { p[0], p[1] = 8, 0 }), codec.ReasonFrameSize, quiet},
	{"18 length 13", corrupt(func(p []byte) { p[0], p[1] = 13, 0 }), codec.ReasonFrameSize, quiet},
	{"19 length 0x7ffffffc", corrupt(func(p []byte) { copy(p, "\xfc\xff\xff\x7f") }), codec.ReasonFrameSize, quiet},
	{"20 reset inside a frame", func(w *world, p *peer) {
		wire := p.frames(rpc.AppendAnswer(nil, 0, 1, packet(1, 4000)))
		p.data(wire[:1000])
		p.socket.Finish(codec.ReasonPeerReset)
	}, codec.ReasonUpstreamReset, all},
	{"21 FIN", func(_ *world, p *peer) { p.socket.H.EOF(p.socket) }, codec.ReasonUpstreamClosed, all},
	{"21 reset", func(_ *world, p *peer) { p.socket.Finish(codec.ReasonPeerReset) }, codec.ReasonUpstreamReset, all},
	{"29 it stopped reading", func(_ *world, p *peer) { p.socket.Finish(codec.ReasonWriteStall) }, codec.ReasonWriteStall, all},
	{"38 a flood of pings", func(_ *world, p *peer) {
		for i := range uint64(maxPings + 1) {
			p.send(rpc.AppendPing(nil, i))
		}
	}, codec.ReasonLinkFlood, quiet},
}

// B23: every fault of a ready link ends it with its reason; clients move to the other link or are closed, as spec
// upstream-protocols 4.4 says. (Faults of section 8 by number.)
func TestLinkFaults(t *testing.T) {
	for _, f := range steadies {
		for _, policy := range []Migrate{Idle, Always, Never} {
			w := newWorld(t, twoAddr, Options{Migrate: policy})
			var clients []*client
			for range 40 { // enough that four are on one of the two links
				clients = append(clients, w.open(2, codec.Padded))
			}
			w.up()
			p := w.alive()[0]
			var on []*client
			for _, c := range clients {
				if w.peerOf(c) == p && len(on) < 4 {
					on = append(on, c)
				} else {
					c.s.Close(codec.ReasonClientClosed)
				}
			}
			for _, i := range []int{0, 1} {
				if i == 1 {
					w.loop.Clock += busyTime
				}
				if err := w.ping(on[i], i); err != nil {
					t.Fatal(err)
				}
			}
			on[2].send(packet(2, 40))
			w.turn()
			f.do(w, p)
			if n := w.r.Count.Ended[f.why]; n != 1 {
				t.Fatalf("%s: not counted as %v: %v", f.fault, f.why, w.r.Count.Ended)
			}
			if !p.socket.Dead() && p.socket.Closing == codec.ReasonNone {
				t.Fatalf("%s: the socket lives on", f.fault)
			}
			w.pass(paceTime)
			for i, c := range on {
				survives := policy == Always || policy == Idle && f.moved[i]
				if survives != (c.ends == 0) || c.ends > 1 || c.ends == 1 && c.why != codec.ReasonLinkLost {
					t.Errorf("%s, policy %d, client %d: %d ends by %v", f.fault, policy, i, c.ends, c.why)
				}
				if survives {
					if err := w.ping(c, 9); err != nil {
						t.Errorf("%s, policy %d, client %d: %v", f.fault, policy, i, err)
					}
				}
			}
		}
	}
}

// What a middle proxy may say that means nothing: it is counted, the link lives and nobody is closed. (Faults 23 to 27.)
func TestHarmless(t *testing.T) {
	w := newWorld(t, oneAddr, Options{})
	c, gone := w.open(2, codec.Padded), w.open(2, codec.Padded)
	w.up()
	if err := w.ping(gone, 1); err != nil {
		t.Fatal(err)
	}
	p, id, old := w.peerOf(c), c.id(), gone.id()
	other := w.peerOf(gone)
	gone.s.Close(codec.ReasonClientClosed)
	w.turn()
	other.closes, p.closes = nil, nil

	// 23 and B23: answers and acks (25) for a closed id: one CloseConn a second
	for range 3 {
		other.answer(old, packet(1, 40))
		other.send(rpc.AppendSimpleAck(nil, old, 1<<31))
	}
	w.turn()
	if len(other.closes) != 1 || other.closes[0] != old || w.r.Count.UnknownAnswers != 6 {
		t.Errorf("%d answers for nobody, closed %x", w.r.Count.UnknownAnswers, other.closes)
	}
	w.loop.Clock += unknownEvery
	other.answer(old, packet(1, 40))
	w.turn()
	if len(other.closes) != 2 {
		t.Errorf("a second later: closed %x", other.closes)
	}
	// an id of another link
	for _, q := range w.alive() {
		if q != p {
			q.answer(id, packet(1, 40))
		}
	}
	if len(c.got) != 0 {
		t.Error("an answer came over a foreign link")
	}
	p.send(rpc.AppendCloseExt(nil, 12345)) // 24
	p.send([]byte{1, 2, 3, 4})             // 26
	p.send(make([]byte, 400))
	p.answer(id, nil)                                      // 27
	p.send(rpc.AppendCloseExt(nil, id)[:8])                // a known message of a wrong length
	p.send(rpc.AppendPong(nil, 99))                        // of no ping
	p.data(p.enc.Flush([]byte{4, 0, 0, 0, 4, 0, 0, 0}, 0)) // fillers alone
	n := &w.r.Count
	if n.UnknownCloses != 1 || n.UnknownMessages != 2 || n.Empty != 1 || n.Malformed != 1 || n.Pongs != 1 {
		t.Errorf("counted %+v", n)
	}
	if c.ends != 0 || c.delivers != 0 {
		t.Errorf("the client heard %d Delivers, %d ends", c.delivers, c.ends)
	}
	if err := w.ping(c, 1); err != nil {
		t.Error(err)
	}
}

// CloseExt, and CloseConn the same, flush and close that client alone, without CloseConn for an answer.
func TestCloseExt(t *testing.T) {
	for _, kind := range [](func([]byte, uint64) []byte){rpc.AppendCloseExt, rpc.AppendCloseConn} {
		w := newWorld(t, oneAddr, Options{})
		c, other := w.open(2, codec.Padded), w.open(2, codec.Padded)
		w.up()
		if err := w.ping(c, 1); err != nil {
			t.Fatal(err)
		}
		p := w.peerOf(c)
		p.send(rpc.AppendAnswer(nil, 0, c.id(), packet(5, 40)), kind(nil, c.id()))
		w.turn()
		if c.ends != 1 || c.why != codec.ReasonUpstreamClosed || !bytes.Equal(c.got[1], packet(5, 40)) {
			t.Fatalf("%d ends by %v, %d answers", c.ends, c.why, len(c.got))
		}
		if len(p.closes) != 0 || other.ends != 0 {
			t.Fatalf("closed %x, the neighbour %d times", p.closes, other.ends)
		}
	}
}

// Fault 28: an answer that is too long for the app closes that client.
func TestAnswerTooLong(t *testing.T) {
	w := newWorld(t, oneAddr, Options{})
	c, other := w.open(2, codec.Abridged), w.open(2, codec.Padded)
	w.up()
	w.peerOf(c).answer(c.id(), make([]byte, maxAnswer+4))
	w.turn()
	if c.ends != 1 || c.why != codec.ReasonAnswerSize || other.ends != 0 {
		t.Fatalf("%d ends by %v", c.ends, c.why)
	}
}

// Fault 22: a silent link is pinged after 10 s; any byte is life; 30 s of silence are death, and its clients move.
func TestHalfOpen(t *testing.T) {
	w := newWorld(t, twoAddr, Options{})
	c := w.opened(1)[0]
	p := w.peerOf(c)
	alive := func(ms int64) { // the others answer their pings
		for end := w.loop.Clock + ms; w.loop.Clock < end; {
			w.pass(1000)
			for _, q := range w.alive() {
				if q != p {
					q.send(rpc.AppendPong(nil, uint64(len(q.pings))))
				}
			}
		}
	}
	alive(11_000)
	if len(p.pings) != 1 {
		t.Fatalf("%d pings in 11 s", len(p.pings))
	}
	p.send(rpc.AppendPong(nil, p.pings[0]))
	alive(8_000)
	if len(p.pings) != 1 {
		t.Fatal("pinged again too soon")
	}
	alive(25_000)
	if w.r.Count.Ended[codec.ReasonLinkDead] != 1 || !p.socket.Aborted {
		t.Fatalf("not dead: %v", w.r.Count.Ended)
	}
	if c.ends != 0 || w.r.Count.Migrated[Moved] != 1 {
		t.Fatalf("the client: %d ends, %v", c.ends, w.r.Count.Migrated)
	}
	w.up()
	if err := w.ping(c, 1); err != nil {
		t.Fatal(err)
	}
}

// Fault 29: a link that takes no more stops those who send on it, and lets them go on.
func TestLinkCongestion(t *testing.T) {
	w := newWorld(t, oneAddr, Options{})
	c := w.opened(1)[0]
	p := w.peerOf(c)
	for i := range 3 {
		c.send(packet(i, 60_000))
	}
	if c.s.Queued() != 0 {
		t.Fatalf("%d queued on an empty link", c.s.Queued())
	}
	p.socket.Stuck = linkHigh + 1
	c.send(packet(4, 40))
	if c.s.Queued() <= 64<<10 || c.drained != 0 {
		t.Fatalf("queued %d, drained %d", c.s.Queued(), c.drained)
	}
	p.socket.Stuck = 0
	p.socket.H.Drained(p.socket)
	if c.s.Queued() != 0 || c.drained != 1 {
		t.Fatalf("after draining: queued %d, drained %d", c.s.Queued(), c.drained)
	}
}
