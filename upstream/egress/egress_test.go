package egress

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"epoxy/codec"
	"epoxy/upstream"
	"epoxy/upstream/upstreamtest"
)

// Every kind of proxy, cut at every byte and byte by byte: the same words, early bytes behind them in one write, and
// what follows the reply is the handler's.
func TestConversation(t *testing.T) {
	for _, p := range []Proxy{noAuth, secret, web, local} {
		all := strings.Join(script(p, success), "") + "from the datacenter"
		for cut := range len(all) + 1 {
			w := newWorld(t, p)
			opts := &upstream.DialOptions{Mark: 7}
			w.dial(upstream.Target{Addr: dc, Timeout: 3000, Opts: opts, Patient: true}, codec.ReasonNone)
			s := w.at(p)
			if s.To.Timeout != 3000 || s.To.Opts != opts || !s.To.Patient {
				t.Fatalf("dialled with %+v", s.To)
			}
			w.s.Write([]byte("early "))
			w.s.Write([]byte("bytes"))
			if w.s.Queued() != 11 || len(s.Out) != 0 {
				t.Fatalf("%d queued, %q written before the proxy is there", w.s.Queued(), s.Out)
			}
			s.H.Opened(s)
			if cut == len(all) {
				for i := range all {
					say(s, all[i:i+1])
				}
			} else {
				say(s, all[:cut])
				say(s, all[cut:])
			}
			w.wantOpen()
			equal(t, s.Out, string(wire(p, dc))+"early bytes")
			equal(t, w.got, "from the datacenter")
			if s.H != w.handler || s.TimerAt != 0 || w.drained != 1 || w.l.Count[0].Opened != 1 || w.l.Count[0].Dials != 1 {
				t.Fatalf("cut at %d: handler %T, timer %d, drained %d, counted %+v", cut, s.H, s.TimerAt, w.drained, w.l.Count[0])
			}
			w.s.Write([]byte("later"))
			equal(t, s.Out, string(wire(p, dc))+"early byteslater")
			if s.Stuck = 5; w.s.Queued() != 5 {
				t.Fatal("Queued is not the socket's")
			}
		}
	}
}

// What a proxy answers, and what it ends with.
var refusals = []struct {
	name  string
	proxy Proxy
	do    func(s *upstreamtest.Socket)
	why   codec.Reason
	rests bool // the proxy is at fault
}{
	{"refused", noAuth, func(s *upstreamtest.Socket) { s.Finish(codec.ReasonDialRefused) }, codec.ReasonDialRefused, true},
	{"hangs", noAuth, func(s *upstreamtest.Socket) { s.Finish(codec.ReasonDialTime) }, codec.ReasonDialTime, true},
	{"reset", noAuth, func(s *upstreamtest.Socket) { s.H.Opened(s); s.Finish(codec.ReasonPeerReset) }, codec.ReasonEgressRefused, true},
	{"closed", noAuth, func(s *upstreamtest.Socket) { s.H.Opened(s); s.H.EOF(s) }, codec.ReasonEgressRefused, true},
	{"closed by HTTP", web, func(s *upstreamtest.Socket) { s.H.Opened(s); say(s, "HTTP/1.1 200 OK\r\n"); s.H.EOF(s) }, codec.ReasonEgressRefused, true},
	{"no method", noAuth, answers("\x05\xff"), codec.ReasonEgressAuth, true},
	{"wants a password", noAuth, answers("\x05\x02"), codec.ReasonEgressAuth, true},
	{"another password", secret, answers("\x05\x02", "\x01\x01"), codec.ReasonEgressAuth, true},
	{"another password by HTTP", web, answers("HTTP/1.1 407 Login\r\n\r\n"), codec.ReasonEgressAuth, true},
	{"web server", noAuth, answers("HTTP/1.1 400 Bad Request\r\n\r\n"), codec.ReasonEgressShape, true},
	{"SSH", web, answers("SSH-2.0-OpenSSH\r\n"), codec.ReasonEgressShape, true},
	{"long headers", web, answers("HTTP/1.1 200 OK\r\n", strings.Repeat("x: y\r\n", 2000)), codec.ReasonEgressShape, true},
	{"rules", noAuth, answers("\x05\x00", "\x05\x02\x00\x01"), codec.ReasonEgressRefused, false},
	{"host unreachable", secret, answers("\x05\x02", "\x01\x00", "\x05\x04\x00\x01"), codec.ReasonEgressRefused, false},
	{"bad gateway", web, answers("HTTP/1.0 502 Bad Gateway\r\n\r\n"), codec.ReasonEgressRefused, false},
	{"bad reply", noAuth, answers("\x05\x00", "\x05\x00\x00\x07"), codec.ReasonEgressShape, true},
}

