package reactor_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"

	"epoxy/codec"
	"epoxy/engine/reactor"
	"epoxy/upstream"
)

// tcp returns a socket accepted by the reactor and its client.
func tcp(t testing.TB, r *reactor.Reactor, h upstream.Handler) (upstream.Socket, *net.TCPConn) {
	t.Helper()
	got := make(chan upstream.Socket, 1)
	l := listen(t, r, acceptFunc(func(s upstream.Socket, _ netip.AddrPort) upstream.Handler {
		got <- s
		return h
	}))
	c := dial(t, "tcp", l.Addr())
	return recv(t, got), c.(*net.TCPConn)
}

// ending returns a handler that reports its end.
func ending() (*funcs, chan codec.Reason) {
	why := make(chan codec.Reason, 2)
	return &funcs{closed: func(_ upstream.Socket, w codec.Reason) { why <- w }}, why
}

// fill writes until bytes are queued and returns how many were written.
func fill(s upstream.Socket) (n int) {
	p := make([]byte, 64<<10)
	for s.Queued() == 0 {
		pattern(p, n)
		s.Write(p)
		n += len(p)
	}
	return n
}

func TestCloseSendsTheQueue(t *testing.T) {
	r := start(t, reactor.Options{})
	h, why := ending()
	s, c := tcp(t, r, h)
	sent := 0
	on(t, r, func() {
		sent = fill(s)
		s.Close(codec.ReasonIdle)
		s.Write([]byte("dropped"))
		s.Close(codec.ReasonLimit)
	})
	if len(why) > 0 {
		t.Error("closed before the queue was sent")
	}
	got, err := io.ReadAll(c)
	if err != nil || len(got) != sent {
		t.Fatalf("got %d of %d: %v", len(got), sent, err)
	}
	wantPattern(t, got, 0)
	if w := recv(t, why); w != codec.ReasonIdle {
		t.Errorf("closed: %v", w)
	}
}

// Unread bytes at Close must not turn FIN into RST for what was just sent.
func TestCloseWithUnreadBytes(t *testing.T) {
	r := start(t, reactor.Options{})
	h, why := ending()
	s, c := tcp(t, r, h)
	on(t, r, func() { s.Pause() })
	if _, err := c.Write(bytes.Repeat([]byte("unread"), 10_000)); err != nil {
		t.Fatal(err)
	}
	on(t, r, func() {})
	on(t, r, func() {
		s.Write([]byte("answer"))
		s.Close(codec.ReasonIdle)
	})
	got, err := io.ReadAll(c)
	if err != nil || string(got) != "answer" {
		t.Fatalf("got %q, %v", got, err)
	}
	if _, err := c.Write([]byte("more")); err != nil {
		t.Errorf("write while lingering: %v", err)
	}
	_ = c.Close()
	if w := recv(t, why); w != codec.ReasonIdle {
		t.Errorf("closed: %v", w)
	}
}

func TestAbortResets(t *testing.T) {
	r := start(t, reactor.Options{})
	h, why := ending()
	s, c := tcp(t, r, h)
	on(t, r, func() {
		fill(s)
		s.Abort(codec.ReasonQueueLimit)
		if s.Queued() != 0 {
			t.Error("the queue is left")
		}
	})
	if _, err := io.Copy(io.Discard, c); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the client got %v", err)
	}
	if w := recv(t, why); w != codec.ReasonQueueLimit {
		t.Errorf("closed: %v", w)
	}
}

func TestResetWhilePaused(t *testing.T) {
	r := start(t, reactor.Options{})
	h, why := ending()
	h.data = func(upstream.Socket, []byte) { t.Error("data while paused") }
	s, c := tcp(t, r, h)
	on(t, r, func() { s.Pause() })
	_, _ = c.Write([]byte("x"))
	_ = c.SetLinger(0)
	_ = c.Close()
	if w := recv(t, why); w != codec.ReasonPeerReset {
		t.Errorf("closed: %v", w)
	}
	on(t, r, func() { // a dead socket does nothing
		s.Write([]byte("x"))
		s.Resume()
		s.Again()
		s.SetTimer(r.Now())
		s.CloseWrite()
		s.Close(codec.ReasonIdle)
		s.Abort(codec.ReasonIdle)
		s.SetHandler(h)
		if s.Queued() != 0 || s.Peer().IsValid() || s.Local().IsValid() {
			t.Error("a dead socket has properties")
		}
	})
}

// Bytes before RST are delivered to one who reads; then the end follows.
func TestResetAfterData(t *testing.T) {
	r := start(t, reactor.Options{})
	h, why := ending()
	var got []byte
	h.data = func(s upstream.Socket, p []byte) { got = append(got, p...) }
	_, c := tcp(t, r, h)
	_, _ = c.Write([]byte("last words"))
	until(t, r, "data", func() bool { return string(got) == "last words" })
	_ = c.SetLinger(0)
	_ = c.Close()
	if w := recv(t, why); w != codec.ReasonPeerReset {
		t.Errorf("closed: %v", w)
	}
}

