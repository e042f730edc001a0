package engine_test

import (
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"epoxy/codec"
	"epoxy/engine/config"
	"epoxy/engine/stats"
	"epoxy/upstream/faketg"
	"epoxy/upstream/split"
)

// wan is the way between front and back: it carries bytes, and breaks when a test says so.
type wan struct {
	addr string

	mu    sync.Mutex
	to    string
	pairs [][2]net.Conn
	ended sync.WaitGroup
}

func newWAN(t testing.TB, to string) *wan {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wan{addr: ln.Addr().String(), to: to}
	w.ended.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			w.join(c)
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		w.set("")
		w.cut(-1)
		w.ended.Wait()
	})
	return w
}

// join carries a connection to where it goes now; to nowhere it is reset.
func (w *wan) join(c net.Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	o, err := net.Dial("tcp", w.to)
	if w.to == "" || err != nil {
		_ = c.Close()
		return
	}
	w.pairs = append(w.pairs, [2]net.Conn{c, o})
	for _, p := range [][2]net.Conn{{c, o}, {o, c}} {
		w.ended.Go(func() {
			_, _ = io.Copy(p[0], p[1])
			if w.frozen(c) {
				return
			}
			_ = p[0].Close()
		})
	}
}

// set changes where connections go from now on.
func (w *wan) set(to string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.to = to
}

// cut ends the first n connections, all for -1.
func (w *wan) cut(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for n != 0 && len(w.pairs) > 0 {
		for _, c := range w.pairs[0] {
			_ = c.Close()
		}
		w.pairs = w.pairs[1:]
		n--
	}
}

// freeze makes the far ends vanish, as a machine does that lost its power: the near ones hear nothing.
func (w *wan) freeze() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range w.pairs {
		far := w.pairs[i][1]
		w.pairs[i][1] = w.pairs[i][0]
		_ = far.Close()
	}
}

func (w *wan) frozen(c net.Conn) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range w.pairs {
		if p[0] == c && p[1] == c {
			return true
		}
	}
	return false
}

// asking makes a client wait for an answer that does not come.
func asking(t testing.TB, c *client, seen func() uint64) {
	t.Helper()
	before := seen()
	if err := c.send(faketg.Command{Op: faketg.OpSink, ID: 1, Size: 64}.Append(nil)); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return seen() > before }, func() string { return "the packet does not arrive" })
}

// Fault 41: a back is lost with clients on it. Those who wait for nothing go on over the next back, the one with an
// outstanding answer is closed, and when the first is there again new clients go to it.
func TestSplitBackLost(t *testing.T) {
	front, back := certs(t)
	b1, m1 := linkedBack(t, back)
	b2, m2 := linkedBack(t, back)
	way := newWAN(t, b1.ServedAt())
	h := frontOf(t, front, way.addr, b2.ServedAt())
	h.backUp(t, 1)
	all := h.clients(t, 9, 2)
	if n := m2.Seen().OpenStreams; n != 0 {
		t.Fatalf("%d clients on the second back while the first is there", n)
	}
	asking(t, all[8], func() uint64 { return m1.Seen().Requests })
	way.set("")
	way.cut(-1)
	wantEnd(t, all[8])
	h.wait(t, func(l stats.Loop) bool { // some moved to the other link of the same back, which was about to be lost
		return l.Split.Migrated[split.Moved] >= 8 && l.Split.Migrated[split.Busy] == 1 && l.Split.StreamsNow == 8
	})
	for _, c := range all[:8] {
		mustPing(t, c, 3000)
	}
	l := h.snapshot().Sum()
	if l.ClientsNow != 8 || l.Closed[codec.ReasonLinkLost] != 1 || m2.Seen().OpenStreams != 8 {
		t.Errorf("%d clients, closed %v, %d on the second back", l.ClientsNow, l.Closed[codec.ReasonLinkLost], m2.Seen().OpenStreams)
	}
	b1.wait(t, func(l stats.Loop) bool { return l.Split.GuestsNow == 0 })
	if s := h.snapshot(); !s.Up || s.Backs[0].Up || !s.Backs[1].Up {
		t.Errorf("up %v, backs %+v", s.Up, s.Backs)
	}
	way.set(b1.ServedAt())
	h.backUp(t, 0)
	mustPing(t, dial(t, h.addr, ways[3], 2), 64)
	if n := m1.Seen().OpenStreams; n != 1 {
		t.Errorf("%d clients on the first back", n)
	}
	sound(t, m1.Seen())
	sound(t, m2.Seen())
}

