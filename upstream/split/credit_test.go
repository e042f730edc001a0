package split

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"

	"epoxy/codec"
	"epoxy/codec/frame"
	wire "epoxy/codec/split"
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

// Lies about credit and packets end the link.
func TestLies(t *testing.T) {
	open := (&wire.Open{DC: 2, Transport: codec.Padded, Credit: creditDown}).Append(nil, 1)
	big := make([]byte, fragment)
	for name, frames := range map[string][]byte{
		"a packet without credit": bytes.Join([][]byte{open, wire.AppendData(nil, 1, 0, make([]byte, creditUp), fragment), wire.AppendData(nil, 1, 0, big[:4], fragment)}, nil),
		"a packet too long":       bytes.Join([][]byte{open, wire.AppendData(nil, 1, 0, make([]byte, frame.MaxPacket+4), fragment)}, nil),
		"a packet of 3 bytes":     bytes.Join([][]byte{open, wire.AppendData(nil, 1, 0, big[:3], fragment)}, nil),
		"an ack of a front":       wire.AppendAck(nil, 1, 1),
		"too much credit":         append(bytes.Clone(open), wire.AppendCredit(nil, 1, creditMost+1)...),
		"a short open":            append(wire.AppendHeader(nil, wire.TypeOpen, 0, 1, 3), 1, 2, 3),
	} {
		p := newPair(t, false)
		p.far.stuck = fullQueue
		if err := p.b.take(bytes.Clone(frames)); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	p := newPair(t, false)
	p.open(codec.Padded)
	if err := p.a.take(bytes.Clone(open)); err == nil {
		t.Error("an open of a back is taken")
	}
	if err := p.a.take(wire.AppendData(nil, 1, 0, make([]byte, creditDown), fragment)); err != nil {
		t.Error(err)
	}
	if err := p.a.take(wire.AppendData(nil, 1, 0, big[:4], fragment)); err == nil {
		t.Error("a packet of a back without credit is taken")
	}
	if err := p.a.take(append(wire.AppendData(nil, 77, 0, big[:3], fragment), wire.AppendHeader(nil, 0x7f, 0, 1, 0)...)); err != nil {
		t.Error(err) // of nobody, and of the future
	}
}

// Whatever a peer sends, a loop's end refuses it or goes on.
func FuzzLane(f *testing.F) {
	open := (&wire.Open{DC: 2, Transport: codec.Padded, Credit: creditDown}).Append(nil, 1)
	f.Add(append(open, wire.AppendData(nil, 1, 0, make([]byte, 40), fragment)...))
	f.Add(append(wire.AppendCredit(nil, 1, 9), wire.AppendClose(nil, 1, 3)...))
	f.Add(append(wire.AppendAck(nil, 1, 9), wire.AppendBound(nil, 1, 1, 3)...))
	f.Add(wire.AppendData(nil, 1, 1, make([]byte, 40), fragment))
	f.Fuzz(func(t *testing.T, in []byte) {
		for _, ofBytes := range []bool{false, true} {
			p := newPair(t, ofBytes)
			p.open(codec.Padded)
			_ = p.a.take(bytes.Clone(in))
			p.a.end.flush()
			_ = p.b.take(bytes.Clone(in))
			p.turn()
		}
	})
}

// Nothing is allocated for a packet, up or down, once buffers are there.
func TestPacketsAllocate(t *testing.T) {
	p := newPair(t, false)
	s, k := p.open(codec.Intermediate)
	p.settle()
	far := p.far.streams[0]
	up, down := packet(codec.Intermediate, 1000, 1), packet(codec.Intermediate, 1000, 1)
	scratch := make([]byte, 0, len(up))
	var out []byte
	carry := func(from, to *lane) {
		out, _, _ = from.link.out.pull(out[:0])
		if err := to.take(out); err != nil {
			t.Fatal(err)
		}
		to.end.flush()
	}
	step := func() {
		far.got, k.got = far.got[:0], k.got[:0]
		s.Send(append(scratch[:0], up...))
		carry(p.a, p.b)
		far.sink.Deliver(append(scratch[:0], down...))
		carry(p.b, p.a)
	}
	for range 300 {
		step()
	}
	if n := testing.AllocsPerRun(1000, step); n >= 1 && !raceEnabled {
		t.Errorf("%v allocations", n)
	}
}