func TestEOFWhilePaused(t *testing.T) {
	r := start(t, reactor.Options{})
	h, why := ending()
	var got []byte
	ends := 0
	paused := true
	h.data = func(s upstream.Socket, p []byte) {
		if got = append(got, p...); paused {
			t.Error("data while paused")
		}
	}
	h.eof = func(s upstream.Socket) {
		if ends++; paused {
			t.Error("EOF while paused")
		}
	}
	s, c := tcp(t, r, h)
	on(t, r, func() { s.Pause(); s.Pause() })
	sent := make([]byte, 1<<20)
	pattern(sent, 0)
	go func() { _, _ = c.Write(sent); _ = c.CloseWrite() }()
	until(t, r, "turns", func() bool { return r.Stats().Turns > 1 })
	on(t, r, func() { s.Resume(); s.Pause() })
	on(t, r, func() {})
	on(t, r, func() { paused = false; s.Resume() })
	until(t, r, "EOF", func() bool { return ends == 1 })
	if len(got) != len(sent) {
		t.Fatalf("got %d of %d", len(got), len(sent))
	}
	wantPattern(t, got, 0)
	on(t, r, func() { s.Write([]byte("bye")); s.CloseWrite() })
	if rest, err := io.ReadAll(c); err != nil || string(rest) != "bye" {
		t.Errorf("got %q, %v", rest, err)
	}
	if w := recv(t, why); w != codec.ReasonPeerClosed {
		t.Errorf("closed: %v", w)
	}
}

func TestDeadlines(t *testing.T) {
	r := start(t, reactor.Options{StallTime: 40, DrainTime: 40, HalfTime: 40})
	for name, c := range map[string]struct {
		want codec.Reason
		do   func(s upstream.Socket, c *net.TCPConn)
	}{
		"stall":      {codec.ReasonWriteStall, func(s upstream.Socket, _ *net.TCPConn) { fill(s) }},
		"drain":      {codec.ReasonDrainTime, func(s upstream.Socket, _ *net.TCPConn) { fill(s); s.Close(codec.ReasonIdle) }},
		"our FIN":    {codec.ReasonDrainTime, func(s upstream.Socket, _ *net.TCPConn) { s.CloseWrite() }},
		"peer's FIN": {codec.ReasonDrainTime, func(_ upstream.Socket, c *net.TCPConn) { _ = c.CloseWrite() }},
	} {
		h, why := ending()
		s, client := tcp(t, r, h)
		on(t, r, func() { c.do(s, client) })
		if w := recv(t, why); w != c.want {
			t.Errorf("%s: closed: %v, want %v", name, w, c.want)
		}
	}
	if s := stats(t, r); s.Stalls != 1 || s.Queued != 0 {
		t.Errorf("stalls %d, queued %d", s.Stalls, s.Queued)
	}
}

// After 200 mixed closes no descriptor is left, and after Stop none at all.
func TestNoDescriptorLeft(t *testing.T) {
	open := func() int {
		d, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(d)
	}
	_ = dialClosed(t) // the runtime's own poller is open from here on
	first := open()
	r, err := reactor.New(reactor.Options{CPU: reactor.CPUs()[0], Poller: poller})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- r.Run() }()
	var socks []upstream.Socket
	l := listen(t, r, acceptFunc(func(s upstream.Socket, _ netip.AddrPort) upstream.Handler {
		if socks = append(socks, s); len(socks)%9 == 0 {
			return nil
		}
		return echo()
	}))
	before := open()
	for i := range 200 {
		c, err := net.Dial("tcp", l.Addr())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = c.Write([]byte("x"))
		until(t, r, "accept", func() bool { return len(socks) == i+1 })
		tc := c.(*net.TCPConn)
		switch i % 5 {
		case 0:
			on(t, r, func() { socks[i].Close(codec.ReasonIdle) })
		case 1:
			on(t, r, func() { socks[i].Abort(codec.ReasonIdle) })
		case 2:
			_ = tc.SetLinger(0)
		case 3:
			_ = tc.CloseWrite()
			_, _ = io.Copy(io.Discard, tc)
		}
		_ = c.Close()
	}
	until(t, r, "all closed", func() bool { return r.Stats().Open == 0 })
	if now := open(); now != before {
		t.Errorf("%d descriptors, before %d", now, before)
	}
	var closes uint64
	for _, n := range stats(t, r).Closes {
		closes += n
	}
	if closes != 200 {
		t.Errorf("counted %d closes", closes)
	}
	r.Stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if now := open(); now != first {
		t.Errorf("%d descriptors after Stop, at first %d", now, first)
	}
}

// dialClosed makes the runtime open what it opens with the first connection.
func dialClosed(t *testing.T) error {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l.Close()
}
