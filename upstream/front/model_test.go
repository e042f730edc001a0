package front

import (
	"bytes"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"epoxy/codec"
	"epoxy/codec/proxyproto"
	"epoxy/upstream"
	"epoxy/upstream/upstreamtest"
)

// twin is what the naive model knows of one stranger: plain lists of what must come out.
type twin struct {
	s        upstream.Stream
	c        *stranger
	f        *upstreamtest.Socket // the attempt under way, or the connection
	up, down []byte               // header and all that was sent; all that was answered
	tries    int
	standing bool // the connection
	fin, eof bool // the stranger's, the front's
	paused   bool
	gone     bool
}

// model drives one router at random.
type model struct {
	r     *Router
	loop  *upstreamtest.Loop
	sites []*Target
	live  []*twin
	all   []*twin
}

// A14 A17 B18: strangers come, speak, hear, close half, pause, reset and leave, fronts refuse, answer and reset, targets
// change, all at random. Every byte arrives once and in order at the right place, none is added but the header, an
// attempt that fails loses nothing, each end is told once, and in the end nothing is left over.
func TestModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		loop := upstreamtest.NewLoop(0)
		m := &model{r: NewRouter(loop, Options{Max: 5}), loop: loop}
		for version := range 3 {
			target := site("192.0.2.1:1", "192.0.2.2:2", "192.0.2.3:3")
			target.Proxy = byte(version)
			m.sites = append(m.sites, target)
		}
		m.use(rt)
		rt.Repeat(map[string]func(*rapid.T){
			"open": m.open, "send": m.send, "answer": m.answer, "opened": m.opened, "refused": m.refused,
			"stranger's FIN": m.fin, "front's FIN": m.eof, "pause": m.pause, "close": m.close, "front ends": m.end,
			"use": m.use, "": m.check,
		})
		for len(m.live) > 0 {
			m.leave(rt, m.live[0], codec.ReasonClientClosed)
		}
		m.check(rt)
	})
}

func (m *model) use(rt *rapid.T) {
	m.r.Use(&Targets{Default: rapid.SampledFrom(m.sites).Draw(rt, "site")})
}

func (m *model) open(rt *rapid.T) {
	c, dials := &stranger{}, len(m.loop.Dialed)
	req := upstream.Request{Client: site("198.51.100.7:7").Addrs[0], Local: site("203.0.113.1:443").Addrs[0]}
	s, why := m.r.Open(req, c)
	if len(m.live) == 5 {
		if why != codec.ReasonLimit || len(m.loop.Dialed) != dials {
			rt.Fatalf("the sixth: %v", why)
		}
		return
	}
	if why != codec.ReasonNone || len(m.loop.Dialed) != dials+1 {
		rt.Fatalf("open: %v", why)
	}
	x := &twin{s: s, c: c, f: last(m.loop), tries: 1}
	switch m.r.targets.Default.Proxy {
	case 1:
		x.up = proxyproto.AppendV1(nil, req.Client, req.Local)
	case 2:
		x.up = proxyproto.AppendV2(nil, req.Client, req.Local)
	}
	m.live, m.all = append(m.live, x), append(m.all, x)
}

// pick returns a stranger that lives, skipping the step when there is none that fits.
func (m *model) pick(rt *rapid.T, fits func(*twin) bool) *twin {
	var list []*twin
	for _, x := range m.live {
		if fits(x) {
			list = append(list, x)
		}
	}
	if len(list) == 0 {
		rt.Skip()
	}
	return list[rapid.IntRange(0, len(list)-1).Draw(rt, "who")]
}

func anybody(*twin) bool    { return true }
func standing(x *twin) bool { return x.standing }
func dials(x *twin) bool    { return !x.standing }

func (m *model) send(rt *rapid.T) {
	x := m.pick(rt, anybody)
	p := rapid.SliceOfN(rapid.Byte(), 0, 3000).Draw(rt, "words")
	if !x.fin {
		x.up = append(x.up, p...)
	}
	x.s.Send(p)
	clear(p) // the stream keeps none of it
}

func (m *model) answer(rt *rapid.T) {
	x := m.pick(rt, func(x *twin) bool { return x.standing && !x.eof && !x.paused })
	p := rapid.SliceOfN(rapid.Byte(), 1, 3000).Draw(rt, "answer")
	x.down = append(x.down, p...)
	x.f.H.Data(x.f, p)
	clear(p)
}

func (m *model) opened(rt *rapid.T) {
	x := m.pick(rt, dials)
	x.standing = true
	x.f.H.Opened(x.f)
	if x.f.Writes != min(1, len(x.up)) {
		rt.Fatalf("what waited left in %d writes", x.f.Writes)
	}
}

