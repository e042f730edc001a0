package engine_test

import (
	"io"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"epoxy/bench/load"
	"epoxy/codec"
	"epoxy/engine"
	"epoxy/engine/config"
	"epoxy/engine/stats"
	"epoxy/upstream/faketg"
	"epoxy/upstream/middle"
	"epoxy/upstream/split"
)

// certs makes the certificates of one front and one back.
func certs(t testing.TB) (front, back split.Files) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "certs")
	if _, err := split.MakeCerts(dir, []string{split.FrontName}, []string{split.BackName}, time.Now()); err != nil {
		t.Fatal(err)
	}
	return split.Files{Cert: filepath.Join(dir, split.FrontName+".pem")}, split.Files{Cert: filepath.Join(dir, split.BackName+".pem")}
}

// serveBack makes set that of a back without clients of its own, at addr.
func serveBack(t testing.TB, set *config.Settings, addr string, files split.Files) *house {
	t.Helper()
	e, err := config.ParseEndpoint(addr)
	if err != nil {
		t.Fatal(err)
	}
	set.Listen, set.Secrets, set.ServeBack, set.ServeBackFiles = nil, nil, e, files
	return launch(t, set)
}

// launch runs a proxy that may have no port.
func launch(t testing.TB, set *config.Settings) *house {
	t.Helper()
	if err := set.Validate(); err != nil {
		t.Fatal(err)
	}
	e, err := engine.New(set, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Stop)
	return &house{Engine: e}
}

// frontOf runs a front of backs, and waits until one is ready with all its links.
func frontOf(t testing.TB, files split.Files, backs ...string) *house {
	t.Helper()
	set := settings()
	set.Tag, set.StateDir = &adTag, t.TempDir()
	set.Upstream, set.Backs, set.BackFiles = config.UpstreamBack, backs, files
	h := start(t, set)
	h.backUp(t, 0)
	return h
}

// backUp waits until the i-th back is ready.
func (h *house) backUp(t testing.TB, i int) {
	t.Helper()
	eventually(t, func() bool { return h.Backs()[i].Up && h.Backs()[i].Links == 2 }, func() string { return "the back is not ready" })
}

// linkedBack runs a back whose middle proxies serve DC 2, and waits until it has a link.
func linkedBack(t testing.TB, files split.Files) (*house, *load.Middle) {
	t.Helper()
	m := middles(t, faketg.MiddleFaults{}, 2)
	set := linkSettings(t, m)
	set.Loops, set.Upstream = 2, config.UpstreamMiddle
	h := serveBack(t, set, "127.0.0.1:0", files)
	h.readyLinks(t, 2, 1)
	return h, m
}

// A25: the front here, the back elsewhere: every kind of client echoes, small and large, with its own address, transport and
// the front's tag, and leaves nothing behind.
func TestSplitEcho(t *testing.T) {
	front, back := certs(t)
	b, m := linkedBack(t, back)
	h := frontOf(t, front, b.ServedAt())
	for i, w := range ways {
		c := dial(t, h.addr, w, 2)
		for _, size := range []int{64, 4096, 200_000, 1<<20&^1023 - 1024, 64} {
			mustPing(t, c, size)
		}
		seen := m.Seen()
		if len(seen.StreamList) != i+1 {
			t.Fatalf("%v: %d streams", w, len(seen.StreamList))
		}
		s := seen.StreamList[i]
		if s.Client.String() != c.LocalAddr().String() || s.Proxy.String() != h.addr || s.Tag != adTag || !s.Tagged || s.Transport != w.tag || s.DC != 2 {
			t.Errorf("%v of %v at %v: seen %+v", w, c.LocalAddr(), h.addr, s)
		}
		_ = c.Close()
	}
	h.wait(t, func(l stats.Loop) bool { return l.ClientsNow == 0 && l.Split.StreamsNow == 0 })
	b.wait(t, func(l stats.Loop) bool { return l.Split.GuestsNow == 0 && l.Middle.QueuedNow == 0 })
	eventually(t, func() bool { return m.Seen().ClosedByProxy == uint64(len(ways)) }, func() string { return "the streams stay open" })
	l := h.snapshot().Sum()
	if l.Closed[codec.ReasonClientClosed] != uint64(len(ways)) || l.Split.Opened != uint64(len(ways)) || l.Handshakes[codec.Secure] != 1 {
		t.Errorf("closed %v, opened %d, handshakes %v", l.Closed, l.Split.Opened, l.Handshakes)
	}
	if s := b.snapshot(); len(s.Served) != 1 || s.Served[0].Name != split.FrontName || s.Served[0].Opened != uint64(len(ways)) {
		t.Errorf("served %+v", s.Served)
	}
	if !h.Up() || h.Healthy() != nil {
		t.Error("the front says that Telegram is out of reach")
	}
	sound(t, m.Seen())
}

