package engine_test

import (
	"io"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"epoxy/codec"
	"epoxy/codec/faketls"
	"epoxy/codec/proxyproto"
	"epoxy/engine"
	"epoxy/engine/config"
	"epoxy/engine/stats"
	"epoxy/upstream/faketg"
)

// visit is a stranger that is being spliced to a front of its own.
func visit(t testing.TB, change func(*config.Settings)) (h *house, c, v *net.TCPConn) {
	t.Helper()
	s := newSite(t)
	set := fronted(s)
	if change != nil {
		change(set)
	}
	h = start(t, set)
	hello := wrongHello(t)
	c = stranger(t, h.addr, hello)
	return h, c, s.spliced(t, c, hello)
}

// Whoever says its last word first still hears the other's.
func TestFrontHalfClose(t *testing.T) {
	_, c, v := visit(t, nil)
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	wantEOF(t, v)
	talk(t, v, c)
	_ = v.Close()
	wantEOF(t, c)

	h, c, v := visit(t, nil)
	if err := v.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	wantEOF(t, c)
	talk(t, c, v)
	_ = c.Close()
	wantEOF(t, v)
	h.wait(t, func(l stats.Loop) bool { return l.ClientsNow == 0 && l.Front.Now == 0 })
}

// reset ends a connection by RST.
func reset(t testing.TB, c *net.TCPConn) {
	t.Helper()
	if err := c.SetLinger(0); err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
}

// The front's RST is the stranger's, and the other way round.
func TestFrontReset(t *testing.T) {
	_, c, v := visit(t, nil)
	reset(t, v)
	wantReset(t, c)

	h, c, v := visit(t, nil)
	reset(t, c)
	wantReset(t, v)
	h.wait(t, func(l stats.Loop) bool { return l.ClientsNow == 0 && l.Front.Now == 0 })
}

// A stranger that does not read costs little memory, whatever the front has for it, and gets all of it later; a front that
// does not read is the same.
func TestFrontBackPressure(t *testing.T) {
	h, c, v := visit(t, nil)
	for _, way := range []struct {
		from, to *net.TCPConn
		total    int
		paused   func(stats.Loop) bool
	}{
		{v, c, 64 << 20, func(l stats.Loop) bool { return l.TelegramPauses > 0 }},
		{c, v, 24 << 20, func(l stats.Loop) bool { return l.ClientPauses > 0 }},
	} {
		_ = way.from.SetDeadline(time.Now().Add(2 * patience))
		_ = way.to.SetDeadline(time.Now().Add(2 * patience))
		sent := make(chan error, 1)
		go func() {
			p := make([]byte, 0, 1<<20)
			for n := 0; n < way.total; n += len(p) {
				p = faketg.AppendPattern(p[:0], 5, uint64(n), cap(p))
				if _, err := way.from.Write(p); err != nil {
					sent <- err
					return
				}
			}
			sent <- nil
		}()
		h.wait(t, way.paused)
		most := uint64(0)
		p := make([]byte, 1<<20)
		for n := 0; n < way.total; n += len(p) {
			most = max(most, h.snapshot().Sum().QueuedNow)
			if _, err := io.ReadFull(way.to, p); err != nil {
				t.Fatal(err)
			}
			if !faketg.CheckPattern(p, 5, uint64(n)) {
				t.Fatalf("other bytes near %d", n)
			}
		}
		if err := <-sent; err != nil {
			t.Fatal(err)
		}
		if most == 0 || most > 1<<20 {
			t.Errorf("up to %d bytes of %d waited in the proxy", most, way.total)
		}
	}
}

// A talk with the front ends when nobody says anything, and after a while in any case.
func TestFrontTimes(t *testing.T) {
	h, c, v := visit(t, func(s *config.Settings) { s.FrontIdle = short })
	wantEOF(t, c)
	wantEOF(t, v)
	h.wait(t, func(l stats.Loop) bool { return l.Closed[codec.ReasonIdle] == 1 })

	h, c, v = visit(t, func(s *config.Settings) { s.FrontTime, s.FrontIdle = short, patience })
	drips := make(chan struct{})
	go func() {
		defer close(drips)
		for _, err := v.Write([]byte("drip")); err == nil; _, err = v.Write([]byte("drip")) {
			time.Sleep(short / 25)
		}
	}()
	if n := wantEnd(t, c); n == 0 {
		t.Error("no byte came before the end")
	}
	<-drips
	h.wait(t, func(l stats.Loop) bool { return l.Closed[codec.ReasonFrontTime] == 1 })
}

