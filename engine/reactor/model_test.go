package reactor_test

import (
	"bytes"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"epoxy/codec"
	"epoxy/engine/reactor"
	"epoxy/upstream"
)

// model is a naive picture of one socket and its peer. All of it, the peer's descriptor too, is only
// touched on the loop.
type model struct {
	t    *rapid.T
	r    *reactor.Reactor
	s    upstream.Socket
	peer int
	who  *watcher // the handler that may be called

	in, out   []byte // what the peer sent, what was written
	got, read int    // bytes of in delivered, of out read by the peer
	inside    bool   // a method of the socket is running
	paused    bool
	shut      bool // CloseWrite, Close or Abort: later writes are dropped
	ending    bool // Close or Abort was called
	aborted   bool
	why       codec.Reason // what they were given
	peerFIN   bool
	peerGone  bool
	eofs      int
	again     bool
	timerAt   int64
	closed    int
	closedWhy codec.Reason
	reaction  func() // done in the next Data
}

// watcher is one of the handlers that the model swaps.
type watcher struct{ m *model }

// called checks what holds for every call.
func (w *watcher) called(what string) *model {
	m := w.m
	if m.who != w || m.inside || m.closed > 0 {
		m.t.Errorf("%s: of the old handler %v, from inside %v, after Closed %d", what, m.who != w, m.inside, m.closed)
	}
	return m
}

func (w *watcher) Opened(upstream.Socket) { w.called("Opened").t.Error("Opened of an adopted socket") }

func (w *watcher) Data(_ upstream.Socket, p []byte) {
	m := w.called("Data")
	if m.paused || m.ending || m.eofs > 0 || !bytes.HasPrefix(m.in[m.got:], p) || len(p) == 0 {
		m.t.Errorf("Data %d: paused %v, ending %v, eofs %d", len(p), m.paused, m.ending, m.eofs)
	}
	m.got += len(p)
	clear(p) // it is the handler's
	if do := m.reaction; do != nil {
		m.reaction = nil
		do()
	}
}

func (w *watcher) EOF(upstream.Socket) {
	m := w.called("EOF")
	m.eofs++
	if m.paused || m.ending || m.eofs > 1 || m.got != len(m.in) || !(m.peerFIN || m.peerGone) {
		m.t.Errorf("EOF: paused %v, ending %v, eofs %d, got %d of %d", m.paused, m.ending, m.eofs, m.got, len(m.in))
	}
}

func (w *watcher) Drained(s upstream.Socket) {
	if m := w.called("Drained"); s.Queued() > 16<<10 || m.ending {
		m.t.Errorf("Drained with %d queued, ending %v", s.Queued(), m.ending)
	}
}

func (w *watcher) Timer(upstream.Socket) {
	m := w.called("Timer")
	if m.timerAt == 0 || m.r.Now() < m.timerAt || m.ending {
		m.t.Errorf("Timer at %d, set for %d", m.r.Now(), m.timerAt)
	}
	m.timerAt = 0
}

func (w *watcher) Again(upstream.Socket) {
	m := w.called("Again")
	if !m.again || m.ending {
		m.t.Errorf("Again: asked %v, ending %v", m.again, m.ending)
	}
	m.again = false
}

func (w *watcher) Closed(_ upstream.Socket, why codec.Reason) {
	m := w.called("Closed")
	m.closed++
	m.closedWhy = why
	both := m.eofs == 1 && m.shut
	switch {
	case m.ending && why == m.why:
	case !m.ending && why == codec.ReasonPeerClosed && both:
	case !m.ending && why == codec.ReasonPeerReset && m.peerGone:
	case m.ending && both && why == codec.ReasonPeerClosed: // it had ended before Close was called
	case m.ending && m.peerGone && why == codec.ReasonPeerReset:
	default:
		m.t.Errorf("Closed(%v): ending %v for %v, both %v, peer gone %v", why, m.ending, m.why, both, m.peerGone)
	}
}

// use calls a method of the socket.
func (m *model) use(fn func(s upstream.Socket)) {
	outer := m.inside
	m.inside = true
	fn(m.s)
	m.inside = outer
}

