package middle

import (
	"testing"

	"epoxy/codec"
)

// close ends a peer's link by FIN.
func (p *peer) close() { p.socket.H.EOF(p.socket) }

// A22: two links, one client; the one in use ends; the client is on the other.
func TestMigrate(t *testing.T) {
	w := newWorld(t, twoAddr, Options{})
	c := w.opened(1)[0]
	if len(w.alive()) != 2 {
		t.Fatalf("%d links for one client, want one and a spare", len(w.alive()))
	}
	if err := w.ping(c, 1); err != nil {
		t.Fatal(err)
	}
	was := c.id()
	w.peerOf(c).close()
	if w.r.Count.Migrated[Moved] != 1 || c.id() == was {
		t.Fatalf("migrated %v, id %x", w.r.Count.Migrated, c.id())
	}
	if err := w.ping(c, 2); err != nil {
		t.Fatal(err)
	}
	if w.r.Count.Streams != 1 || w.r.pools[2].streams != 1 {
		t.Fatalf("%d streams", w.r.Count.Streams)
	}
	w.up()
	if len(w.alive()) != 2 {
		t.Fatal("the link was not replaced")
	}
}

// A23: three clients on two links, the fuller one ends.
func TestMigrateSeveral(t *testing.T) {
	w := newWorld(t, twoAddr, Options{})
	list := w.opened(3)
	on := map[*peer]int{}
	for i, c := range list {
		if err := w.ping(c, i); err != nil {
			t.Fatal(err)
		}
		on[w.peerOf(c)]++
	}
	fuller := w.peerOf(list[0])
	for p, n := range on {
		if n > on[fuller] {
			fuller = p
		}
	}
	fuller.close()
	if got := w.r.Count.Migrated[Moved]; got != uint64(on[fuller]) {
		t.Fatalf("%d moved, %d were on it", got, on[fuller])
	}
	for i, c := range list {
		if err := w.ping(c, i); err != nil {
			t.Fatal(err)
		}
	}
	if w.r.Count.Streams != 3 {
		t.Fatalf("%d streams", w.r.Count.Streams)
	}
}

// A24, faults 35 and 36: no link is left and none comes: clients are held for 3 s, then closed with a reason, the new
// ones too; streams that hold pause their client and lose nothing when a link comes in time.
func TestNoLinkLeft(t *testing.T) {
	w := newWorld(t, oneAddr, Options{})
	c := w.opened(1)[0]
	if err := w.ping(c, 1); err != nil {
		t.Fatal(err)
	}
	w.loop.Refuse = codec.ReasonDialRefused
	for _, p := range w.alive() {
		p.close()
	}
	fresh := w.open(2, codec.Padded)
	w.pass(holdTime - 500)
	if c.ends+fresh.ends != 0 {
		t.Fatal("closed too soon")
	}
	w.pass(1000)
	if c.ends != 1 || c.why != codec.ReasonNoLink || fresh.ends != 1 || fresh.why != codec.ReasonNoLink {
		t.Fatalf("ends: %d by %v, %d by %v", c.ends, c.why, fresh.ends, fresh.why)
	}
	if w.r.Count.Migrated[Late] != 1 || w.r.Count.HeldLate != 2 || w.r.Up(2) {
		t.Fatalf("%v, %d late, up %v", w.r.Count.Migrated, w.r.Count.HeldLate, w.r.Up(2))
	}
	w.loop.Refuse = codec.ReasonNone
	w.pass(backoff[len(backoff)-1]) // the address rested for no longer
	back := w.open(2, codec.Padded)
	w.up()
	if err := w.ping(back, 1); err != nil || !w.r.Up(2) {
		t.Fatalf("it does not recover: %v, up %v", err, w.r.Up(2))
	}
}