// Fault 41: one of two links is lost: clients go on over the other.
func TestSplitLinkLost(t *testing.T) {
	front, back := certs(t)
	b, m := linkedBack(t, back)
	way := newWAN(t, b.ServedAt())
	h := frontOf(t, front, way.addr)
	all := h.clients(t, 16, 2)
	way.cut(1)
	h.wait(t, func(l stats.Loop) bool { return l.Split.Migrated[split.Moved] > 0 && h.Backs()[0].Lost == 1 })
	for _, c := range all {
		mustPing(t, c, 300)
	}
	if l := h.snapshot().Sum(); l.ClientsNow != 16 || sumOutcomes(l) != l.Split.Migrated[split.Moved] {
		t.Errorf("%d clients, migrated %v", l.ClientsNow, l.Split.Migrated)
	}
	sound(t, m.Seen())
}

func sumOutcomes(l stats.Loop) (n uint64) {
	for _, one := range l.Split.Migrated {
		n += one
	}
	return n
}

// Fault 41: all links are lost and come back in time: clients are held, and go on.
func TestSplitHeld(t *testing.T) {
	front, back := certs(t)
	b, _ := linkedBack(t, back)
	way := newWAN(t, b.ServedAt())
	h := frontOf(t, front, way.addr)
	all := h.clients(t, 8, 2)
	way.cut(-1)
	h.wait(t, func(l stats.Loop) bool { return l.Split.Migrated[split.Waited]+l.Split.Migrated[split.Moved] >= 8 })
	for _, c := range all {
		mustPing(t, c, 300)
	}
	if n := h.snapshot().Sum().ClientsNow; n != 8 {
		t.Errorf("%d clients", n)
	}
}

// Fault 41: no link is left and none comes: clients are held for 3 s, those who come meanwhile too, then all are closed; the
// listener stays, and the front says that Telegram is out of reach. When the back is there again it serves.
func TestSplitGone(t *testing.T) {
	front, back := certs(t)
	b, _ := linkedBack(t, back)
	way := newWAN(t, b.ServedAt())
	h := frontOf(t, front, way.addr)
	all := h.clients(t, 4, 2)
	begin := time.Now()
	way.set("")
	way.cut(-1)
	eventually(t, func() bool { return !h.Up() }, func() string { return "the front does not notice" })
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
		return l.Closed[codec.ReasonNoLink] == 5 && l.Split.Migrated[split.Late] == 4 && l.Split.StreamsNow == 0
	})
	if s := h.snapshot(); s.Up || s.Backs[0].Up || s.Backs[0].Links != 0 {
		t.Errorf("up %v, backs %+v", s.Up, s.Backs)
	}
	way.set(b.ServedAt())
	h.backUp(t, 0)
	h.clients(t, 4, 2)
}

// Fault 41: the back is started anew while the old one's links look alive: its new instance id ends them at once.
func TestSplitInstance(t *testing.T) {
	front, back := certs(t)
	b1, _ := linkedBack(t, back)
	b2, m2 := linkedBack(t, back)
	way := newWAN(t, b1.ServedAt())
	h := frontOf(t, front, way.addr)
	all := h.clients(t, 8, 2)
	begin := time.Now()
	way.set(b2.ServedAt())
	way.freeze()
	way.cut(1) // a link has to find out
	h.wait(t, func(l stats.Loop) bool { return h.Backs()[0].Lost == 2 && sumOutcomes(l) >= 8 })
	for _, c := range all {
		mustPing(t, c, 300)
	}
	if took := time.Since(begin); took > 13*time.Second {
		t.Errorf("it took %v: silence ended the link, not the instance", took)
	}
	if n := m2.Seen().OpenStreams; n != 8 || h.snapshot().Sum().ClientsNow != 8 {
		t.Errorf("%d clients on the new back", n)
	}
}

// Fault 41: a front is killed: its back closes its clients towards Telegram, and serves others on.
func TestSplitFrontGone(t *testing.T) {
	front, back := certs(t)
	b, m := linkedBack(t, back)
	way := newWAN(t, b.ServedAt())
	h1, h2 := frontOf(t, front, way.addr), frontOf(t, front, b.ServedAt())
	h1.clients(t, 20, 2)
	stay := h2.clients(t, 4, 2)
	way.set("")
	way.cut(-1)
	b.wait(t, func(l stats.Loop) bool { return l.Split.GuestsNow == 4 && l.Split.GuestsLost >= 20 })
	eventually(t, func() bool { return m.Seen().ClosedByProxy >= 20 && m.Seen().OpenStreams == 4 }, func() string { return "the streams stay open" })
	for _, c := range stay {
		mustPing(t, c, 64)
	}
	sound(t, m.Seen())
}