// A25: the same over a back that goes directly, where streams carry bytes.
func TestSplitEchoDirect(t *testing.T) {
	front, back := certs(t)
	tg, dc := telegram(t, faketg.Faults{})
	b := serveBack(t, settings(dc), "127.0.0.1:0", back)
	h := frontOf(t, front, b.ServedAt())
	for _, w := range ways {
		c := dial(t, h.addr, w, 2)
		for _, size := range []int{64, 4096, 200_000, 1<<20&^1023 - 1024, 64} {
			mustPing(t, c, size)
		}
		_ = c.Close()
	}
	h.wait(t, func(l stats.Loop) bool { return l.ClientsNow == 0 })
	b.wait(t, func(l stats.Loop) bool { return l.Split.GuestsNow == 0 && l.DC[2].Opened == uint64(len(ways)) })
	eventually(t, func() bool { return tg.Seen().Open == 0 }, func() string { return "connections to the datacenter stay open" })
}

// B14: quick acks come back through the link, in the way of each framing.
func TestSplitQuickAcks(t *testing.T) {
	front, back := certs(t)
	b, m := linkedBack(t, back)
	h := frontOf(t, front, b.ServedAt())
	for _, w := range ways {
		c := dial(t, h.addr, w, 2)
		body := make([]byte, 88)
		for i := range 20 {
			random(body)
			body[0], body[1] = byte(i)|1, 1
			c.quick(t, body)
		}
	}
	sound(t, m.Seen())
}

// A26: links to middle proxies end at the back: clients at the front change links there without a word, all can speak, and the
// back has as many as before.
func TestSplitMigrates(t *testing.T) {
	front, back := certs(t)
	b, m := linkedBack(t, back)
	h := frontOf(t, front, b.ServedAt())
	all := h.clients(t, 12, 2)
	b.readyLinks(t, 2, 2)
	struck := uint64(m.Strike(faketg.FaultFIN, 0))
	b.wait(t, func(l stats.Loop) bool { return sum(l.Middle.Ended) == struck })
	for _, c := range all {
		mustPing(t, c, 300)
	}
	l := b.snapshot().Sum()
	if moved := l.Middle.Migrated[middle.Moved] + l.Middle.Migrated[middle.Waited]; moved < uint64(len(all)) || l.Middle.Migrated[middle.Busy] > 0 {
		t.Errorf("migrated %v", l.Middle.Migrated)
	}
	if n := h.snapshot().Sum().ClientsNow; n != uint64(len(all)) || l.Split.GuestsNow != uint64(len(all)) {
		t.Errorf("%d clients, %d guests", n, l.Split.GuestsNow)
	}
	sound(t, m.Seen())
}

// A back without a tag of its own lets clients without one go directly while no link works, and holds those who have one: their
// tag would be lost.
func TestSplitTagStays(t *testing.T) {
	front, back := certs(t)
	tg, dc := telegram(t, faketg.Faults{})
	m := middles(t, faketg.MiddleFaults{Refuse: true}, 2)
	set := linkSettings(t, m, dc)
	set.Tag, set.Upstream = nil, config.UpstreamMiddle
	b := serveBack(t, set, "127.0.0.1:0", back)
	b.wait(t, func(l stats.Loop) bool { return l.DC[2].ByDirect == 1 })
	h := frontOf(t, front, b.ServedAt())
	tagged := dial(t, h.addr, ways[2], 2)
	if err := tagged.send(make([]byte, 64)); err != nil {
		t.Fatal(err)
	}
	wantEnd(t, tagged)
	h.wait(t, func(l stats.Loop) bool { return l.Closed[codec.ReasonNoLink] == 1 })
	if n := tg.Seen().Accepted; n != 0 {
		t.Errorf("%d clients with a tag went directly", n)
	}
	plain := settings()
	plain.Upstream, plain.Backs, plain.BackFiles = config.UpstreamBack, []string{b.ServedAt()}, front
	p := start(t, plain)
	p.backUp(t, 0)
	for _, w := range ways {
		mustPing(t, dial(t, p.addr, w, 2), 3000)
	}
}