func (m *model) refused(rt *rapid.T) {
	x := m.pick(rt, dials)
	before := len(m.loop.Dialed)
	x.f.Finish(codec.ReasonDialRefused)
	if x.tries == 3 {
		m.ended(rt, x, codec.ReasonDialRefused)
		return
	}
	if len(m.loop.Dialed) != before+1 || last(m.loop).Paused != x.paused {
		rt.Fatalf("%d dials after a refusal", len(m.loop.Dialed)-before)
	}
	x.f = last(m.loop)
	x.tries++
}

func (m *model) fin(rt *rapid.T) {
	x := m.pick(rt, anybody)
	x.fin = true
	if x.s.CloseSend(); x.eof {
		x.f.Finish(codec.ReasonPeerClosed)
		m.ended(rt, x, codec.ReasonUpstreamClosed)
	}
}

func (m *model) eof(rt *rapid.T) {
	x := m.pick(rt, func(x *twin) bool { return x.standing && !x.eof && !x.paused })
	x.eof = true
	if x.f.H.EOF(x.f); x.fin {
		x.f.Finish(codec.ReasonPeerClosed)
		m.ended(rt, x, codec.ReasonUpstreamClosed)
	}
}

func (m *model) pause(rt *rapid.T) {
	x := m.pick(rt, anybody)
	if x.paused = rapid.Bool().Draw(rt, "paused"); x.paused {
		x.s.Pause()
	} else {
		x.s.Resume()
	}
}

func (m *model) close(rt *rapid.T) {
	why := rapid.SampledFrom([]codec.Reason{codec.ReasonClientReset, codec.ReasonClientClosed, codec.ReasonIdle}).Draw(rt, "why")
	m.leave(rt, m.pick(rt, anybody), why)
}

func (m *model) leave(rt *rapid.T, x *twin, why codec.Reason) {
	x.s.Close(why)
	if x.f.Closing != why || x.f.Aborted != (!x.standing || why == codec.ReasonClientReset) {
		rt.Fatalf("%v: closed by %v, aborted %v", why, x.f.Closing, x.f.Aborted)
	}
	x.f.Finish(codec.ReasonNone)
	m.bury(x)
	if x.c.ends != 0 {
		rt.Fatalf("%v: a sink that closed hears %v", why, x.c.ended)
	}
}

func (m *model) end(rt *rapid.T) {
	x := m.pick(rt, standing)
	x.f.Finish(codec.ReasonPeerReset)
	m.ended(rt, x, codec.ReasonUpstreamReset)
}

func (m *model) ended(rt *rapid.T, x *twin, why codec.Reason) {
	if x.c.ends != 1 || x.c.ended != why {
		rt.Fatalf("ended %d times by %v, want %v", x.c.ends, x.c.ended, why)
	}
	m.bury(x)
}

func (m *model) bury(x *twin) {
	x.gone = true
	m.live = slices.DeleteFunc(m.live, func(o *twin) bool { return o == x })
}

// check compares every stranger, dead ones too, with what the router made of it.
func (m *model) check(rt *rapid.T) {
	var up, down uint64
	for i, x := range m.all {
		want := x.up
		if !x.standing {
			want = nil
		}
		up, down = up+uint64(len(want)), down+uint64(len(x.down))
		switch {
		case !bytes.Equal(x.f.Out, want):
			rt.Fatalf("stranger %d: the front has %d bytes, want %d", i, len(x.f.Out), len(want))
		case !bytes.Equal(x.c.got, x.down):
			rt.Fatalf("stranger %d: got %d bytes, want %d", i, len(x.c.got), len(x.down))
		case x.f.FIN != (x.fin && x.standing) || x.c.eof != x.eof:
			rt.Fatalf("stranger %d: FIN up %v, down %v; want %v, %v", i, x.f.FIN, x.c.eof, x.fin && x.standing, x.eof)
		case x.gone && (x.s.Queued() != 0 || x.s.(*Stream).head != nil):
			rt.Fatalf("stranger %d is gone and keeps %d bytes", i, x.s.Queued())
		case !x.gone && !x.standing && x.s.Queued() != len(x.up):
			rt.Fatalf("stranger %d: %d bytes wait, want %d", i, x.s.Queued(), len(x.up))
		case !x.gone && x.f.Paused != x.paused:
			rt.Fatalf("stranger %d: paused %v, want %v", i, x.f.Paused, x.paused)
		}
	}
	if n := &m.r.Count; n.Open != int64(len(m.live)) || int(n.Opened) != len(m.all) || n.BytesUp != up || n.BytesDown != down {
		rt.Fatalf("counted %+v; want %d open, %d up, %d down", n, len(m.live), up, down)
	}
}