func answers(texts ...string) func(*upstreamtest.Socket) {
	return func(s *upstreamtest.Socket) {
		s.H.Opened(s)
		for _, text := range texts {
			for i := range text {
				say(s, text[i:i+1])
			}
		}
	}
}

// Each failure has its reason and is told once; only a proxy that is at fault rests.
func TestRefusals(t *testing.T) {
	for _, f := range refusals {
		w := newWorld(t, f.proxy)
		w.dial(upstream.Target{Addr: dc}, codec.ReasonNone)
		w.s.Write([]byte("early"))
		s := w.last()
		f.do(s)
		s.Finish(codec.ReasonNone)
		if w.opened != 0 || w.ends != 1 || w.why != f.why || len(w.Dialed) != 1 || w.l.Count[0].Failed[f.why] != 1 {
			t.Errorf("%s: opened %d times, ended %d times by %v, %d dials", f.name, w.opened, w.ends, w.why, len(w.Dialed))
		}
		if rests := w.l.routes[0].until > w.Clock; rests != f.rests || rests != (len(w.reports) == 1 && w.reports[0] == f.why) {
			t.Errorf("%s: rests %v, reported %v", f.name, rests, w.reports)
		}
		if strings.Contains(string(s.Out), "early") {
			t.Errorf("%s: the proxy got %q", f.name, s.Out)
		}
	}
}

// After any failure the next proxy is dialled, with the time that is left, and gets all that was written.
func TestFailover(t *testing.T) {
	for _, f := range refusals {
		w := newWorld(t, f.proxy, local, web)
		w.dial(upstream.Target{Addr: dc, Timeout: 8000}, codec.ReasonNone)
		w.s.Write([]byte("one "))
		w.s.Again()
		s := w.at(f.proxy)
		if s.To.Timeout != 4000 {
			t.Fatalf("the first of three has %d ms", s.To.Timeout)
		}
		w.Clock += 2000
		f.do(s)
		w.s.Write([]byte("two"))
		s.Finish(codec.ReasonNone)
		if next := w.at(local); next.To.Timeout != 3000 || !next.WantsGo {
			t.Fatalf("%s: the second has %d ms", f.name, next.To.Timeout)
		}
		next := w.play(local, success, "")
		w.wantOpen()
		equal(t, next.Out, string(wire(local, dc))+"one two")
		if next.Turn(); w.turns != 1 {
			t.Errorf("%s: no turn", f.name)
		}
		w.dial(upstream.Target{Addr: dc}, codec.ReasonNone)
		if f.rests {
			w.at(local)
		} else {
			w.at(f.proxy)
		}
	}
}

// All proxies fail, some at once: the last reason counts.
func TestNoneLeft(t *testing.T) {
	w := newWorld(t, noAuth, local)
	w.Refuse = codec.ReasonDialError
	w.dial(upstream.Target{Addr: dc}, codec.ReasonDialError)
	if w.l.Count[0].Dials != 1 || w.l.Count[1].Failed[codec.ReasonDialError] != 1 || w.ends != 0 {
		t.Errorf("counted %+v", w.l.Count)
	}
	w.Refuse = codec.ReasonNone
	w.dial(upstream.Target{Addr: dc}, codec.ReasonNone)
	s := w.last()
	w.Refuse = codec.ReasonDialRefused
	s.H.Opened(s)
	s.H.EOF(s)
	w.wantEnd(s, codec.ReasonDialRefused)
	w.Refuse = codec.ReasonShutdown
	w.dial(upstream.Target{Addr: dc}, codec.ReasonShutdown)
	w.Refuse = codec.ReasonNone
	w.dial(upstream.Target{Addr: dc}, codec.ReasonNone)
	w.wantEndBy(codec.ReasonShutdown)
}