func (m *model) write(n int) {
	p := make([]byte, n)
	pattern(p, len(m.out))
	if !m.shut && m.closed == 0 {
		m.out = append(m.out, p...)
	}
	m.use(func(s upstream.Socket) { s.Write(p) })
	if m.closed == 0 && m.s.Queued() > len(m.out)-m.read {
		m.t.Errorf("queued %d of %d", m.s.Queued(), len(m.out)-m.read)
	}
}

func (m *model) close(abort bool, why codec.Reason) {
	if m.closed == 0 && (!m.ending || abort && !m.aborted) {
		m.why = why
	}
	m.ending, m.shut, m.aborted = true, true, m.aborted || abort
	m.use(func(s upstream.Socket) {
		if abort {
			s.Abort(why)
		} else {
			s.Close(why)
		}
	})
}

func (m *model) peerWrite(n int) {
	if m.peerGone || m.peerFIN {
		return
	}
	p := make([]byte, n)
	pattern(p, len(m.in)+7)
	m.in = append(m.in, p...)
	k, err := unix.SendmsgN(m.peer, p, nil, nil, unix.MSG_NOSIGNAL)
	m.in = m.in[:len(m.in)-n+max(k, 0)]
	if err != nil && err != unix.EAGAIN && !m.ending && m.closed == 0 {
		m.t.Errorf("peer's write: %v", err)
	}
}

// peerRead reads up to n bytes and says whether it got any.
func (m *model) peerRead(n int) bool {
	if m.peerGone {
		return false
	}
	p := make([]byte, n)
	k, err := unix.Read(m.peer, p)
	if err != nil || k == 0 {
		if k == 0 && err == nil && !m.shut && m.closed == 0 {
			m.t.Error("the peer read FIN that nobody sent")
		}
		return false
	}
	if !bytes.HasPrefix(m.out[m.read:], p[:k]) {
		m.t.Errorf("the peer read wrong bytes at %d", m.read)
	}
	m.read += k
	return true
}

