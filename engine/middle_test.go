package engine_test

import (
	"bytes"
	"log/slog"
	"net"
	"net/netip"
	"testing"
	"time"

	"epoxy/bench/load"
	"epoxy/codec"
	"epoxy/codec/frame"
	"epoxy/codec/rpc"
	"epoxy/engine/config"
	"epoxy/engine/stats"
	"epoxy/upstream/faketg"
	"epoxy/upstream/middle"
)

var adTag = rpc.Tag{0xad, 0x7a, 6: 1, 15: 0xff}

// middles runs fake middle proxies for these datacenters, each at an address of its own, and the web server that tells
// of them.
func middles(t testing.TB, f faketg.MiddleFaults, dcs ...codec.DC) *load.Middle {
	t.Helper()
	o := load.MiddleOptions{Loops: 1, Config: "127.0.0.1:0", Faults: f, Log: slog.New(slog.DiscardHandler)}
	for _, dc := range dcs {
		o.Listen = append(o.Listen, load.MiddleAddr{DC: dc, Addr: netip.MustParseAddrPort("127.0.0.1:0")})
	}
	m, err := load.NewMiddle(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m
}

// linkSettings are those of a test with middle proxies: one loop, an ad tag, DC 2 directly at dc.
func linkSettings(t testing.TB, m *load.Middle, dc ...netip.AddrPort) *config.Settings {
	s := settings(dc...)
	s.Loops, s.Tag, s.StateDir = 1, &adTag, t.TempDir()
	s.Upstream = config.UpstreamAuto
	s.TelegramSecret, s.TelegramConfig = m.Resources.URL+load.SecretPath, m.Resources.URL+load.ConfigPath
	s.PublicV4 = netip.MustParseAddr("127.0.0.1")
	return s
}

// readyLinks waits until n links to a datacenter are ready, or more.
func (h *house) readyLinks(t testing.TB, dc codec.DC, n uint64) {
	t.Helper()
	h.wait(t, func(l stats.Loop) bool { return l.DC[stats.DCSlot(dc)].Middle.Links[middle.Ready] >= n })
}

// linked runs a proxy whose middle proxies serve DC 2, and waits until it has a link.
func linked(t testing.TB) (*house, *load.Middle) {
	t.Helper()
	m := middles(t, faketg.MiddleFaults{}, 2)
	h := start(t, linkSettings(t, m))
	h.readyLinks(t, 2, 1)
	return h, m
}

// oneLink is linked with a single link, however many clients come: the middle proxy takes no second one.
func oneLink(t testing.TB, set *config.Settings, m *load.Middle) *house {
	t.Helper()
	h := start(t, set)
	h.readyLinks(t, 2, 1)
	m.SetFaults(faketg.MiddleFaults{Refuse: true})
	return h
}

// sound fails the test when the proxy did anything that no proxy should.
func sound(t testing.TB, seen faketg.MiddleSeen) {
	t.Helper()
	if n := seen.Malformed + seen.Unknown + seen.Changed + seen.WrongFlags + seen.Reused + seen.BadFrames + seen.BadHandshakes; n > 0 {
		t.Errorf("the middle proxy saw what it should not: %+v", seen)
	}
}

// Every kind of client echoes over links, with its own address, its transport and the ad tag.
func TestMiddleEcho(t *testing.T) {
	h, m := linked(t)
	for i, w := range ways {
		c := dial(t, h.addr, w, 2)
		for _, size := range []int{64, 4096, 200_000, 1<<20&^1023 - 1024} {
			mustPing(t, c, size)
		}
		seen := m.Seen()
		if len(seen.StreamList) != i+1 {
			t.Fatalf("%v: %d streams", w, len(seen.StreamList))
		}
		s := seen.StreamList[i]
		local, here := c.LocalAddr().(*net.TCPAddr).AddrPort(), netip.MustParseAddrPort(h.addr)
		if s.Client != local || s.Proxy != here || s.Tag != adTag || !s.Tagged || s.Transport != w.tag || s.DC != 2 {
			t.Errorf("%v of %v at %v: seen %+v", w, local, here, s)
		}
		_ = c.Close()
	}
	h.wait(t, func(l stats.Loop) bool { return l.ClientsNow == 0 })
	l := h.snapshot().Sum()
	if l.Closed[codec.ReasonClientClosed] != uint64(len(ways)) || l.Middle.QueuedNow != 0 || l.DC[2].Opened != 0 || l.DC[2].Middle.Opened != uint64(len(ways)) {
		t.Errorf("closed %v, queued %d, DC 2 %+v", l.Closed, l.Middle.QueuedNow, l.DC[2])
	}
	eventually(t, func() bool { return m.Seen().ClosedByProxy == uint64(len(ways)) }, func() string { return "the streams stay open" })
	sound(t, m.Seen())
	if !h.snapshot().TagSet || h.snapshot().Book == nil {
		t.Error("no tag or address book in the snapshot")
	}
}

// quick sends a packet that wants a quick ack, and wants the ack and the echo.
func (c *client) quick(t testing.TB, body []byte) {
	t.Helper()
	p := append(frame.AppendHeader(nil, c.tag, len(body), true), body...)
	c.up.XOR(p, p)
	if err := c.raw(p); err != nil {
		t.Fatal(err)
	}
	var acks, echoes int
	for acks+echoes < 2 {
		a, used, err := frame.NextAnswer(c.tag, c.plain)
		switch {
		case err == codec.ErrShort:
			if err := c.fill(); err != nil {
				t.Fatal(err)
			}
			continue
		case err != nil:
			t.Fatal(err)
		case a.Body == nil:
			acks++
			if want := faketg.Confirm(body); a.Confirm != want {
				t.Errorf("confirmed %x, want %x", a.Confirm, want)
			}
		default:
			echoes++
			if !bytes.Equal(a.Body, body) {
				t.Errorf("%d bytes came back", len(a.Body))
			}
		}
		c.plain = c.plain[used:]
	}
	if acks != 1 || echoes != 1 {
		t.Errorf("%d acks, %d echoes", acks, echoes)
	}
}

// B14: a quick ack comes back, in the way of each framing.
func TestMiddleQuickAcks(t *testing.T) {
	h, m := linked(t)
	for _, w := range ways {
		c := dial(t, h.addr, w, 2)
		body := make([]byte, 88)
		for i := range 20 {
			random(body)
			body[0], body[1] = byte(i)|1, 1
			c.quick(t, body)
		}
		mustPing(t, c, 64)
	}
	if seen := m.Seen(); seen.Acks != 20*uint64(len(ways)) {
		t.Errorf("%d acks", seen.Acks)
	}
	sound(t, m.Seen())
}

// A10: of Telegram's -404, which shows a probe that this is a proxy, the first answer does not come through, a later one
// does.
func TestMiddleFilter(t *testing.T) {
	h, m := linked(t)
	for _, w := range ways {
		m.SetFaults(faketg.MiddleFaults{})
		c := dial(t, h.addr, w, 2)
		sink := faketg.Command{Op: faketg.OpSink, ID: 1, Size: 64} // no answer
		opened := m.Seen().OpenStreams
		if err := c.send(sink.Append(nil)); err != nil {
			t.Fatal(err)
		}
		eventually(t, func() bool { return m.Seen().OpenStreams == opened+1 }, func() string { return "no stream" })
		m.Strike(faketg.FaultNotFound, 1)
		if err := c.send(faketg.Command{Op: faketg.OpSync}.Append(nil)); err != nil {
			t.Fatal(err)
		}
		if p, err := c.receive(); err != nil || !faketg.IsCommand(p) {
			t.Fatalf("%v: first came %x, %v", w, p, err)
		}
		m.Strike(faketg.FaultNotFound, 1)
		if p, err := c.receive(); err != nil || !bytes.Equal(p, []byte{0x6c, 0xfe, 0xff, 0xff}) {
			t.Fatalf("%v: then came %x, %v", w, p, err)
		}
		_ = c.Close()
		eventually(t, func() bool { return m.Seen().OpenStreams == opened }, func() string { return "the stream stays" })
	}
	if n := h.snapshot().Sum().Middle.Filtered; n != uint64(len(ways)) {
		t.Errorf("%d filtered", n)
	}
}

// sum adds up what is counted by reason.
func sum(by [codec.Reasons]uint64) (n uint64) {
	for _, one := range by {
		n += one
	}
	return n
}

// clients opens n clients of all kinds in turn, each with one round trip done.
func (h *house) clients(t testing.TB, n int, dc codec.DC) (all []*client) {
	t.Helper()
	for i := range n {
		c := dial(t, h.addr, ways[i%len(ways)], dc)
		mustPing(t, c, 64)
		all = append(all, c)
	}
	return all
}

// A22, A23: all links end, by FIN and by reset; clients who wait for nothing change links, none is closed, and all can
// speak.
func TestMiddleMigrates(t *testing.T) {
	for _, f := range []faketg.Fault{faketg.FaultFIN, faketg.FaultReset, faketg.FaultTorn} {
		h, m := linked(t)
		all := h.clients(t, 12, 2)
		h.readyLinks(t, 2, 2) // one and one to spare
		struck := uint64(m.Strike(f, 0))
		h.wait(t, func(l stats.Loop) bool { return sum(l.Middle.Ended) == struck })
		for _, c := range all {
			mustPing(t, c, 300)
		}
		l := h.snapshot().Sum()
		if moved := l.Middle.Migrated[middle.Moved] + l.Middle.Migrated[middle.Waited]; struck != 2 || moved < uint64(len(all)) {
			t.Errorf("%v: %d links struck, %d times a client moved", f, struck, moved)
		}
		if l.ClientsNow != uint64(len(all)) || l.Middle.Migrated[middle.Busy]+l.Middle.Migrated[middle.Late] != 0 {
			t.Errorf("%v: %d clients, migrated %v", f, l.ClientsNow, l.Middle.Migrated)
		}
		sound(t, m.Seen())
	}
}

// A24: no link is left and none comes: with a tag clients are held, then closed with the reason, and nobody goes to the
// datacenter directly.
func TestMiddleHolds(t *testing.T) {
	tg, dc := telegram(t, faketg.Faults{})
	m := middles(t, faketg.MiddleFaults{}, 2)
	h := start(t, linkSettings(t, m, dc))
	h.readyLinks(t, 2, 1)
	all := h.clients(t, 4, 2)
	m.SetFaults(faketg.MiddleFaults{Refuse: true})
	begin := time.Now()
	m.Strike(faketg.FaultFIN, 0)
	late := dial(t, h.addr, ways[3], 2)
	if err := late.send(make([]byte, 64)); err != nil {
		t.Fatal(err)
	}
	for _, c := range append(all, late) {
		wantEnd(t, c)
	}
	if took := time.Since(begin); took < 2*time.Second {
		t.Errorf("closed after %v, not held", took)
	}
	h.wait(t, func(l stats.Loop) bool {
		return l.Closed[codec.ReasonNoLink] == uint64(len(all)+1) && l.Middle.Migrated[middle.Late] == uint64(len(all)) && l.Middle.HeldLate == uint64(len(all)+1)
	})
	if seen := tg.Seen(); seen.Accepted != 0 || h.snapshot().Sum().DC[2].ByDirect != 0 {
		t.Errorf("%d direct connections", seen.Accepted)
	}
}