// Fault 37 and the hold of 4.4: what clients send while there is no link waits with them, and goes up when one comes.
func TestHold(t *testing.T) {
	w := newWorld(t, oneAddr, Options{})
	c := w.open(2, codec.Padded)
	c.send(packet(1, 40))
	c.s.Send([]byte{44, 0}) // and a torn one
	if c.s.Queued() <= 64<<10 {
		t.Fatalf("a held client is not paused: %d", c.s.Queued())
	}
	w.pass(1000)
	w.up()
	p := w.peerOf(c)
	if len(p.queries) != 1 || c.drained != 1 || c.s.Queued() != 0 {
		t.Fatalf("%d queries, %d drained", len(p.queries), c.drained)
	}
	c.s.Send(append([]byte{0, 0}, packet(2, 44)...))
	w.turn()
	if len(p.queries) != 2 || len(p.queries[1].Packet) != 44 {
		t.Fatalf("%d queries", len(p.queries))
	}
	// the link dies and another comes in time
	w.loop.Clock += busyTime
	w.loop.Refuse = codec.ReasonDialRefused
	for _, p := range w.alive() {
		p.close()
	}
	c.send(packet(3, 48))
	w.loop.Refuse = codec.ReasonNone
	w.pass(500)
	w.up()
	if p = w.peerOf(c); len(p.queries) != 1 || w.r.Count.Migrated[Waited] != 1 {
		t.Fatalf("%d queries, migrated %v", len(p.queries), w.r.Count.Migrated)
	}
	held := w.open(2, codec.Padded)
	if held.s.(*Stream).state != bound {
		t.Fatal("a new client waits beside a ready link")
	}
}

// Many clients that must go are closed over half a second, not in one turn.
func TestPacedCloses(t *testing.T) {
	w := newWorld(t, oneAddr, Options{Migrate: Never})
	list := w.opened(400)
	for _, p := range w.alive() {
		p.close()
	}
	ended := func() (n int) {
		for _, c := range list {
			n += c.ends
		}
		return n
	}
	var at []int
	for range 5 {
		w.pass(paceTime / 5)
		at = append(at, ended())
	}
	if at[0] < 40 || at[0] > 160 || at[4] != 400 {
		t.Fatalf("ended %v of 400", at)
	}
	if n := w.r.Count.Migrated[Barred]; n != 400 || w.r.Count.Streams != 0 {
		t.Fatalf("%d barred, %d streams", n, w.r.Count.Streams)
	}
}

// B17: the address book loses an address: its idle streams move, the busy one stays until it is answered, and the
// link is closed when it is empty, at the latest after 90 s. B16: the DC that is down waits for nobody else.
func TestAddressRemoved(t *testing.T) {
	w := newWorld(t, twoAddr, Options{})
	list := w.opened(40)
	var lost *peer
	for _, p := range w.alive() {
		if p.socket.To.Addr.String() == "192.0.2.1:8888" {
			lost = p
		}
	}
	var stays *client
	for _, c := range list {
		if w.peerOf(c) == lost {
			stays = c
		}
	}
	stays.send(packet(1, 40))
	w.turn()
	w.r.Use(book(t, "proxy_for 2 192.0.2.2:8888;"))
	w.pass(1000)
	w.up()
	w.pass(1000)
	for _, c := range list {
		if on := w.peerOf(c) == lost; on != (c == stays) {
			t.Fatalf("on the lost link %v", on)
		}
	}
	if n := w.r.Count.ByDC[2].Links[Draining]; n != 1 {
		t.Fatalf("%d links drain", n)
	}
	lost.answer(stays.id(), packet(1, 40))
	w.pass(1000)
	if w.peerOf(stays) == lost || lost.socket.Closing != codec.ReasonLinkSpare || len(lost.closes) != 1 {
		t.Fatalf("the link closes by %v, closed %d", lost.socket.Closing, len(lost.closes))
	}
	for i, c := range list {
		if c.ends != 0 {
			t.Fatal("a client was closed")
		}
		if err := w.ping(c, i); err != nil {
			t.Fatal(err)
		}
	}
}

