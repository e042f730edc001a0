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
