package middle

import (
	"fmt"
	"strings"
	"testing"

	"epoxy/codec"
	"epoxy/codec/rpc"
)

// breathe lets time pass in which every middle proxy sends something.
func (w *world) breathe(ms int64) {
	for end := w.loop.Clock + ms; w.loop.Clock < end; {
		w.pass(min(1000, end-w.loop.Clock))
		for _, p := range w.alive() {
			p.data(p.enc.Flush([]byte{4, 0, 0, 0}, 0))
		}
	}
}

// Pools: warm ones before the first client, more links with more streams, none when they are gone for a minute, and
// clients spread over the links.
func TestPoolSize(t *testing.T) {
	w := newWorld(t, "proxy_for 2 192.0.2.1:1; proxy_for 2 192.0.2.1:2; proxy_for 4 192.0.2.4:1;", Options{Warm: []codec.DC{2, -2}})
	w.up()
	if len(w.alive()) != 1 {
		t.Fatalf("%d warm links", len(w.alive()))
	}
	var list []*client
	for range 3 * linkShare {
		list = append(list, w.open(2, codec.Padded))
	}
	w.up()
	if n := len(w.alive()); n != 4 {
		t.Fatalf("%d links for %d streams", n, len(list))
	}
	for range 1000 {
		w.open(2, codec.Padded)
	}
	late := map[*link]int{}
	for _, e := range w.r.table.slots[len(list):] {
		late[e.stream.link]++
	}
	for l, n := range late {
		if len(late) < 3 || n < 100 || len(l.streams) > 3*linkShare+1000/4 {
			t.Fatalf("%d of 1000 new clients on a link with %d, on %d links", n, len(l.streams), len(late))
		}
	}
	for _, e := range w.r.table.slots {
		e.stream.Close(codec.ReasonClientClosed)
	}
	four := w.open(4, codec.Padded)
	w.up()
	four.s.Close(codec.ReasonClientClosed)
	w.breathe(spareTime / 2)
	if n := len(w.alive()); n < 4 {
		t.Fatalf("%d links are left after half a minute", n)
	}
	w.breathe(spareTime)
	if n := len(w.alive()); n != 1 || w.r.Count.ByDC[2].Links[Ready] != 1 || w.r.Count.Ended[codec.ReasonLinkSpare] == 0 {
		t.Fatalf("%d links are left", n)
	}
}

// Links beyond what the pool wants get no new clients.
func TestPoolShrinks(t *testing.T) {
	w := newWorld(t, oneAddr, Options{})
	list := w.opened(3*linkShare - 100)
	for _, c := range list[10:] {
		c.s.Close(codec.ReasonClientClosed)
	}
	p := w.r.pools[2]
	if len(p.ready) < 4 || p.want() != 2 {
		t.Fatalf("%d links, wants %d", len(p.ready), p.want())
	}
	before := len(p.ready[3].streams)
	for range 200 {
		w.open(2, codec.Padded)
	}
	if n := len(p.ready[3].streams); n != before {
		t.Fatalf("%d new clients on a link to spare", n-before)
	}
}

// Spec 4.2: connects are limited over all DCs, and go on when the allowance grows.
func TestDialRate(t *testing.T) {
	var text strings.Builder
	var warm []codec.DC
	for dc := 1; dc <= 3*dialRate; dc++ {
		fmt.Fprintf(&text, "proxy_for %d 192.0.2.1:%d;\n", dc, dc)
		warm = append(warm, codec.DC(dc))
	}
	w := newWorld(t, text.String(), Options{Warm: warm})
	if n := len(w.loop.Dialed); n != dialRate {
		t.Fatalf("%d connects at once", n)
	}
	w.pass(1000)
	if n := len(w.loop.Dialed); n < 3*dialRate/2 || n > 2*dialRate+1 {
		t.Fatalf("%d connects in a second", n)
	}
	w.pass(2000)
	if n := len(w.loop.Dialed); n != 3*dialRate {
		t.Fatalf("%d connects in the end", n)
	}
}

// B16, spec 4.2: an address that failed three times comes last while another one works; the DC's clients are served.
func TestBadAddressSkipped(t *testing.T) {
	w := newWorld(t, twoAddr, Options{})
	c := w.open(2, codec.Padded)
	bad := func(p *peer) bool { return p.socket.To.Addr.String() == "192.0.2.1:8888" }
	run := func(ms int64) (dials int) {
		for end := w.loop.Clock + ms; w.loop.Clock < end; {
			w.meet()
			for _, p := range w.peers {
				switch {
				case p.socket.Dead() || p.ready:
				case bad(p):
					dials++
					p.socket.Finish(codec.ReasonDialRefused)
				default:
					p.open()
				}
			}
			w.breathe(64)
		}
		return dials
	}
	run(60_000)
	if n := len(w.alive()); n != 2 || c.ends != 0 {
		t.Fatalf("%d links", n)
	}
	if h := w.r.host(w.peers[0].socket.To.Addr); bad(w.peers[0]) && h.fails > skipFails+1 {
		t.Fatalf("the bad address was tried %d times", h.fails)
	}
	h := w.r.host(book(t, oneAddr).V4.Targets()[0].Addr)
	h.fails, h.next = skipFails, 0
	w.alive()[0].close()
	if n := run(3000); n != 0 || len(w.alive()) != 2 {
		t.Fatalf("%d dials to the bad address, %d links", n, len(w.alive()))
	}
}