// The front hears by a PROXY protocol header who the stranger is, ahead of the stranger's first byte.
func TestFrontHeaderOut(t *testing.T) {
	for _, version := range []config.Version{config.Version1, config.Version2} {
		s := newSite(t)
		set := fronted(s)
		set.FrontProxy = version
		h := start(t, set)
		hello := wrongHello(t)
		c := stranger(t, h.addr, hello)
		local, remote := c.LocalAddr().(*net.TCPAddr).AddrPort(), c.RemoteAddr().(*net.TCPAddr).AddrPort()
		head := proxyproto.AppendV1(nil, local, remote)
		if version == config.Version2 {
			head = proxyproto.AppendV2(nil, local, remote)
		}
		s.spliced(t, c, append(head, hello...))
	}
}

// A front on a unix socket hears the same.
func TestFrontUnix(t *testing.T) {
	path := filepath.Join(t.TempDir(), "front.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	set := fronted(newSite(t))
	set.Fronts, set.FrontProxy = []config.Front{{Path: path}}, config.Version2
	h := start(t, set)
	hello := wrongHello(t)
	c := stranger(t, h.addr, hello)
	v, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = v.Close() })
	head := proxyproto.AppendV2(nil, c.LocalAddr().(*net.TCPAddr).AddrPort(), netip.MustParseAddrPort(h.addr))
	wantRead(t, v, append(head, hello...))
	talk(t, v, c)
	talk(t, c, v)
	_ = v.Close()
	wantEOF(t, c)
}

// B18: a front that is down, or resets, is what the stranger sees; one that says nothing, or does not even answer the connect,
// keeps the stranger waiting. Clients on the same loop go on meanwhile.
func TestFrontUnwell(t *testing.T) {
	_, dc := telegram(t, faketg.Faults{})
	slow, refusing := newSite(t), newSite(t)
	set := fronted(slow)
	set.DC, set.Loops = settings(dc).DC, 1
	for domain, addr := range map[string]netip.AddrPort{
		"down.example": deadPort(t), "hanging.example": hangingPort(t), "refusing.example": refusing.front().Addr,
	} {
		set.Fronts = append(set.Fronts, config.Front{Domain: domain, Addr: addr})
	}
	h := start(t, set)
	in := dial(t, h.addr, ways[3], 2)
	hello := func(domain string) []byte {
		return greet(t, func(c *faketls.ClientHello) { c.Secret, c.Domain = wrongKey, domain })
	}
	stillSilent(t, stranger(t, h.addr, hello("hanging.example")))
	var slowest []net.Conn
	const rounds = 10
	for range rounds {
		slowest = append(slowest, stranger(t, h.addr, hello("slow.example")))
		stranger(t, h.addr, hello("hanging.example"))
		wantReset(t, stranger(t, h.addr, hello("down.example")))
		c := stranger(t, h.addr, hello("refusing.example"))
		reset(t, refusing.visitor(t))
		wantReset(t, c)
		mustPing(t, in, 4096)
		other := dial(t, h.addr, ways[3], 2)
		mustPing(t, other, 64)
		_ = other.Close()
	}
	stillSilent(t, slowest[0])
	mustPing(t, in, 64)
	h.wait(t, func(l stats.Loop) bool { return l.Front.Opened == 1+4*rounds })
	if f := h.snapshot().Sum().Front; f.Now < rounds || f.Failed[codec.ReasonDialRefused] != rounds {
		t.Errorf("%+v", f)
	}
}

// B19: a front that is this proxy is refused at the start, by address and by name, and the error says so.
func TestFrontLoop(t *testing.T) {
	port := strconv.Itoa(int(deadPort(t).Port()))
	for _, c := range []struct {
		listen string
		front  string
	}{
		{":%", "127.0.0.1:%"}, {":%", "[::1]:%"}, {"0.0.0.0:%", "127.0.0.1:%"}, {"127.0.0.1:%", "localhost:%"},
		{":%", "localhost:%"}, {"127.0.0.1:%", "127.0.0.1:%"},
	} {
		text := func(s string) string { return strings.ReplaceAll(s, "%", port) }
		set := settings()
		set.Listen[0] = listen("port1", text(c.listen))
		front, err := config.ParseFront(text(c.front))
		if err != nil {
			t.Fatal(err)
		}
		set.Fronts = []config.Front{front}
		if err = set.Validate(); err == nil {
			var e *engine.Engine
			if e, err = engine.New(set, slog.New(slog.DiscardHandler)); err == nil {
				e.Stop()
			}
		}
		if err == nil || !strings.Contains(err.Error(), text(c.front)) || !strings.Contains(err.Error(), "our own listener") && !strings.Contains(err.Error(), "this proxy itself") {
			t.Errorf("listening at %s with the front %s: %v", text(c.listen), text(c.front), err)
		}
	}
}
