package reactor

import (
	"testing"
	"unsafe"
)

// A socket costs its Conn, a slot, a place in the descriptor table and a timer.
func TestConnSize(t *testing.T) {
	const limit = 80
	if n := unsafe.Sizeof(Conn{}); n > limit {
		t.Errorf("a Conn has %d bytes, above %d it costs the next size class", n, limit)
	}
}

// The queue gives back what was put in, in order, and its memory.
func TestQueue(t *testing.T) {
	var p chunkPool
	var q outQueue
	var in, out byte
	push := func(n int) {
		b := make([]byte, n)
		for i := range b {
			b[i] = in
			in++
		}
		q.push(&p, b)
	}
	drop := func(n int) {
		for n > 0 {
			c := q.first
			k := min(n, len(c.b)-c.off)
			for _, b := range c.b[c.off : c.off+k] {
				if b != out {
					t.Fatalf("byte %d in place of %d", b, out)
				}
				out++
			}
			q.drop(&p, k)
			n -= k
		}
	}
	for _, n := range []int{1, smallChunk, bigChunk - 1, bigChunk, bigChunk + 1, 3, 200_000} {
		push(n)
		drop(n / 2)
	}
	drop(q.size)
	if q.first != nil || q.last != nil || q.size != 0 || p.free != p.memory {
		t.Errorf("left over: %+v, free %d of %d", q, p.free, p.memory)
	}
	push(2 * chunkReserve)
	drop(q.size)
	if p.memory > chunkReserve || p.free != p.memory {
		t.Errorf("keeps %d bytes, %d free", p.memory, p.free)
	}
}
