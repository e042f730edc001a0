package reactor_test

import (
	"io"
	"net"
	"net/netip"
	"testing"

	"epoxy/codec"
	"epoxy/engine/reactor"
	"epoxy/upstream"
)

// side is one half of a relay as a proxy would write it.
type side struct {
	other upstream.Socket // nil when gone
	high  int
}

func (d *side) Opened(upstream.Socket) {}
func (d *side) Timer(upstream.Socket)  {}
func (d *side) Again(upstream.Socket)  {}
func (d *side) Data(s upstream.Socket, p []byte) {
	if d.other == nil {
		return
	}
	d.other.Write(p)
	if d.other.Queued() > d.high {
		s.Pause()
	}
}
func (d *side) EOF(upstream.Socket) {
	if d.other != nil {
		d.other.CloseWrite()
	}
}
func (d *side) Drained(upstream.Socket) {
	if d.other != nil {
		d.other.Resume()
	}
}
func (d *side) Closed(s upstream.Socket, why codec.Reason) {
	if d.other != nil {
		d.other.Close(why)
		d.other = nil
	}
}

// relay returns an acceptor that connects each client to addr on the same loop.
func relay(r *reactor.Reactor, addr netip.AddrPort) acceptFunc {
	return func(s upstream.Socket, _ netip.AddrPort) upstream.Handler {
		up := &side{other: s, high: 64 << 10}
		u, why := r.Dial(upstream.Target{Addr: addr}, up)
		if why != codec.ReasonNone {
			return nil
		}
		return &side{other: u, high: 64 << 10}
	}
}

// The client sends 8 MB and FIN; the server answers after it read the end.
func TestAnswerAfterClientFIN(t *testing.T) {
	const size = 8 << 20
	addr := server(t, func(c *net.TCPConn) {
		go func() {
			defer func() { _ = c.Close() }()
			all, err := io.ReadAll(c)
			if err == nil {
				_, _ = c.Write(all)
			}
		}()
	})
	r := start(t, reactor.Options{})
	l := listen(t, r, relay(r, addr))
	c := dial(t, "tcp", l.Addr())
	go func() {
		p := make([]byte, size)
		pattern(p, 0)
		_, _ = c.Write(p)
		_ = c.(*net.TCPConn).CloseWrite()
	}()
	got, err := io.ReadAll(c)
	if err != nil || len(got) != size {
		t.Fatalf("got %d bytes of %d: %v", len(got), size, err)
	}
	wantPattern(t, got, 0)
	until(t, r, "both sockets close by themselves", func() bool { return r.Stats().Open == 0 })
	if s := stats(t, r); s.Closes[codec.ReasonPeerClosed] == 0 || s.Queued != 0 {
		t.Errorf("closes %v, queued %d", s.Closes, s.Queued)
	}
}

// The upstream sends 20 MB and closes; the client begins to read when the relay is full.
func TestTailAfterUpstreamClosed(t *testing.T) {
	const size = 20 << 20
	addr := server(t, func(c *net.TCPConn) {
		go func() {
			p := make([]byte, size)
			pattern(p, 0)
			_, _ = c.Write(p)
			_ = c.Close()
		}()
	})
	r := start(t, reactor.Options{})
	l := listen(t, r, relay(r, addr))
	c := dial(t, "tcp", l.Addr())
	until(t, r, "the queue of the slow client", func() bool { return r.Stats().Queued > 64<<10 })
	if q := stats(t, r).Queued; q > 64<<10+256<<10 {
		t.Errorf("queue %d: above its limit plus one read", q)
	}
	got, err := io.ReadAll(c)
	if err != nil || len(got) != size {
		t.Fatalf("got %d bytes of %d: %v", len(got), size, err)
	}
	wantPattern(t, got, 0)
}

// A reader that rests costs what was written to it, and the memory comes back.
func TestSlowReaderQueue(t *testing.T) {
	r := start(t, reactor.Options{})
	s, peer := adopt(t, r, &funcs{})
	const step, steps = 10_000, 200
	p := make([]byte, step)
	sent := 0
	for range steps {
		on(t, r, func() {
			pattern(p, sent)
			before, out := s.Queued(), r.Stats().BytesOut
			s.Write(p)
			if grown, took := s.Queued()-before, int(r.Stats().BytesOut-out); grown+took != step {
				t.Errorf("queue grew by %d and the kernel took %d of %d", grown, took, step)
			}
			sent += step
		})
	}
	st := stats(t, r)
	if st.Queued == 0 || st.ChunkMemory < st.Queued || st.ChunkMemory > st.Queued+64<<10 {
		t.Errorf("queued %d in %d bytes of chunks", st.Queued, st.ChunkMemory)
	}
	got := make([]byte, sent)
	if _, err := io.ReadFull(peer, got); err != nil {
		t.Fatal(err)
	}
	wantPattern(t, got, 0)
	until(t, r, "an empty queue", func() bool { return r.Stats().Queued == 0 })
}

// Steady relaying between two sockets of a reactor allocates nothing.
func TestRelayAllocatesNothing(t *testing.T) {
	r := start(t, reactor.Options{})
	left, right := &side{high: 64 << 10}, &side{high: 64 << 10}
	a, pa := adopt(t, r, left)
	b, pb := adopt(t, r, right)
	on(t, r, func() { left.other, right.other = b, a })
	msg, got := make([]byte, 200), make([]byte, 200)
	trip := func() {
		if _, err := pa.Write(msg); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(pb, got); err != nil {
			t.Fatal(err)
		}
		if _, err := pb.Write(got); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(pa, got); err != nil {
			t.Fatal(err)
		}
	}
	for range 100 {
		trip()
	}
	if n := testing.AllocsPerRun(2000, trip); n != 0 {
		t.Errorf("%v allocations per two messages", n)
	}
}

func BenchmarkRelayRoundTrip(b *testing.B) {
	r := start(b, reactor.Options{})
	left, right := &side{high: 64 << 10}, &side{high: 64 << 10}
	x, px := adopt(b, r, left)
	y, py := adopt(b, r, right)
	on(b, r, func() { left.other, right.other = y, x })
	msg := make([]byte, 200)
	b.ReportAllocs()
	for b.Loop() {
		_, _ = px.Write(msg)
		if _, err := io.ReadFull(py, msg); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEchoRoundTrip(b *testing.B) {
	r := start(b, reactor.Options{})
	_, peer := adopt(b, r, echo())
	msg := make([]byte, 200)
	b.ReportAllocs()
	for b.Loop() {
		_, _ = peer.Write(msg)
		if _, err := io.ReadFull(peer, msg); err != nil {
			b.Fatal(err)
		}
	}
}
