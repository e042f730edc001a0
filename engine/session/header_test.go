package session

import (
	"bytes"
	"net/netip"
	"testing"

	"epoxy/codec"
	"epoxy/codec/proxyproto"
)

var (
	carriedSrc = netip.MustParseAddrPort("198.51.100.7:1234")
	carriedDst = netip.MustParseAddrPort("203.0.113.9:443")
)

func behindBalancer(p *Port) { p.ProxyHeader = true }

// A header of either form, cut at any byte and followed at once by the client's bytes, gives the client its addresses,
// towards Telegram as towards the front; LOCAL and UNKNOWN keep the socket's.
func TestProxyHeader(t *testing.T) {
	six := [2]netip.AddrPort{netip.MustParseAddrPort("[2001:db8::7]:1234"), netip.MustParseAddrPort("[2001:db8::9]:443")}
	own := [2]netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:4000"), {}}
	four := [2]netip.AddrPort{carriedSrc, carriedDst}
	cases := []struct {
		name   string
		header []byte
		want   [2]netip.AddrPort
	}{
		{"v1", proxyproto.AppendV1(nil, carriedSrc, carriedDst), four},
		{"v2", proxyproto.AppendV2(nil, carriedSrc, carriedDst), four},
		{"v1, IPv6", proxyproto.AppendV1(nil, six[0], six[1]), six},
		{"v2, IPv6", proxyproto.AppendV2(nil, six[0], six[1]), six},
		{"v1 UNKNOWN", []byte("PROXY UNKNOWN some words\r\n"), own},
		{"v2 LOCAL", proxyproto.AppendV2(nil, netip.AddrPort{}, carriedDst), own},
	}
	stranger := bytes.Repeat([]byte("GET / "), 12)
	for _, c := range cases {
		for cut := 0; cut < len(c.header)+80; cut++ {
			r := newFront(allAllowed, behindBalancer)
			wantState(t, r, Header)
			wire := append(bytes.Clone(c.header), r.init(testKey, codec.Padded, 2)...)
			wire = append(wire, r.seal([]byte("hello, telegram"))...)
			if cut > 0 {
				r.feed(wire[:cut])
			}
			r.feed(wire[cut:])
			if r.s.State() != Relay || string(r.tg.up) != "hello, telegram" {
				t.Fatalf("%s cut at %d: %v, Telegram got %q", c.name, cut, r.s.State(), r.tg.up)
			}
			if got := [2]netip.AddrPort{r.tg.req.Client, r.tg.req.Local}; got != c.want || r.s.Client() != c.want[0] {
				t.Fatalf("%s: Telegram hears of %v, want %v", c.name, got, c.want)
			}
			if r.s.client != hashAddr(c.want[0].Addr()) || r.s.part != nil {
				t.Fatalf("%s: the hint is of another address, or a buffer is kept: %v", c.name, r.s.part)
			}

			r.connect("192.0.2.1:4000")
			wire = append(bytes.Clone(c.header), stranger...)
			at := min(max(cut, 1), len(wire)-1)
			r.feed(wire[:at])
			r.feed(wire[at:])
			wantState(t, r, Front)
			if got := [2]netip.AddrPort{r.front.req.Client, r.front.req.Local}; got != c.want {
				t.Fatalf("%s: the front hears of %v, want %v", c.name, got, c.want)
			}
			if !bytes.Equal(r.front.up, stranger) {
				t.Fatalf("%s cut at %d: the front got %q", c.name, cut, r.front.up)
			}
			r.front.up = nil
		}
	}
}

// A bad header, none, half of one and FIN, or a late one closes without a word, and the front hears nothing of it.
func TestNoProxyHeader(t *testing.T) {
	header := proxyproto.AppendV2(nil, carriedSrc, carriedDst)
	cases := []struct {
		name string
		do   func(r *rig)
		why  codec.Reason
		time int64
	}{
		{"a hello", func(r *rig) { h, _ := r.hello(t, testKey, testTime); r.feed(h) }, codec.ReasonProxyHeader, 0},
		{"a good init", func(r *rig) { r.feed(r.init(testKey, codec.Padded, 2)) }, codec.ReasonProxyHeader, 0},
		{"a bad line", func(r *rig) { r.feed([]byte("PROXY TCP4 1.2.3.4\r\n")) }, codec.ReasonProxyHeader, 0},
		{"a fault behind a good start", func(r *rig) { r.feed(header[:12]); r.feed([]byte{0x33}) }, codec.ReasonProxyHeader, 0},
		{"FIN at once", func(r *rig) { r.s.EOF(r.sock) }, codec.ReasonProxyHeader, 0},
		{"half and FIN", func(r *rig) { r.feed(header[:20]); r.s.EOF(r.sock) }, codec.ReasonProxyHeader, 0},
		{"nothing", func(r *rig) { r.sock.Fire(r.loop) }, codec.ReasonProxyHeaderTime, 500},
		{"half", func(r *rig) { r.loop.Clock += 300; r.feed(header[:20]); r.sock.Fire(r.loop) }, codec.ReasonProxyHeaderTime, 500},
	}
	for _, c := range cases {
		r := newFront(allAllowed, behindBalancer)
		r.env.Strangers = func(codec.Reason, []byte) { t.Errorf("%s: a balancer is taken for a stranger", c.name) }
		c.do(r)
		if r.sock.Closing != c.why || r.sock.Aborted || len(r.sock.Out) != 0 || r.s.part != nil {
			t.Errorf("%s: closing %v, aborted %v, %d bytes, part %v", c.name, r.sock.Closing, r.sock.Aborted, len(r.sock.Out), r.s.part != nil)
		}
		if took := r.loop.Clock - r.born; took != c.time {
			t.Errorf("%s: took %d ms, want %d", c.name, took, c.time)
		}
		r.sock.Finish(codec.ReasonNone)
		if r.front.opened+r.tg.opened != 0 || r.env.Count.Closed[c.why] != 1 || r.env.Count.Open != 0 {
			t.Errorf("%s: streams %d, counted %v", c.name, r.front.opened+r.tg.opened, r.env.Count.Closed)
		}
	}
}

// The clocks of first byte and handshake begin behind the header.
func TestClocksBehindHeader(t *testing.T) {
	r := newFront(allAllowed, func(p *Port) { p.ProxyHeader, p.Timing.ProxyHeader = true, 3000 })
	if r.sock.TimerAt != r.born+3000 {
		t.Fatalf("the header has %d ms", r.sock.TimerAt-r.born)
	}
	r.loop.Clock += 400
	r.feed(proxyproto.AppendV1(nil, carriedSrc, carriedDst))
	wantState(t, r, Sniff)
	if got := r.sock.TimerAt - r.loop.Clock; got != 15_000 {
		t.Fatalf("the first byte has %d ms", got)
	}
	if r.sock.Finish(codec.ReasonPeerReset); r.s.Client() != carriedSrc {
		t.Fatalf("after the end the client is %v", r.s.Client())
	}
	r.connect("192.0.2.1:4000")
	r.feed(proxyproto.AppendV1(nil, carriedSrc, carriedDst))
	r.loop.Clock += 7000
	r.feed([]byte{0x16})
	if got := r.sock.TimerAt - r.loop.Clock; got != 10_000 {
		t.Fatalf("the hello has %d ms", got)
	}
}
