package split

import (
	"bytes"
	"testing"

	"epoxy/codec"
	"epoxy/codec/frame"
	wire "epoxy/codec/split"
)

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
