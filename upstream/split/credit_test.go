package split

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"

	"epoxy/codec"
	"epoxy/codec/frame"
)

var transports = []codec.Transport{codec.Abridged, codec.Intermediate, codec.Padded}

// Packets of several clients cross the link both ways, while either end takes its time, in any order of events: all arrive whole
// and in order, and no side begins a packet without credit.
func TestCredit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := newPair(t, rapid.Bool().Draw(t, "bytes"))
		n := rapid.IntRange(1, 4).Draw(t, "clients")
		streams, sinks := make([]*Stream, n), make([]*sink, n)
		up, down := make([][]byte, n), make([][]byte, n) // what went in
		kinds := make([]codec.Transport, n)
		for i := range n {
			kinds[i] = transports[i%len(transports)]
			streams[i], sinks[i] = p.open(kinds[i])
		}
		p.settle()
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			i := rapid.IntRange(0, n-1).Draw(t, "client")
			s, f := streams[i], p.far.streams[i]
			switch rapid.IntRange(0, 8).Draw(t, "do") {
			case 0, 1: // a session stops sending when it is told
				if s.Queued() <= softQueue {
					b := packet(kinds[i], 4*rapid.IntRange(1, 60_000).Draw(t, "words"), byte(i))
					cut := rapid.IntRange(0, len(b)).Draw(t, "cut")
					up[i] = append(up[i], b...)
					s.Send(bytes.Clone(b[:cut]))
					s.Send(bytes.Clone(b[cut:]))
				}
			case 2, 3: // Telegram's side stops when it is paused
				if !f.paused {
					b := packet(kinds[i], 4*rapid.IntRange(1, 60_000).Draw(t, "words"), byte(i))
					down[i] = append(down[i], b...)
					f.sink.Deliver(b)
				}
			case 4:
				s.Pause()
			case 5:
				s.Resume()
				p.turn()
			case 6:
				f.stuck = rapid.SampledFrom([]int{0, fullQueue}).Draw(t, "stuck")
				if f.stuck == 0 {
					f.sink.SendDrained()
				}
			case 7:
				p.carry(p.a, p.b, true)
			case 8:
				p.carry(p.b, p.a, false)
			}
		}
		for i := range n {
			streams[i].Resume()
			p.far.streams[i].stuck = 0
			p.far.streams[i].sink.SendDrained()
		}
		for range 1000 {
			p.turn()
			p.settle()
		}
		for i := range n {
			if got := p.far.streams[i].got; !samePackets(kinds[i], got, up[i]) {
				t.Fatalf("client %d: %d bytes went up, %d arrived", i, len(up[i]), len(got))
			}
			if got := sinks[i].got; !samePackets(kinds[i], got, down[i]) {
				t.Fatalf("client %d: %d bytes went down, %d arrived", i, len(down[i]), len(got))
			}
			if sinks[i].ended != 0 || sinks[i].most > deliverMost {
				t.Fatalf("client %d ended by %v, had %d bytes at once", i, sinks[i].ended, sinks[i].most)
			}
		}
		for id, a := range p.sent {
			for way, worst := range a.worst {
				if worst > 0 {
					t.Fatalf("stream %d: a packet began %d bytes beyond credit, way %d", id, worst, way)
				}
			}
		}
		if p.b.parts != 0 || p.a.parts != 0 || len(p.a.streams) != n {
			t.Fatalf("%d and %d bytes of torn packets stay", p.a.parts, p.b.parts)
		}
	})
}

// samePackets compares streams of packets whose padding may differ.
func samePackets(t codec.Transport, a, b []byte) bool {
	for len(a) > 0 && len(b) > 0 {
		x, n, err1 := frame.Next(t, a)
		y, m, err2 := frame.Next(t, b)
		if err1 != nil || err2 != nil || !bytes.Equal(x.Body, y.Body) || x.Quick != y.Quick {
			return false
		}
		a, b = a[n:], b[m:]
	}
	return len(a) == 0 && len(b) == 0
}

