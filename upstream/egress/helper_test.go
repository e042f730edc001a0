package egress

import (
	"bytes"
	"net/netip"
	"testing"

	"epoxy/codec"
	"epoxy/codec/socks"
	"epoxy/upstream"
	"epoxy/upstream/upstreamtest"
)

var (
	dc      = netip.MustParseAddrPort("192.0.2.51:443")
	noAuth  = Proxy{Addr: netip.MustParseAddrPort("10.0.0.1:1080")}
	secret  = Proxy{Addr: netip.MustParseAddrPort("10.0.0.2:1080"), User: "alice", Password: "s3cret"}
	web     = Proxy{Kind: HTTP, Addr: netip.MustParseAddrPort("10.0.0.3:3128"), User: "alice", Password: "s3cret"}
	local   = Proxy{Path: "/run/proxy.sock"}
	bound   = netip.MustParseAddrPort("198.51.100.7:41234")
	success = replyOf(bound)
)

// replyOf is a SOCKS5 success with a bound address.
func replyOf(a netip.AddrPort) string {
	p := socks.AppendRequest(nil, a) // of the same shape
	p[1] = 0
	return string(p)
}

// script is what a proxy answers, step by step.
func script(p Proxy, reply string) []string {
	switch {
	case p.Kind == HTTP:
		return []string{"HTTP/1.1 200 Connection established\r\nVia: 1.1 x\r\n\r\n"}
	case p.User != "":
		return []string{"\x05\x02", "\x01\x00", reply}
	}
	return []string{"\x05\x00", reply}
}

// wire is all that we write to a proxy.
func wire(p Proxy, to netip.AddrPort) (all []byte) {
	if p.Kind == HTTP {
		return socks.AppendConnect(nil, to, p.User, p.Password)
	}
	all = socks.AppendGreeting(nil, p.User != "")
	if p.User != "" {
		all = socks.AppendAuth(all, p.User, p.Password)
	}
	return socks.AppendRequest(all, to)
}

// handler remembers what it heard, and fails the test when it hears what it should not.
type handler struct {
	t                                          testing.TB
	s                                          upstream.Socket
	opened, drained, timers, turns, eofs, ends int
	got                                        []byte
	local                                      netip.AddrPort // at Opened
	why                                        codec.Reason
	onOpen, onData, onTimer                    func()
	busy                                       bool // inside a method of the socket
	paused                                     bool // as the test asked for
	heard                                      []string
}

func (h *handler) hear(what string) {
	h.t.Helper()
	h.heard = append(h.heard, what)
	if h.busy {
		h.t.Errorf("%s from inside a method", what)
	}
	if h.ends > 0 {
		h.t.Errorf("%s after Closed", what)
	}
}

func call(f func()) {
	if f != nil {
		f()
	}
}

func (h *handler) Opened(s upstream.Socket) {
	h.hear("Opened")
	h.opened++
	h.local = s.Local()
	call(h.onOpen)
}

func (h *handler) Data(_ upstream.Socket, p []byte) {
	h.hear("Data")
	if h.paused || h.opened == 0 || len(p) == 0 {
		h.t.Errorf("%d bytes; opened %d, paused %v", len(p), h.opened, h.paused)
	}
	h.got = append(h.got, p...)
	clear(p)
	call(h.onData)
}
func (h *handler) EOF(upstream.Socket)     { h.hear("EOF"); h.eofs++ }
func (h *handler) Drained(upstream.Socket) { h.hear("Drained"); h.drained++ }
func (h *handler) Timer(upstream.Socket)   { h.hear("Timer"); h.timers++; call(h.onTimer) }
func (h *handler) Again(upstream.Socket)   { h.hear("Again"); h.turns++ }
func (h *handler) Closed(_ upstream.Socket, why codec.Reason) {
	h.hear("Closed")
	h.ends++
	h.why = why
}

// world is a loop with proxies and one dial.
type world struct {
	t testing.TB
	*upstreamtest.Loop
	*handler
	l       *Loop
	reports []codec.Reason
}

func newWorld(t testing.TB, proxies ...Proxy) *world {
	w := &world{t: t, Loop: upstreamtest.NewLoop(0), handler: &handler{t: t}}
	w.l = New(w.Loop, proxies, Options{Report: func(_ Proxy, why codec.Reason, _ int64) { w.reports = append(w.reports, why) }})
	return w
}

// dial starts one; want is ReasonNone when it is under way.
func (w *world) dial(to upstream.Target, want codec.Reason) {
	w.t.Helper()
	w.handler = &handler{t: w.t}
	s, why := w.l.Dial(to, w.handler)
	if why != want || (s == nil) != (why != codec.ReasonNone) {
		w.t.Fatalf("dial: %v, %v; want %v", s, why, want)
	}
	w.s = s
}

// last returns the socket that was dialled last.
func (w *world) last() *upstreamtest.Socket { return w.Dialed[len(w.Dialed)-1] }

// at checks that the last dial went to a proxy.
func (w *world) at(p Proxy) *upstreamtest.Socket {
	w.t.Helper()
	s := w.last()
	if s.To.Addr != p.Addr || s.To.Path != p.Path {
		w.t.Fatalf("dialled %v %q, want %v", s.To.Addr, s.To.Path, p)
	}
	return s
}

// say brings bytes from the proxy, as the reactor would: never to a closed socket nor nothing.
func say(s *upstreamtest.Socket, text string) {
	if s.Closing == codec.ReasonNone && !s.Dead() && text != "" {
		s.H.Data(s, []byte(text))
	}
}

// play lets the proxy answer by the book.
func (w *world) play(p Proxy, reply, behind string) *upstreamtest.Socket {
	w.t.Helper()
	s := w.at(p)
	s.H.Opened(s)
	answers := script(p, reply)
	for i, a := range answers {
		if i == len(answers)-1 {
			a += behind
		}
		say(s, a)
	}
	return s
}

// wantOpen checks that the target was reached, once.
func (w *world) wantOpen() {
	w.t.Helper()
	if w.opened != 1 || w.ends != 0 {
		w.t.Fatalf("opened %d times, ended %d times by %v", w.opened, w.ends, w.why)
	}
}

// wantEnd lets the socket die and checks what the handler hears.
func (w *world) wantEnd(s *upstreamtest.Socket, want codec.Reason) {
	w.t.Helper()
	s.Finish(codec.ReasonNone)
	if w.opened != 0 || w.ends != 1 || w.why != want {
		w.t.Fatalf("opened %d times, ended %d times by %v, want %v", w.opened, w.ends, w.why, want)
	}
}

func equal(t testing.TB, got []byte, want string) {
	t.Helper()
	if !bytes.Equal(got, []byte(want)) {
		t.Fatalf("%q, want %q", got, want)
	}
}
