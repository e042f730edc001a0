package egress

import (
	"net/netip"
	"testing"

	"epoxy/codec"
	"epoxy/upstream"
	"epoxy/upstream/upstreamtest"
)

// opened dials and plays the whole handshake of a SOCKS5 proxy.
func opened(t testing.TB) (*world, *upstreamtest.Socket) {
	w := newWorld(t, noAuth)
	w.dial(upstream.Target{Addr: dc}, codec.ReasonNone)
	return w, w.play(noAuth, success, "")
}

// Which addresses of a reply can be where the target sees us.
func TestBind(t *testing.T) {
	dc6, here := netip.MustParseAddrPort("[2001:db8::51]:443"), netip.MustParseAddrPort("127.0.0.1:8888")
	own := netip.MustParseAddrPort("10.9.9.9:999") // our end towards the proxy
	for _, c := range []struct {
		bound  string
		target netip.AddrPort
		usable bool
	}{
		{"198.51.100.7:41234", dc, true}, {"10.1.1.1:1", dc, true}, {"[2001:db8::7]:65535", dc6, true}, {"[fd00::1]:1", dc6, true}, {"127.0.0.1:4000", here, true},
		{"0.0.0.0:0", dc, false}, {"0.0.0.0:41234", dc, false}, {"198.51.100.7:0", dc, false}, {"[2001:db8::7]:1", dc, false}, {"198.51.100.7:1", dc6, false},
		{"[::]:1", dc6, false}, {"127.0.0.1:4000", dc, false}, {"[::1]:1", dc6, false}, {"169.254.1.1:1", dc, false}, {"224.0.0.1:1", dc, false}, {"255.255.255.255:1", dc, false},
		{"[fe80::1]:1", dc6, false},
	} {
		for _, needs := range []bool{false, true} {
			want := netip.MustParseAddrPort(c.bound)
			w := newWorld(t, noAuth)
			w.dial(upstream.Target{Addr: c.target, NeedsBind: needs}, codec.ReasonNone)
			w.last().Own = own
			if w.s.Local() != own {
				t.Errorf("before: %v", w.s.Local())
			}
			s := w.play(noAuth, replyOf(want), "")
			switch {
			case !c.usable && needs:
				if w.opened != 0 {
					t.Fatalf("%s towards %v is usable", c.bound, c.target)
				}
				w.wantEnd(s, codec.ReasonEgressBind)
			case !c.usable:
				want = own
				fallthrough
			default:
				w.wantOpen()
				if w.local != want || w.s.Local() != want {
					t.Errorf("%s towards %v: seen at %v", c.bound, c.target, w.local)
				}
			}
			if w.l.routes[0].until != 0 {
				t.Errorf("%s: the proxy rests", c.bound)
			}
		}
	}
}

// Fault 40: who needs to know where the target sees us gets no HTTP proxy, nor one that says nothing or a domain.
func TestNeedsBind(t *testing.T) {
	w := newWorld(t, web)
	w.dial(upstream.Target{Addr: dc, NeedsBind: true}, codec.ReasonEgressBind)
	if len(w.Dialed) != 0 || w.ends != 0 {
		t.Error("dialled all the same")
	}
	w = newWorld(t, web, noAuth, local)
	w.dial(upstream.Target{Addr: dc, NeedsBind: true}, codec.ReasonNone)
	s := w.play(noAuth, "\x05\x00\x00\x03\x04prox\xa1\x12", "")
	s.Finish(codec.ReasonNone)
	w.play(local, success, "")
	if w.wantOpen(); w.local != bound {
		t.Errorf("seen at %v", w.local)
	}
	w.dial(upstream.Target{Addr: dc, NeedsBind: true}, codec.ReasonNone)
	w.play(noAuth, replyOf(netip.AddrPortFrom(netip.IPv4Unspecified(), 0)), "").Finish(codec.ReasonNone)
	w.Refuse = codec.ReasonDialError
	w.wantEnd(w.play(local, replyOf(netip.AddrPortFrom(netip.IPv4Unspecified(), 0)), ""), codec.ReasonEgressBind)
}

// Fault 40: a proxy that says success and closes has opened a connection that ends.
func TestSuccessThenClose(t *testing.T) {
	w, s := opened(t)
	s.H.EOF(s)
	s.Finish(codec.ReasonPeerReset)
	if w.opened != 1 || w.eofs != 1 || w.ends != 1 || w.why != codec.ReasonPeerReset || len(w.Dialed) != 1 || w.l.routes[0].until != 0 {
		t.Errorf("heard %v, ended by %v", w.heard, w.why)
	}
}