// The same with a client that is always busy, or a policy that moves nobody: 90 s, then it is closed.
func TestDrainEnds(t *testing.T) {
	w := newWorld(t, oneAddr, Options{Migrate: Never})
	c := w.opened(1)[0]
	p := w.peerOf(c)
	w.r.Use(book(t, "proxy_for 2 192.0.2.2:8888;"))
	for range (drainTime - 2000) / 1000 {
		w.pass(1000)
		w.up()
		for _, q := range w.alive() {
			q.send()
			q.data(q.enc.Flush([]byte{4, 0, 0, 0}, 0))
		}
	}
	if c.ends != 0 || w.peerOf(c) != p {
		t.Fatal("closed or moved too soon")
	}
	w.pass(4000)
	if c.ends != 1 || c.why != codec.ReasonLinkLost {
		t.Fatalf("%d ends by %v", c.ends, c.why)
	}
}

// Fault 32: the list loses a DC that has streams: they move to the DC that now serves its clients. Fault 34: without a
// list clients wait, and go on when it comes.
func TestDCRemoved(t *testing.T) {
	w := newWorld(t, "", Options{})
	early, odd := w.open(4, codec.Padded), w.open(-5, codec.Padded)
	w.pass(500)
	if len(w.loop.Dialed) != 0 {
		t.Fatal("dialled without a list")
	}
	w.r.Use(book(t, "default 2; proxy_for 2 192.0.2.1:80; proxy_for 4 192.0.2.4:80;"))
	w.up()
	w.pass(100)
	w.up()
	for c, addr := range map[*client]string{early: "192.0.2.4:80", odd: "192.0.2.1:80"} {
		if got := w.peerOf(c).socket.To.Addr.String(); got != addr {
			t.Fatalf("a client is at %s, not %s", got, addr)
		}
	}
	w.r.Use(book(t, "default 2; proxy_for 2 192.0.2.1:80;"))
	w.pass(1000)
	w.up()
	if got := w.peerOf(early).socket.To.Addr.String(); got != "192.0.2.1:80" {
		t.Fatalf("it is at %s", got)
	}
	if w.r.pools[2].streams != 2 || early.ends != 0 {
		t.Fatalf("%d streams, %d ends", w.r.pools[2].streams, early.ends)
	}
	w.pass(2 * upkeepTime)
	if len(w.r.pools) != 1 {
		t.Fatalf("%d pools are left", len(w.r.pools))
	}
}

// B13: each DC id leads somewhere, in the order of spec 4.7.
func TestFallback(t *testing.T) {
	w := newWorld(t, "default 3; proxy_for 1 192.0.2.1:1; proxy_for -1 192.0.2.1:2; proxy_for 2 192.0.2.2:1; proxy_for 3 192.0.2.3:1;", Options{})
	for dc, want := range map[codec.DC]codec.DC{1: 1, -1: -1, 2: 2, -2: 2, 4: 3, -4: 3, 0: 3, 203: 3, 10002: 3, -32768: 3, 32767: 3} {
		before := w.r.Count.Fallbacks
		c := w.open(dc, codec.Padded)
		if got := c.s.(*Stream).pool.dc; got != want {
			t.Errorf("DC %d goes to %d, want %d", dc, got, want)
		}
		if counted := w.r.Count.Fallbacks - before; (counted == 1) != (dc != want) {
			t.Errorf("DC %d: counted %d", dc, counted)
		}
	}
}

// The end of the loop ends every stream, held ones and bound ones, once.
func TestShutdown(t *testing.T) {
	w := newWorld(t, oneAddr+"proxy_for 4 192.0.2.4:1;", Options{})
	c, waits := w.opened(1)[0], w.open(4, codec.Padded)
	for _, s := range w.loop.Dialed {
		s.Finish(codec.ReasonShutdown)
	}
	w.task().Finish(codec.ReasonShutdown)
	if c.ends != 1 || waits.ends != 1 || waits.why != codec.ReasonShutdown || w.r.Count.Streams != 0 {
		t.Fatalf("ends %d and %d by %v", c.ends, waits.ends, waits.why)
	}
}
