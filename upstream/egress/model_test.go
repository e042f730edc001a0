package egress

import (
	"testing"

	"pgregory.net/rapid"

	"epoxy/codec"
	"epoxy/upstream"
	"epoxy/upstream/upstreamtest"
)

// Once open, a packet costs no allocation.
func TestNoAllocation(t *testing.T) {
	w, s := opened(t)
	s.Out = make([]byte, 0, 1<<20)
	p := make([]byte, 64)
	if n := testing.AllocsPerRun(1000, func() {
		w.s.Write(p)
		_ = w.s.Queued()
		s.Out = s.Out[:0]
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// BenchmarkWrite compares a write to the socket with one through what Dial returned.
func BenchmarkWrite(b *testing.B) {
	w, s := opened(b)
	p := make([]byte, 64)
	for name, to := range map[string]upstream.Socket{"socket": s, "egress": w.s} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			s.Out = make([]byte, 0, 1<<10)
			for b.Loop() {
				to.Write(p)
				s.Out = s.Out[:0]
			}
		})
	}
}

// Whatever handler, proxies and clock do, in any order: each byte goes once and in order, and the end comes once.
func TestAnyOrder(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		proxies := []Proxy{noAuth, secret, web}[rapid.IntRange(0, 2).Draw(rt, "first"):]
		w := newWorld(t, proxies...)
		w.dial(upstream.Target{Addr: dc}, codec.ReasonNone)
		const tail = "0123456789"
		var sent string // by the handler
		var closed, fin bool
		var todo string // what the present proxy will say
		var at *upstreamtest.Socket
		for range rapid.IntRange(1, 60).Draw(rt, "steps") {
			s := w.last()
			if s != at {
				at, todo = s, ""
			}
			alive := s.Closing == codec.ReasonNone && !s.Dead()
			w.busy = true
			switch op := rapid.IntRange(0, 13).Draw(rt, "op"); op {
			case 0:
				if w.ends == 0 { // the fake socket would take it
					w.s.Write([]byte("ab"))
				}
				if !closed && !fin && w.ends == 0 {
					sent += "ab"
				}
			case 1:
				w.s.Pause()
				w.paused = true
			case 2:
				w.s.Resume()
				w.paused = false
			case 3:
				w.s.Again()
			case 4:
				w.s.SetTimer(w.Clock + rapid.Int64Range(1, 9000).Draw(rt, "timer"))
			case 5:
				if rapid.IntRange(0, 5).Draw(rt, "really") == 0 {
					w.s.CloseWrite()
					fin = true
				}
			case 6:
				if rapid.IntRange(0, 9).Draw(rt, "really") == 0 {
					w.s.Close(codec.ReasonIdle)
					closed = true
				}
			default:
				w.busy = false
				switch {
				case !alive:
					s.Finish(codec.ReasonPeerReset)
				case op == 7:
					s.Fire(w.Loop)
				case op == 8:
					s.Turn()
				case op == 9 && rapid.IntRange(0, 5).Draw(rt, "really") == 0:
					s.Finish(codec.ReasonPeerReset)
				case s.Paused:
				case len(s.Out) == 0 && todo == "":
					i := s.To.Addr
					for _, p := range proxies {
						if p.Addr == i {
							for _, a := range script(p, success) {
								todo += a
							}
						}
					}
					todo += tail
					s.H.Opened(s)
				default:
					n := rapid.IntRange(0, len(todo)).Draw(rt, "bytes")
					part := todo[:n]
					todo = todo[n:]
					say(s, part)
				}
			}
			w.busy = false
			if w.opened > 1 || w.ends > 1 {
				rt.Fatalf("heard %v", w.heard)
			}
		}
		if w.ends == 0 { // everything comes to rest
			s := w.last()
			w.s.Resume()
			w.paused = false
			s.Turn()
			if w.opened == 1 && !closed {
				say(s, todo)
				if string(w.got) != tail && s == at {
					rt.Fatalf("got %q, heard %v", w.got, w.heard)
				}
			}
		}
		if w.opened == 1 && !closed {
			for _, p := range proxies {
				if s := w.last(); s.To.Addr == p.Addr && string(s.Out) != string(wire(p, dc))+sent {
					rt.Fatalf("wrote %q, want %q behind the handshake", s.Out, sent)
				}
			}
		}
	})
}