// B07: a client that stops reading has its credit and no more on the link and here; its neighbours have all of theirs, and
// behind each piece of its no more than a turn of theirs waits.
func TestFrozenClient(t *testing.T) {
	for _, ofBytes := range []bool{false, true} {
		p := newPair(t, ofBytes)
		frozen, _ := p.open(codec.Padded)
		frozen.Pause()
		var sinks []*sink
		for range 8 {
			_, k := p.open(codec.Padded)
			sinks = append(sinks, k)
		}
		p.settle()
		want := make([][]byte, len(p.far.streams))
		for range 200 {
			for i, f := range p.far.streams {
				if f.paused {
					continue
				}
				b := packet(codec.Padded, 20_000, byte(i))
				want[i] = append(want[i], b...)
				f.sink.Deliver(b)
			}
			p.settle()
		}
		if !p.far.streams[0].paused || len(want[0]) > creditDown+40_000 {
			t.Errorf("the frozen client's side took %d bytes", len(want[0]))
		}
		if q := len(frozen.queue.B); q > creditDown+40_000 {
			t.Errorf("%d bytes wait for the frozen client", q)
		}
		for i, k := range sinks {
			if len(want[i+1]) != 200*20_004 || !samePackets(codec.Padded, k.got, want[i+1]) {
				t.Errorf("neighbour %d: %d bytes of %d", i, len(k.got), len(want[i+1]))
			}
		}
		frozen.Resume()
		for range 200 {
			p.turn()
			p.settle()
		}
		if p.far.streams[0].paused || frozen.queue != nil {
			t.Error("the frozen client does not go on")
		}
	}
}

// A client of the back's that Telegram gives more than may wait is closed with its reason, and what was queued is dropped.
func TestSlowGuest(t *testing.T) {
	p := newPair(t, false)
	_, k := p.open(codec.Intermediate)
	p.settle()
	f := p.far.streams[0]
	f.sink.Deliver(packet(codec.Intermediate, 100_000, 1))
	f.sink.Ended(codec.ReasonQueueLimit)
	p.settle()
	p.turn()
	if k.ended != codec.ReasonQueueLimit || len(k.got) > 0 || p.back.Count.Guests != 0 {
		t.Errorf("ended by %v behind %d bytes", k.ended, len(k.got))
	}
}

// When more waits on a loop than may, those are closed for whom much does, and the books are even in the end.
func TestShed(t *testing.T) {
	p := newPair(t, false)
	small, k1 := p.open(codec.Intermediate)
	big, k2 := p.open(codec.Intermediate)
	p.settle()
	p.router.Budget, p.back.Budget = 100_000, 100_000
	small.Send(packet(codec.Intermediate, 20_000, 1)[:10_000])
	big.Send(packet(codec.Intermediate, 200_000, 1)[:150_000])
	p.turn()
	if k1.ended != 0 || k2.ended != codec.ReasonMemory || p.router.held != 10_000 || p.router.Count.Shed != 1 {
		t.Errorf("ended by %v and %v, %d bytes wait", k1.ended, k2.ended, p.router.held)
	}
	small.Pause()
	f := p.far.streams[0]
	f.sink.Deliver(packet(codec.Intermediate, 200_000, 1)) // more than its credit
	f.sink.Deliver(packet(codec.Intermediate, 90_000, 1))
	f.sink.Deliver(packet(codec.Intermediate, 90_000, 1))
	if p.back.Count.Shed != 1 || p.back.held != 0 {
		t.Errorf("%d guests shed, %d bytes wait", p.back.Count.Shed, p.back.held)
	}
	p.settle()
	p.turn()
	if k1.ended != codec.ReasonQueueLimit || p.router.held != 0 || p.router.Count.Streams != 0 {
		t.Errorf("ended by %v, %d bytes wait", k1.ended, p.router.held)
	}
}

// A link that takes no more streams is given up when the last has left, so that another takes its place.
func TestAway(t *testing.T) {
	p := newPair(t, false)
	s, k := p.open(codec.Intermediate)
	p.settle()
	other, _ := p.link(1, false)
	p.a.link.away.Store(true)
	p.router.changed(p.a)
	p.router.Timer(nil)
	if s.lane != other || k.ended != 0 || p.router.Count.Migrated[Moved] != 1 || !p.a.link.isDead() {
		t.Errorf("on the other link %v, ended by %v, migrated %v, dead %v", s.lane == other, k.ended, p.router.Count.Migrated, p.a.link.isDead())
	}
}