// A link that ends as soon as it is ready is a failure of its address; a long life forgives all.
func TestLifeCounts(t *testing.T) {
	w := newWorld(t, oneAddr, Options{Warm: []codec.DC{2}})
	p := w.up()[0]
	h := w.r.host(p.socket.To.Addr)
	p.close()
	if h.fails != 1 {
		t.Fatalf("%d failures after a short life", h.fails)
	}
	if w.r.pools[2].failing != 0 || !w.r.Up(2) {
		t.Fatal("the DC counts as down")
	}
	w.pass(1000)
	p = w.up()[0]
	w.breathe(5000)
	p.close()
	if h.fails != 1 {
		t.Fatalf("%d failures after 5 s", h.fails)
	}
	p = w.up()[0]
	w.breathe(goodLife)
	p.close()
	if h.fails != 0 {
		t.Fatalf("%d failures after a long life", h.fails)
	}
}

// A stream that changed links is not known there before its next packet: its end is no news.
func TestSilentAfterMove(t *testing.T) {
	w := newWorld(t, twoAddr, Options{})
	c := w.opened(1)[0]
	if err := w.ping(c, 1); err != nil {
		t.Fatal(err)
	}
	w.peerOf(c).close()
	p := w.peerOf(c)
	c.s.Close(codec.ReasonClientClosed)
	w.turn()
	if len(p.closes) != 0 {
		t.Fatalf("closed %x", p.closes)
	}
}

// A ping is answered at once, not with the turn.
func TestPong(t *testing.T) {
	w := newWorld(t, oneAddr, Options{})
	p := w.peerOf(w.opened(1)[0])
	p.send(rpc.AppendPing(nil, 77))
	if p.read(); len(p.pongs) != 1 || p.pongs[0] != 77 {
		t.Fatalf("pongs %v", p.pongs)
	}
}

// A fault of ours that costs the router's task costs nothing else.
func TestTaskPanics(t *testing.T) {
	w := newWorld(t, oneAddr, Options{})
	c := w.opened(1)[0]
	w.task().Finish(codec.ReasonPanic)
	if err := w.ping(c, 1); err != nil {
		t.Fatal(err)
	}
	w.loop.Refuse = codec.ReasonDialRefused
	for _, p := range w.alive() {
		p.close()
	}
	if w.pass(2 * holdTime); c.ends != 1 {
		t.Fatal("no timer runs")
	}
}

// A sink that panics costs its link, as the reactor has it, and no other client reads what was meant for it.
func TestSinkPanics(t *testing.T) {
	w := newWorld(t, oneAddr, Options{})
	bad, good := w.open(2, codec.Padded), w.open(2, codec.Padded)
	w.up()
	for w.peerOf(bad) != w.peerOf(good) { // on one link
		w.peerOf(bad).close()
	}
	p := w.peerOf(bad)
	bad.pauseAt, bad.s = 1, nil // Pause panics
	func() {
		defer func() {
			if recover() == nil {
				t.Error("no panic")
			}
		}()
		id := w.r.table.slots[0].stream.id
		p.send(rpc.AppendAnswer(nil, 0, id, packet(1, 64)), rpc.AppendAnswer(nil, 0, good.id(), packet(2, 64)))
	}()
	w.loop.Clock += faultTime // else the good client had traffic on a link at fault
	p.socket.Finish(codec.ReasonPanic)
	w.up()
	if good.ends != 0 || w.r.Count.Ended[codec.ReasonPanic] != 1 {
		t.Fatalf("%d ends by %v", good.ends, good.why)
	}
	if err := w.ping(good, 1); err != nil {
		t.Fatal(err)
	}
}

// More clients of one DC than maxLinks full links hold: there are more links, before they are needed.
func TestPoolOfACrowd(t *testing.T) {
	w := newWorld(t, oneAddr, Options{})
	p := (*pool)(nil)
	for len(w.r.table.slots) < maxLinks*maxStreams+5000 {
		for range 500 {
			if c := w.open(2, codec.Padded); c.ends > 0 {
				t.Fatalf("client %d: %v", len(w.r.table.slots), c.why)
			}
		}
		w.pass(100)
		w.up()
		if p = w.r.pools[2]; p.streams <= maxLinks*linkFill && len(p.ready) > maxLinks {
			t.Fatalf("%d links for %d clients", len(p.ready), p.streams)
		}
	}
	for _, e := range w.r.table.slots {
		if s := e.stream; s == nil || s.state != bound {
			t.Fatal("a client without a link")
		}
	}
	if n := len(p.ready); n > p.streams/linkFill+2 {
		t.Errorf("%d links for %d clients", n, p.streams)
	}
}