// The dial has its time, each proxy a share of it, whatever trickles.
func TestDeadline(t *testing.T) {
	for _, timeout := range []int64{0, 5000, 1200} {
		whole := timeout
		if whole == 0 {
			whole = dialTime
		}
		w := newWorld(t, noAuth, web)
		w.dial(upstream.Target{Addr: dc, Timeout: timeout}, codec.ReasonNone)
		begin, s := w.Clock, w.last()
		share := max(whole/2, leastTime)
		if s.To.Timeout != share || s.TimerAt != begin+share {
			t.Fatalf("of %d the first has %d ms, timer at +%d", whole, s.To.Timeout, s.TimerAt-begin)
		}
		s.H.Opened(s)
		say(s, "\x05")
		s.Fire(w.Loop)
		if s.Closing != codec.ReasonDialTime || !s.Aborted {
			t.Fatalf("closing by %v", s.Closing)
		}
		s.Finish(codec.ReasonNone)
		next := w.at(web)
		next.H.Opened(next)
		for _, c := range []byte("HTTP/1.1 200 OK\r\nX: y") {
			say(next, string(c))
			w.Clock++
		}
		next.Fire(w.Loop)
		w.wantEnd(next, codec.ReasonDialTime)
		if w.Clock != begin+whole || w.l.routes[0].until == 0 || w.l.routes[1].until == 0 {
			t.Errorf("ended after %d of %d ms", w.Clock-begin, whole)
		}
	}
	// A SOCKS5 proxy that was asked and waits for the target is not at fault.
	w := newWorld(t, secret)
	w.dial(upstream.Target{Addr: dc}, codec.ReasonNone)
	s := w.last()
	answers("\x05\x02", "\x01\x00")(s)
	s.Fire(w.Loop)
	if w.wantEnd(s, codec.ReasonDialTime); w.l.routes[0].until != 0 {
		t.Error("the proxy rests")
	}
}

// The handler's timer works while the handshake has its own, and goes on after it.
func TestTimer(t *testing.T) {
	w := newWorld(t, noAuth)
	w.dial(upstream.Target{Addr: dc}, codec.ReasonNone)
	s, begin := w.last(), w.Clock
	w.s.SetTimer(begin + 100)
	s.H.Opened(s)
	w.onTimer = func() { w.s.SetTimer(w.Clock + 50) }
	if s.Fire(w.Loop); w.timers != 1 || w.Clock != begin+100 || s.TimerAt != begin+150 {
		t.Fatalf("fired %d times at +%d, next at +%d", w.timers, w.Clock-begin, s.TimerAt-begin)
	}
	w.onTimer = nil
	if s.Fire(w.Loop); w.timers != 2 || s.TimerAt != begin+dialTime {
		t.Fatalf("fired %d times, next at +%d", w.timers, s.TimerAt-begin)
	}
	w.s.SetTimer(begin + 9000)
	if s.TimerAt != begin+dialTime {
		t.Fatalf("next at +%d", s.TimerAt-begin)
	}
	w.onOpen = func() {
		if s.TimerAt != begin+9000 {
			t.Errorf("at Opened, next at +%d", s.TimerAt-begin)
		}
	}
	say(s, "\x05\x00"+success)
	if w.wantOpen(); s.TimerAt != begin+9000 {
		t.Errorf("opened, next at +%d", s.TimerAt-begin)
	}
	w.s.SetTimer(0)
	if s.TimerAt != 0 || s.Closing != codec.ReasonNone {
		t.Error("not the handler's")
	}
	// Both at the same time: the handler hears its own, then the end.
	w.dial(upstream.Target{Addr: dc}, codec.ReasonNone)
	s = w.last()
	w.s.SetTimer(w.Clock + dialTime)
	s.Fire(w.Loop)
	if w.wantEnd(s, codec.ReasonDialTime); w.timers != 1 {
		t.Errorf("heard %v", w.heard)
	}
}