// What Telegram said last arrives before the end, also when it had to wait for credit.
func TestLastWords(t *testing.T) {
	for _, ofBytes := range []bool{false, true} {
		p := newPair(t, ofBytes)
		s, k := p.open(codec.Intermediate)
		p.settle()
		s.Pause()
		f := p.far.streams[0]
		var want []byte
		for range 3 {
			b := packet(codec.Intermediate, 100_000, 1)
			want = append(want, b...)
			f.sink.Deliver(b)
		}
		f.sink.EndOfStream()
		p.settle()
		if k.ended != 0 {
			t.Error("it ended before the client had everything")
		}
		s.Resume()
		for range 100 {
			p.turn()
			p.settle()
		}
		if !bytes.Equal(k.got, want) || k.ended != codec.ReasonUpstreamClosed || f.closed == 0 || p.back.Count.Guests != 0 {
			t.Errorf("%d of %d bytes, then %v", len(k.got), len(want), k.ended)
		}
	}
}

// A client that leaves takes its last packets up, and its stream at the back ends.
func TestClientLeaves(t *testing.T) {
	p := newPair(t, false)
	s, k := p.open(codec.Abridged)
	b := packet(codec.Abridged, 4000, 1)
	s.Send(bytes.Clone(b))
	s.CloseSend()
	p.turn()
	p.settle()
	f := p.far.streams[0]
	if k.ended != codec.ReasonClientClosed || !bytes.Equal(f.got, b) || f.closed == 0 || p.back.Count.Guests != 0 || p.router.Count.Streams != 0 {
		t.Errorf("ended by %v, %d bytes went up, closed by %v", k.ended, len(f.got), f.closed)
	}
	s.Send(b)
	s.Close(codec.ReasonIdle) // nothing happens
	p.settle()
}

// A client whose packets are none is closed, and the back hears why.
func TestBadClient(t *testing.T) {
	p := newPair(t, false)
	s, k := p.open(codec.Intermediate)
	s.Send([]byte{0, 0, 0, 0})
	p.turn()
	p.settle()
	if k.ended != codec.ReasonPacketZero || p.back.Count.Guests != 0 || s.Queued() != 0 {
		t.Errorf("ended by %v", k.ended)
	}
}

// A quick ack comes down in the client's framing.
func TestQuickAck(t *testing.T) {
	for _, kind := range transports {
		p := newPair(t, false)
		s, k := p.open(kind)
		body := bytes.Repeat([]byte{3}, 40_000)
		s.Send(append(frame.AppendHeader(nil, kind, len(body), true), body...))
		p.settle()
		f := p.far.streams[0]
		got, _, err := frame.Next(kind, f.got)
		if err != nil || !got.Quick || !bytes.Equal(got.Body, body) {
			t.Fatalf("%v: %v", kind, err)
		}
		f.sink.Deliver(frame.AppendQuickAck(nil, kind, 0x80112233))
		p.settle()
		if a, _, err := frame.NextAnswer(kind, k.got); err != nil || a.Confirm != 0x80112233 {
			t.Errorf("%v: %x, %v", kind, k.got, err)
		}
	}
}

// A back that cannot open closes at once; a front's limits do, too.
func TestRefusedOpen(t *testing.T) {
	p := newPair(t, false)
	p.far.refuse = codec.ReasonNoUpstream
	_, k := p.open(codec.Padded)
	p.settle()
	p.turn()
	if k.ended != codec.ReasonNoLink || p.back.Count.Failed != 1 {
		t.Errorf("ended by %v", k.ended)
	}
	p.far.refuse = 0
	p.server.opts.Streams = 2
	var sinks []*sink
	for range 3 {
		_, k := p.open(codec.Padded)
		sinks = append(sinks, k)
	}
	p.settle()
	p.turn()
	if sinks[0].ended != 0 || sinks[1].ended != 0 || sinks[2].ended != codec.ReasonLimit {
		t.Errorf("ended by %v, %v, %v", sinks[0].ended, sinks[1].ended, sinks[2].ended)
	}
}