// wantEndBy ends the last socket from below.
func (w *world) wantEndBy(why codec.Reason) {
	w.t.Helper()
	n := len(w.Dialed)
	w.last().Finish(why)
	if w.ends != 1 || w.why != why || len(w.Dialed) != n {
		w.t.Errorf("ended %d times by %v, %d more dials", w.ends, w.why, len(w.Dialed)-n)
	}
}

// A proxy that fails rests for 1 to 60 s, longer each time, and is forgiven when it works. When all rest, the one that
// wakes first is asked.
func TestRest(t *testing.T) {
	w := newWorld(t, noAuth, local)
	fail := func(p Proxy) int64 {
		w.dial(upstream.Target{Addr: dc}, codec.ReasonNone)
		s := w.at(p)
		w.Refuse = codec.ReasonDialError // for the next one
		s.Finish(codec.ReasonDialRefused)
		w.Refuse = codec.ReasonNone
		w.l.routes[1].until, w.l.routes[1].fails = 0, 0
		return w.l.routes[0].until - w.Clock
	}
	for i := range 12 {
		ms := fail(noAuth)
		if least := min(1000<<i, 30_000); ms < int64(least) || ms > int64(2*least) {
			t.Errorf("failure %d: %d ms", i+1, ms)
		}
		w.Clock += ms - 1
		w.dial(upstream.Target{Addr: dc}, codec.ReasonNone)
		w.at(local)
		w.Clock++
	}
	w.dial(upstream.Target{Addr: dc}, codec.ReasonNone)
	w.play(noAuth, success, "")
	if w.l.routes[0].fails != 0 {
		t.Error("not forgiven")
	}
	w.dial(upstream.Target{Addr: dc}, codec.ReasonNone)
	first := w.handler
	a := w.at(noAuth)
	w.dial(upstream.Target{Addr: dc}, codec.ReasonNone)
	w.at(noAuth)
	w.last().Finish(codec.ReasonDialRefused)
	w.at(local).Finish(codec.ReasonDialRefused)
	if until := w.l.routes[0].until; until == 0 {
		t.Error("does not rest")
	} else if a.Finish(codec.ReasonDialRefused); w.l.routes[0].until != until || w.l.routes[0].fails != 1 {
		t.Error("failures of the same moment count twice")
	}
	if first.ends != 0 {
		t.Error("not tried elsewhere")
	}
	w.l.routes[0].until, w.l.routes[1].until = w.Clock+500, w.Clock+400
	w.dial(upstream.Target{Addr: dc}, codec.ReasonNone)
	w.at(local)
}

// Unix sockets, and all when there is no proxy, go to the inner loop unchanged.
func TestDirectly(t *testing.T) {
	for _, c := range []struct {
		to      upstream.Target
		proxies []Proxy
	}{
		{upstream.Target{Path: "/run/dc"}, []Proxy{noAuth}},
		{upstream.Target{Addr: dc, NeedsBind: true}, nil},
	} {
		w := newWorld(t, c.proxies...)
		w.dial(c.to, codec.ReasonNone)
		if s := w.last(); w.s != upstream.Socket(s) || s.To != c.to || s.H != w.handler {
			t.Errorf("dialled %+v", s.To)
		}
	}
	w := newWorld(t, noAuth)
	w.dial(upstream.Target{}, codec.ReasonDialError)
	if w.l.Now() != w.Clock || w.l.Task(w.handler) != upstream.Socket(w.Tasks[0]) {
		t.Error("not the inner loop")
	}
}

func TestStrings(t *testing.T) {
	for want, p := range map[string]Proxy{
		"socks5://10.0.0.1:1080": noAuth, "socks5://...@10.0.0.2:1080": secret, "http://...@10.0.0.3:3128": web, "socks5:///run/proxy.sock": local,
		"socks5://...@[::1]:1": {Addr: netip.MustParseAddrPort("[::1]:1"), Password: "s3cret"}, "unknown://invalid AddrPort": {Kind: 9},
	} {
		for _, verb := range []string{"%s", "%v", "%+v", "%#v"} {
			if got := fmt.Sprintf(verb, p); got != want {
				t.Errorf("%s: %s, want %s", verb, got, want)
			}
		}
	}
}