// Close and Abort before Opened end the dial with their reason, once, whatever the proxy does.
func TestCloseEarly(t *testing.T) {
	for _, abort := range []bool{false, true} {
		for step := range 3 {
			w := newWorld(t, noAuth, web)
			w.dial(upstream.Target{Addr: dc}, codec.ReasonNone)
			s := w.last()
			answers([]string{"\x05", "\x00", success[:9]}[:step]...)(s)
			w.s.Write([]byte("x"))
			if abort {
				w.s.Abort(codec.ReasonShutdown)
			} else {
				w.s.Close(codec.ReasonShutdown)
			}
			w.s.Close(codec.ReasonIdle)
			w.s.Write([]byte("y"))
			w.s.SetTimer(w.Clock + 1)
			w.s.Again()
			w.s.CloseWrite()
			if !s.Aborted || s.WantsGo {
				t.Fatal("not ended")
			}
			w.wantEnd(s, codec.ReasonShutdown)
			if len(w.Dialed) != 1 || w.l.routes[0].until != 0 || w.s.Queued() != 0 {
				t.Errorf("%d dials, %d queued", len(w.Dialed), w.s.Queued())
			}
			w.s.Abort(codec.ReasonIdle)
			w.s.Write([]byte("z"))
		}
	}
	// The proxy fails first, the handler closes before the loop tells of it.
	w := newWorld(t, noAuth, web)
	w.dial(upstream.Target{Addr: dc}, codec.ReasonNone)
	s := w.last()
	answers("\x05\xff")(s)
	w.s.Close(codec.ReasonIdle)
	w.wantEnd(s, codec.ReasonIdle)
	// Inside Opened.
	for _, abort := range []bool{false, true} {
		w = newWorld(t, noAuth)
		w.dial(upstream.Target{Addr: dc}, codec.ReasonNone)
		w.s.Write([]byte("early"))
		w.onOpen = func() {
			if abort {
				w.s.Abort(codec.ReasonIdle)
			} else {
				w.s.Close(codec.ReasonIdle)
			}
		}
		s = w.play(noAuth, success, "behind")
		s.Finish(codec.ReasonNone)
		if w.opened != 1 || len(w.got) != 0 || w.ends != 1 || w.why != codec.ReasonIdle || s.Aborted != abort {
			t.Errorf("heard %v, ended by %v", w.heard, w.why)
		}
	}
}

// A paused handler hears nothing of what came behind the reply until it resumes, and then from the loop.
func TestPauseEarly(t *testing.T) {
	for _, when := range []string{"before", "in Opened", "in Data"} {
		w := newWorld(t, noAuth)
		w.dial(upstream.Target{Addr: dc}, codec.ReasonNone)
		pause := func() { w.s.Pause(); w.paused = true }
		switch when {
		case "before":
			pause()
			w.s.Resume()
			w.paused = false
			pause()
		case "in Opened":
			w.onOpen = pause
		case "in Data":
			w.onData = pause
		}
		s := w.play(noAuth, success, "behind")
		w.wantOpen()
		if !s.Paused {
			t.Fatalf("%s: the socket is not paused", when)
		}
		if when != "in Data" {
			w.s.SetTimer(w.Clock + 10)
			s.Fire(w.Loop)
			s.H.Drained(s)
			w.s.Write([]byte("up"))
			if w.timers != 1 || w.drained != 1 || string(s.Out) != string(wire(noAuth, dc))+"up" || len(w.got) != 0 {
				t.Fatalf("%s: heard %v", when, w.heard)
			}
		}
		w.busy = true
		w.s.Resume()
		w.s.Pause()
		w.s.Resume()
		w.busy, w.paused, w.onOpen, w.onData = false, false, nil, nil
		if s.Turn(); string(w.got) != "behind" || s.Paused || s.H != w.handler || w.turns != 0 {
			t.Errorf("%s: heard %v, %d turns, paused %v", when, w.heard, w.turns, s.Paused)
		}
	}
	// Ended while bytes wait.
	w := newWorld(t, noAuth)
	w.dial(upstream.Target{Addr: dc}, codec.ReasonNone)
	w.s.Pause()
	s := w.play(noAuth, success, "behind")
	s.Finish(codec.ReasonPeerReset)
	if w.ends != 1 || w.why != codec.ReasonPeerReset || len(w.got) != 0 {
		t.Errorf("heard %v", w.heard)
	}
}

// SetHandler and CloseWrite hold before Opened and inside it.
func TestOthersEarly(t *testing.T) {
	for _, inside := range []bool{false, true} {
		w := newWorld(t, noAuth)
		w.dial(upstream.Target{Addr: dc}, codec.ReasonNone)
		first, second := w.handler, &handler{t: t, opened: 1}
		do := func() {
			w.s.SetHandler(second)
			w.s.Write([]byte("last"))
			w.s.CloseWrite()
			w.s.Write([]byte("dropped"))
		}
		if inside {
			w.onOpen = do
		} else {
			do()
		}
		s := w.play(noAuth, success, "behind")
		equal(t, s.Out, string(wire(noAuth, dc))+"last")
		if !s.FIN || s.H != second || string(second.got) != "behind" || (first.opened == 1) != inside || len(first.got) != 0 {
			t.Errorf("inside %v: first heard %v, second %v", inside, first.heard, second.heard)
		}
	}
}