// A back that drains sends its fronts' clients to the next one, and is then done.
func TestSplitDrain(t *testing.T) {
	front, back := certs(t)
	b1, _ := linkedBack(t, back)
	b2, m2 := linkedBack(t, back)
	h := frontOf(t, front, b1.ServedAt(), b2.ServedAt())
	h.backUp(t, 1)
	all := h.clients(t, 10, 2)
	b1.Drain(t.Context())
	for _, c := range all {
		mustPing(t, c, 300)
	}
	if l := h.snapshot().Sum(); l.ClientsNow != 10 || l.Split.Migrated[split.Moved] != 10 || m2.Seen().OpenStreams != 10 {
		t.Errorf("%d clients, migrated %v, %d on the second back", l.ClientsNow, l.Split.Migrated, m2.Seen().OpenStreams)
	}
}

// Who has another authority's certificate, or another name, is no front, and no back either.
func TestSplitStrangers(t *testing.T) {
	front, back := certs(t)
	foreign, foreignBack := certs(t)
	b, _ := linkedBack(t, back)
	for name, c := range map[string]struct {
		files split.Files
		want  string
	}{
		"another authority": {split.Files{Cert: foreign.Cert, CA: front.Cert}, split.BackName},
		"unknown back":      {foreignBack, split.BackName},
		"a back as front":   {split.Files{Cert: back.Cert}, split.BackName},
		"another name":      {front, "berlin"},
	} {
		before := b.snapshot().ServedRefused
		set := settings()
		set.StateDir, set.Upstream, set.Backs = t.TempDir(), config.UpstreamBack, []string{b.ServedAt()}
		set.BackFiles, set.BackName = c.files, c.want
		h := launch(t, set)
		eventually(t, func() bool { return b.snapshot().ServedRefused >= before+2 }, func() string { return name + ": not refused" })
		if s := h.snapshot(); s.Backs[0].Links != 0 || s.Up || s.Backs[0].BytesDown != 0 {
			t.Errorf("%s: %+v", name, s.Backs)
		}
		h.Stop()
	}
	if s := b.snapshot(); len(s.Served) != 0 {
		t.Errorf("served %+v", s.Served)
	}
}

// Certificates are read again by a reload: links to come use them, those that live stay; a bad file changes nothing. A program
// that began without a back needs a restart for one.
func TestSplitReload(t *testing.T) {
	front, back := certs(t)
	_, foreign := certs(t)
	good, err := os.ReadFile(back.Cert)
	if err != nil {
		t.Fatal(err)
	}
	other, err := os.ReadFile(foreign.Cert)
	if err != nil {
		t.Fatal(err)
	}
	put := func(text []byte) {
		t.Helper()
		if err := os.WriteFile(back.Cert, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, dc := telegram(t, faketg.Faults{})
	set := settings(dc)
	b := serveBack(t, set, "127.0.0.1:0", back)
	way := newWAN(t, b.ServedAt())
	h := frontOf(t, front, way.addr)
	c := dial(t, h.addr, ways[2], 2)
	mustPing(t, c, 64)

	put([]byte("nonsense"))
	if _, err := b.Apply(set); err == nil {
		t.Error("nonsense is a certificate")
	}
	put(other)
	if _, err := b.Apply(set); err != nil {
		t.Fatal(err)
	}
	failed := h.Backs()[0].Failed
	way.cut(1)
	eventually(t, func() bool { return h.Backs()[0].Failed >= failed+2 }, func() string { return "the front takes the other certificate" })
	if n := h.Backs()[0].Links; n != 1 {
		t.Errorf("%d links", n)
	}
	put(good)
	if _, err := b.Apply(set); err != nil {
		t.Fatal(err)
	}
	h.backUp(t, 0)
	mustPing(t, dial(t, h.addr, ways[2], 2), 64)

	turned := settings(dc)
	turned.Upstream, turned.Backs, turned.BackFiles = config.UpstreamBack, []string{way.addr}, front
	if err := turned.Validate(); err != nil {
		t.Fatal(err)
	}
	if _, err := start(t, settings(dc)).Apply(turned); err == nil {
		t.Error("a back without a restart")
	}
}
