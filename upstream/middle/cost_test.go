package middle

import (
	"strconv"
	"testing"

	"epoxy/codec"
	"epoxy/codec/frame"
	"epoxy/codec/rpc"
)

// deaf is a sink that keeps nothing.
type deaf struct{ bytes int }

func (d *deaf) Deliver(p []byte)   { d.bytes += len(p) }
func (d *deaf) SendDrained()       {}
func (d *deaf) EndOfStream()       {}
func (d *deaf) Ended(codec.Reason) {}

// lane is one client on one link, with what a benchmark sends either way.
type lane struct {
	w    *world
	c    *client
	p    *peer
	sink deaf
}

func newLane(t testing.TB, transport codec.Transport) *lane {
	w := newWorld(t, oneAddr, Options{})
	n := &lane{w: w, c: w.open(2, transport)}
	w.up()
	n.p = w.peerOf(n.c)
	n.c.s.(*Stream).sink = &n.sink
	return n
}

// up sends wire and lets the turn flush it.
func (n *lane) up(room, wire []byte) {
	copy(room, wire)
	n.c.s.Send(room[:len(wire)])
	n.w.task().Turn()
	n.p.socket.Out = n.p.socket.Out[:0]
}

// Nothing is allocated per packet, either way, whole or torn, one or several in a read.
func TestAllocations(t *testing.T) {
	for _, transport := range transports {
		n := newLane(t, transport)
		room := make([]byte, 64<<10)
		packets := frame.Append(nil, transport, packet(1, 200), nil)
		packets = frame.Append(packets, transport, packet(2, 9000), nil)
		if got := testing.AllocsPerRun(200, func() {
			n.up(room, packets)
			n.up(room, packets[:150])
			n.up(room, packets[150:])
		}); got != 0 {
			t.Errorf("%v up: %v allocations", transport, got)
		}
		one := rpc.AppendAnswer(nil, 0, n.c.id(), packet(1, 200))
		two := rpc.AppendAnswer(nil, 0, n.c.id(), packet(1, 9000))
		ack := rpc.AppendSimpleAck(nil, n.c.id(), 1<<31)
		wire := make([]byte, 0, 64<<10)
		if got := testing.AllocsPerRun(200, func() {
			wire = n.p.enc.Append(wire[:0], one)
			n.p.data(n.p.enc.Flush(wire, 0))
			wire = n.p.enc.Append(wire[:0], one)
			wire = n.p.enc.Append(wire, ack)
			wire = n.p.enc.Append(wire, two)
			wire = n.p.enc.Flush(wire, 0)
			n.p.data(wire[:1000])
			n.p.data(wire[1000:])
		}); got != 0 {
			t.Errorf("%v down: %v allocations", transport, got)
		}
		if n.sink.bytes == 0 {
			t.Error("nothing came down")
		}
	}
}

// A busy loop's packet, up: frame, request, checksum, encryption.
func BenchmarkUp(b *testing.B) {
	for _, size := range []int{192, 1456, 16 << 10} {
		b.Run(strconv.Itoa(size), func(b *testing.B) {
			n := newLane(b, codec.Padded)
			wire := frame.Append(nil, codec.Padded, packet(1, size), nil)
			room := make([]byte, len(wire))
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				n.up(room, wire)
			}
		})
	}
}

// The same, down: decryption, checksum, stream, frame. The encrypted bytes are made by the same loop; BenchmarkMiddle
// has their cost alone.
func BenchmarkDown(b *testing.B) {
	benchDown(b, func(n *lane, wire []byte) { n.p.data(wire) })
}

// What the other end of BenchmarkDown costs.
func BenchmarkMiddle(b *testing.B) { benchDown(b, func(*lane, []byte) {}) }

func benchDown(b *testing.B, give func(n *lane, wire []byte)) {
	for _, size := range []int{192, 1456, 16 << 10} {
		b.Run(strconv.Itoa(size), func(b *testing.B) {
			n := newLane(b, codec.Padded)
			body := rpc.AppendAnswer(nil, 0, n.c.id(), packet(1, size))
			var wire []byte
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				wire = n.p.enc.Append(wire[:0], body)
				wire = n.p.enc.Flush(wire, 0)
				give(n, wire)
			}
		})
	}
}
