//go:build !epoxydebug && !race

package middle

import (
	"runtime"
	"testing"

	"epoxy/codec"
	"epoxy/codec/frame"
	"epoxy/codec/rpc"
	"epoxy/upstream"
)

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

// What an idle client costs, with its places in the tables, beside its session.
func TestIdleMemory(t *testing.T) {
	const n = 20_000
	w := newWorld(t, twoAddr, Options{})
	open := func(n int) {
		for range n {
			if _, why := w.r.Open(upstream.Request{DC: 2, Transport: codec.Padded}, &deaf{}); why != codec.ReasonNone {
				t.Fatal(why)
			}
		}
		w.up()
	}
	open(n) // so that there are enough links
	heap := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := heap()
	open(n)
	if each := (heap() - before) / n; each > 220 {
		t.Errorf("an idle client takes %d bytes", each)
	} else {
		t.Logf("an idle client takes %d bytes, of which 8 are the test's", each)
	}
	runtime.KeepAlive(w)
}
