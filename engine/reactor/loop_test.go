package reactor_test

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"epoxy/codec"
	"epoxy/engine/reactor"
	"epoxy/upstream"
)

func TestPostKeepsOrder(t *testing.T) {
	r := start(t, reactor.Options{})
	const posters, each = 4, 3000 // more than gnet's threshold of 1024
	var got [posters]int
	var wg sync.WaitGroup
	for p := range posters {
		wg.Go(func() {
			for i := range each {
				if err := r.Post(func() {
					if got[p] != i {
						t.Errorf("poster %d: %d came in place of %d", p, i, got[p])
					}
					got[p]++
				}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	on(t, r, func() {
		for p, n := range got {
			if n != each {
				t.Errorf("poster %d: %d of %d", p, n, each)
			}
		}
	})
}

func TestStop(t *testing.T) {
	r, err := reactor.New(reactor.Options{CPU: -1, Poller: poller})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- r.Run() }()
	h, why := ending()
	var s upstream.Socket
	h.closed = func(s upstream.Socket, w codec.Reason) {
		why <- w
		if s, w := r.Dial(upstream.Target{Addr: netip.MustParseAddrPort("127.0.0.1:9")}, h); s != nil || w != codec.ReasonShutdown {
			t.Errorf("dials while stopping: %v", w)
		}
		if _, err := r.Adopt(0, h); !errors.Is(err, reactor.ErrStopped) {
			t.Errorf("adopts while stopping: %v", err)
		}
	}
	s, peer := adopt(t, r, h)
	on(t, r, func() { fill(s); r.Stop(); r.Stop() })
	if err := <-done; err != nil {
		t.Error(err)
	}
	if w := recv(t, why); w != codec.ReasonShutdown || len(why) > 0 {
		t.Errorf("closed: %v and %d more", w, len(why))
	}
	if _, err := io.Copy(io.Discard, peer); err != nil {
		t.Error(err)
	}
	r.Stop()
	for _, err := range []error{r.Post(func() {}), r.Call(func() {}), r.Run()} {
		if !errors.Is(err, reactor.ErrStopped) {
			t.Errorf("after Stop: %v", err)
		}
	}
}

func TestStopWithoutRun(t *testing.T) {
	r, err := reactor.New(reactor.Options{CPU: -1, Poller: poller})
	if err != nil {
		t.Fatal(err)
	}
	l, err := reactor.Listen("127.0.0.1:0", reactor.ListenOptions{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.AddListener(l, accept(echo())); err != nil {
		t.Fatal(err)
	}
	r.Stop()
	if err := reactor.Probe(l.Addr()); err != nil {
		t.Errorf("the listener is left: %v", err)
	}
	if err := r.Run(); !errors.Is(err, reactor.ErrStopped) {
		t.Errorf("Run: %v", err)
	}
	if _, err := reactor.New(reactor.Options{Poller: "none such"}); err == nil {
		t.Error("an unknown poller")
	}
}

func TestTimer(t *testing.T) {
	r := start(t, reactor.Options{})
	fired := make(chan [2]int64, 4)
	var at int64
	h := &funcs{}
	heard := 0
	h.timer = func(s upstream.Socket) {
		fired <- [2]int64{at, r.Now()}
		if heard++; heard == 1 {
			at = r.Now() + 30
			s.SetTimer(at)
		}
	}
	s, _ := adopt(t, r, h)
	on(t, r, func() {
		s.SetTimer(r.Now() + 10_000)
		s.SetTimer(0)
		at = r.Now() + 40
		s.SetTimer(at)
	})
	for range 2 {
		if f := recv(t, fired); f[1] < f[0] {
			t.Errorf("fired at %d, set for %d", f[1], f[0])
		}
	}
	on(t, r, func() {
		s.SetTimer(r.Now() + 16)
		s.SetTimer(r.Now() + 64) // later: the wheel's early call must not be heard
		at = r.Now() + 64
	})
	if f := recv(t, fired); f[1] < f[0] {
		t.Errorf("fired at %d, set for %d", f[1], f[0])
	}
	on(t, r, func() {
		if w := time.Now().Unix() - r.Unix(); w < 0 || w > 1 {
			t.Errorf("the wall clock is %d s behind", w)
		}
		s.SetTimer(r.Now() + 16)
		s.Close(codec.ReasonIdle)
	})
	until(t, r, "closed", func() bool { return r.Stats().Open == 0 })
	if s := stats(t, r); s.Timers != 3 {
		t.Errorf("%d timers were heard", s.Timers)
	}
}

// Again comes from the loop, after others had their turn, once per asking.
func TestAgainAndSetHandler(t *testing.T) {
	r := start(t, reactor.Options{})
	var order []string
	second := &funcs{
		data:  func(_ upstream.Socket, p []byte) { order = append(order, "second:"+string(p)) },
		again: func(upstream.Socket) { order = append(order, "again 2") },
	}
	inside := false
	first := &funcs{}
	first.again = func(s upstream.Socket) {
		if inside {
			t.Error("Again was called from inside")
		}
		if order = append(order, "again 1"); len(order) < 3 {
			inside = true
			s.Again()
			s.Again()
			inside = false
			return
		}
		s.SetHandler(second)
		s.Again()
	}
	s, peer := adopt(t, r, first)
	on(t, r, func() { s.Again(); s.Again() })
	until(t, r, "four turns", func() bool { return len(order) >= 4 })
	_, _ = peer.Write([]byte("x"))
	until(t, r, "data", func() bool { return len(order) >= 5 })
	if got := strings.Join(order, ","); got != "again 1,again 1,again 1,again 2,second:x" {
		t.Error(got)
	}
}

// A flooding socket does not keep another from its turn.
func TestFairness(t *testing.T) {
	r := start(t, reactor.Options{ReadMin: 1024, ReadMax: 1024})
	var log []byte
	flood, pf := adopt(t, r, &funcs{data: func(upstream.Socket, []byte) { log = append(log, 'f') }})
	_, pq := adopt(t, r, &funcs{data: func(upstream.Socket, []byte) { log = append(log, 'q') }})
	on(t, r, func() {
		flood.Pause()
		_, _ = pf.Write(make([]byte, 100<<10))
	})
	on(t, r, func() {
		flood.Resume()
		_, _ = pq.Write([]byte("x"))
	})
	until(t, r, "both", func() bool { return len(log) == 101 })
	if at := bytes.IndexByte(log, 'q'); at > 8 {
		t.Errorf("the quiet one waited for %d reads", at)
	}
}

func TestPanicCostsOneSocket(t *testing.T) {
	var lines bytes.Buffer
	r := start(t, reactor.Options{Log: slog.New(slog.NewTextHandler(&lines, nil))})
	boom := func(upstream.Socket) { panic("boom") }
	_, bystander := adopt(t, r, echo())
	for name, bad := range map[string]*funcs{
		"data":  {data: func(upstream.Socket, []byte) { panic("boom") }},
		"eof":   {eof: boom},
		"timer": {timer: boom, data: func(s upstream.Socket, _ []byte) { s.SetTimer(r.Now() + 1) }},
		"again": {again: boom, data: func(s upstream.Socket, _ []byte) { s.Again() }},
		"drained": {drained: boom, data: func(s upstream.Socket, _ []byte) {
			fill(s)
		}},
	} {
		h, why := ending()
		bad.closed = h.closed
		_, peer := adopt(t, r, bad)
		_, _ = peer.Write([]byte("x"))
		if name == "eof" {
			_ = peer.(interface{ CloseWrite() error }).CloseWrite()
		}
		_, _ = io.Copy(io.Discard, peer)
		if w := recv(t, why); w != codec.ReasonPanic {
			t.Errorf("%s: closed: %v", name, w)
		}
		ask(t, bystander, "fine")
	}
	// in Closed, in Opened, in Accept and in a posted function
	s, _ := adopt(t, r, &funcs{closed: func(upstream.Socket, codec.Reason) { panic("boom") }})
	on(t, r, func() { s.Close(codec.ReasonIdle) })
	l := listen(t, r, acceptFunc(func(upstream.Socket, netip.AddrPort) upstream.Handler { panic("boom") }))
	h, why := ending()
	h.opened = boom
	on(t, r, func() { r.Dial(upstream.Target{Addr: l.AddrPort()}, h) })
	if w := recv(t, why); w != codec.ReasonPanic {
		t.Errorf("opened: closed: %v", w)
	}
	if err := r.Call(func() { panic("boom") }); err == nil {
		t.Error("Call hides the panic")
	}
	ask(t, bystander, "fine")
	until(t, r, "one left", func() bool { return r.Stats().Open == 1 && r.Stats().Panics == 9 })
	on(t, r, func() {
		if !strings.Contains(lines.String(), "boom") || !strings.Contains(lines.String(), "loop_test.go") {
			t.Errorf("no stack in the log: %s", &lines)
		}
		if n := strings.Count(lines.String(), "\n"); n > 3 {
			t.Errorf("%d lines for 9 panics", n)
		}
	})
}

func TestEachAndRand(t *testing.T) {
	r := start(t, reactor.Options{})
	h := echo()
	s, _ := adopt(t, r, h)
	gone, _ := adopt(t, r, h)
	on(t, r, func() {
		gone.Abort(codec.ReasonIdle)
		n := 0
		r.Each(func(got upstream.Socket, by upstream.Handler) {
			if n++; got != s || by != h {
				t.Error("another socket or handler")
			}
		})
		if n != 1 {
			t.Errorf("%d sockets", n)
		}
		var a, b [16]byte
		if r.Rand(a[:]); a == b {
			t.Error("no random bytes")
		}
		if len(r.Scratch()) < upstream.ScratchSize {
			t.Error("a small scratch")
		}
	})
}

// A task hears its timer, Again and the end, is no socket for others, and does nothing else.
func TestTask(t *testing.T) {
	r := start(t, reactor.Options{})
	events := make(chan string, 8)
	h := &funcs{
		timer:  func(upstream.Socket) { events <- "timer" },
		again:  func(upstream.Socket) { events <- "again" },
		closed: func(_ upstream.Socket, why codec.Reason) { events <- why.String() },
	}
	var first upstream.Socket
	on(t, r, func() {
		first = r.Task(h)
		r.Task(h)
		first.Write([]byte("nowhere"))
		first.CloseWrite()
		first.Resume()
		if first.Queued() != 0 || first.Peer().IsValid() || r.Stats().Open != 0 {
			t.Error("a task passes for a socket")
		}
		r.Each(func(upstream.Socket, upstream.Handler) { t.Error("Each finds a task") })
		first.Again()
	})
	if got := recv(t, events); got != "again" {
		t.Fatalf("heard %s", got)
	}
	on(t, r, func() { first.SetTimer(r.Now() + 1) })
	if got := recv(t, events); got != "timer" {
		t.Fatalf("heard %s", got)
	}
	on(t, r, func() { first.Close(codec.ReasonIdle) })
	if got := recv(t, events); got != "idle_timeout" {
		t.Fatalf("heard %s", got)
	}
	r.Stop()
	if got := recv(t, events); got != "shutdown" {
		t.Fatalf("the other task heard %s", got)
	}
}
