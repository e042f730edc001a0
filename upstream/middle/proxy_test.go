package middle

import (
	"bytes"
	"net/netip"
	"testing"

	"epoxy/codec"
	"epoxy/codec/socks"
	"epoxy/upstream/dcmap"
	"epoxy/upstream/egress"
	"epoxy/upstream/upstreamtest"
)

var way = egress.Proxy{Addr: netip.MustParseAddrPort("10.0.0.1:1080")}

// proxied is a world whose links go through proxies, with an address that the operator gave for this host.
func proxied(t *testing.T, text string, o Options, ways ...egress.Proxy) *world {
	w := &world{t: t, loop: upstreamtest.NewLoop(wall)}
	o.Proxied = true
	w.r = NewRouter(egress.New(w.loop, ways, egress.Options{}), o)
	b := book(t, text)
	b.Own[dcmap.V4].Given = netip.MustParseAddr("203.0.113.1")
	w.r.Use(b)
	return w
}

// through plays the proxy of the newest dial, which says bound, up to our nonce; the middle proxy sees us at seen.
func (w *world) through(bound, seen string) *peer {
	w.t.Helper()
	s := w.loop.Dialed[len(w.loop.Dialed)-1]
	s.H.Opened(s)
	s.H.Data(s, []byte("\x05\x00"))
	target, _, err := socks.ParseReply(append([]byte{5, 0}, s.Take()[5:]...)) // behind the greeting
	if err != nil {
		w.t.Fatal(err)
	}
	s.To.Addr, s.Own = target, netip.MustParseAddrPort(seen)
	reply := socks.AppendRequest(nil, netip.MustParseAddrPort(bound)) // a reply's shape
	reply[1] = 0
	s.H.Data(s, reply)
	p := &peer{t: w.t, socket: s, secret: testSecret, crc32c: true}
	w.peers = append(w.peers, p)
	return p
}

// echo sends a packet up to a middle proxy and back.
func (w *world) echo(p *peer, c *client) {
	w.t.Helper()
	c.send(packet(1, 64))
	w.turn()
	if len(p.queries) != 1 {
		w.t.Fatalf("the middle proxy has %d queries", len(p.queries))
	}
	p.answer(p.queries[0].ID, p.queries[0].Packet)
	if len(c.got) != 1 || !bytes.Equal(c.got[0], packet(1, 64)) {
		w.t.Fatalf("the client has %d answers", len(c.got))
	}
}

// Fault 40: a link through a proxy makes its keys of the address that the proxy says the middle proxy sees; where that is
// a private one, of the address that the operator gave and the proxy's port.
func TestProxyBind(t *testing.T) {
	for _, c := range []struct{ bound, seen string }{
		{"198.51.100.9:41000", "198.51.100.9:41000"}, {"10.0.0.5:41000", "203.0.113.1:41000"},
	} {
		w := proxied(t, oneAddr, Options{}, way)
		client := w.open(2, codec.Padded)
		w.turn()
		p := w.through(c.bound, c.seen)
		p.takeNonce()
		p.sendNonce()
		p.takeHello()
		p.sendHello(0)
		w.turn()
		if w.r.Count.Ready != 1 || len(w.loop.Dialed) == 0 {
			t.Fatalf("%s: no link, failed %v", c.bound, w.r.Count.Failed)
		}
		w.echo(p, client)
	}
}

// Fault 40: without the address there are no keys: no link, and the middle proxy hears nothing of us.
func TestProxyTellsNothing(t *testing.T) {
	for _, bound := range []string{"0.0.0.0:0", "0.0.0.0:41000", "198.51.100.9:0", "[2001:db8::1]:41000", "127.0.0.1:41000"} {
		w := proxied(t, oneAddr, Options{}, way)
		w.open(2, codec.Padded)
		w.turn()
		p := w.through(bound, "198.51.100.9:41000")
		if len(p.socket.Out) != 0 || !p.socket.Aborted {
			t.Errorf("%s: we say %x", bound, p.socket.Out)
		}
		p.socket.Finish(codec.ReasonNone)
		h := w.r.hosts[p.socket.To.Addr]
		if w.r.Count.Failed[codec.ReasonEgressBind] != 1 || h == nil || h.fails != 1 {
			t.Errorf("%s: failed %v", bound, w.r.Count.Failed)
		}
	}
	w := proxied(t, oneAddr, Options{}, egress.Proxy{Kind: egress.HTTP, Addr: way.Addr})
	c := w.open(2, codec.Padded)
	w.turn()
	if len(w.loop.Dialed) != 0 || w.r.Count.Failed[codec.ReasonEgressBind] == 0 {
		t.Errorf("HTTP: %d dials, failed %v", len(w.loop.Dialed), w.r.Count.Failed)
	}
	w.pass(holdTime + paceTime + 100)
	if c.ends != 1 || c.why != codec.ReasonNoLink || w.r.Count.Dials > 20 {
		t.Errorf("HTTP: ended %d times by %v after %d dials", c.ends, c.why, w.r.Count.Dials)
	}
}

// Fault 40: a proxy that says success and closes is as fault 3: the address backs off, a new secret is asked for, and
// another address is next.
func TestProxyCloses(t *testing.T) {
	stale := 0
	w := proxied(t, twoAddr, Options{Stale: func() { stale++ }}, way)
	c := w.open(2, codec.Padded)
	w.turn()
	p := w.through("198.51.100.9:41000", "198.51.100.9:41000")
	p.takeNonce()
	p.socket.H.EOF(p.socket)
	p.socket.Finish(codec.ReasonNone)
	if w.r.Count.Failed[codec.ReasonUpstreamClosed] != 1 || stale != 1 || w.r.hosts[p.socket.To.Addr].fails != 1 {
		t.Fatalf("failed %v, %d times stale", w.r.Count.Failed, stale)
	}
	w.turn()
	w.pass(100)
	next := w.through("198.51.100.9:41001", "198.51.100.9:41001")
	if next.socket.To.Addr == p.socket.To.Addr {
		t.Errorf("%v again", p.socket.To.Addr)
	}
	next.takeNonce()
	next.sendNonce()
	next.takeHello()
	next.sendHello(0)
	w.turn()
	w.echo(next, c)
}