// sockets returns a connected pair of unix or TCP sockets.
func sockets(t *rapid.T, tcp bool) (a, b int) {
	check := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	if !tcp {
		a, b, err := reactor.SocketPair()
		check(err)
		return a, b
	}
	l, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	check(err)
	defer func() { _ = unix.Close(l) }()
	check(unix.Bind(l, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	check(unix.Listen(l, 1))
	name, err := unix.Getsockname(l)
	check(err)
	b, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	check(err)
	check(unix.Connect(b, name))
	check(unix.SetNonblock(b, true))
	a, _, err = unix.Accept(l)
	check(err)
	return a, b
}

// Random operations on both ends against the model; at the end everything that may arrive has.
func TestAgainstModel(t *testing.T) {
	r := start(t, reactor.Options{ReadMin: 4 << 10})
	rapid.Check(t, func(t *rapid.T) {
		m := &model{t: t, r: r}
		m.who = &watcher{m}
		do := func(fn func()) {
			if err := r.Call(fn); err != nil {
				t.Fatal(err)
			}
		}
		a, b := sockets(t, rapid.Bool().Draw(t, "tcp"))
		m.peer = b
		var before reactor.Stats
		do(func() { before = r.Stats(); m.s, _ = r.Adopt(a, m.who) })
		defer func() { _ = r.Call(func() { m.s.Abort(codec.ReasonIdle) }) }() // when the check failed
		size := rapid.OneOf(rapid.IntRange(1, 300), rapid.IntRange(1, 500_000))
		reasons := rapid.SampledFrom([]codec.Reason{codec.ReasonIdle, codec.ReasonLimit, codec.ReasonQueueLimit})
		pause := func() { m.paused = true; m.use(upstream.Socket.Pause) }
		swap := func() {
			m.who = &watcher{m}
			m.use(func(s upstream.Socket) { s.SetHandler(m.who) })
		}
		actions := map[string]func(t *rapid.T) func(){
			"write":      func(t *rapid.T) func() { n := size.Draw(t, "n"); return func() { m.write(n) } },
			"peer write": func(t *rapid.T) func() { n := size.Draw(t, "n"); return func() { m.peerWrite(n) } },
			"peer read":  func(t *rapid.T) func() { n := size.Draw(t, "n"); return func() { m.peerRead(n) } },
			"pause":      func(*rapid.T) func() { return pause },
			"resume": func(*rapid.T) func() {
				return func() { m.paused = false; m.use(upstream.Socket.Resume) }
			},
			"again": func(*rapid.T) func() {
				return func() { m.again = true; m.use(upstream.Socket.Again) }
			},
			"swap": func(*rapid.T) func() { return swap },
			"timer": func(t *rapid.T) func() {
				ms := rapid.Int64Range(-1, 40).Draw(t, "ms")
				return func() {
					if m.timerAt = 0; ms >= 0 {
						m.timerAt = r.Now() + ms
					}
					m.use(func(s upstream.Socket) { s.SetTimer(m.timerAt) })
				}
			},
			"close write": func(*rapid.T) func() {
				return func() { m.shut = true; m.use(upstream.Socket.CloseWrite) }
			},
			"close": func(t *rapid.T) func() {
				why, abort := reasons.Draw(t, "why"), rapid.IntRange(0, 3).Draw(t, "abort") == 0
				rare := rapid.IntRange(0, 3).Draw(t, "rare") == 0
				return func() {
					if rare {
						m.close(abort, why)
					}
				}
			},
			"peer ends": func(t *rapid.T) func() {
				fin, rare := rapid.Bool().Draw(t, "fin"), rapid.IntRange(0, 3).Draw(t, "rare") == 0
				return func() {
					switch {
					case m.peerGone || !rare:
					case fin:
						m.peerFIN = true
						_ = unix.Shutdown(m.peer, unix.SHUT_WR)
					default:
						m.peerGone = true
						_ = unix.Close(m.peer)
					}
				}
			},
		}
		ops := map[string]func(*rapid.T){
			"settle": func(*rapid.T) { do(func() {}) },
			"": func(t *rapid.T) {
				do(func() {
					if m.closed > 1 || m.got > len(m.in) {
						t.Errorf("closed %d times, got %d of %d", m.closed, m.got, len(m.in))
					}
				})
			},
		}
		names := make([]string, 0, len(actions))
		for name, draw := range actions {
			ops[name] = func(t *rapid.T) { do(draw(t)) }
			names = append(names, name)
		}
		slices.Sort(names)
		ops["react"] = func(t *rapid.T) {
			act := actions[rapid.SampledFrom(names).Draw(t, "name")](t)
			do(func() { m.reaction = act })
		}
		t.Repeat(ops)
		finish(t, m, do)
		do(func() {
			if s := r.Stats(); s.Open != before.Open || s.Queued != before.Queued || s.Panics != 0 {
				t.Errorf("open %d, queued %d, panics %d", s.Open, s.Queued, s.Panics)
			}
		})
	})
}

// finish lets both ends read to the end and close, and checks what then must hold.
func finish(t *rapid.T, m *model, do func(func())) {
	do(func() {
		m.reaction = nil
		m.paused = false
		m.use(upstream.Socket.Resume)
		m.shut = true
		m.use(upstream.Socket.CloseWrite)
		if !m.peerFIN && !m.peerGone {
			m.peerFIN = true
			_ = unix.Shutdown(m.peer, unix.SHUT_WR)
		}
	})
	for turns := 0; ; turns++ {
		ended := false
		do(func() {
			for m.peerRead(256<<10) && m.read < len(m.out) {
			}
			ended = m.closed > 0
		})
		if ended {
			break
		}
		if turns > 1_000_000 {
			t.Fatalf("never closed: %+v", m)
		}
	}
	do(func() {
		for m.read < len(m.out) && m.peerRead(256<<10) {
		}
		if !m.aborted && !m.peerGone && m.read != len(m.out) {
			t.Errorf("the peer read %d of %d", m.read, len(m.out))
		}
		if !m.ending && !m.peerGone && (m.got != len(m.in) || m.eofs != 1) {
			t.Errorf("delivered %d of %d, EOF %d", m.got, len(m.in), m.eofs)
		}
		if !m.peerGone {
			_ = unix.Close(m.peer)
		}
	})
}
