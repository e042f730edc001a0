// Package buf is byte buffers by purpose over bytebufferpool; a debug build panics on a double Put.
//
// The debug build has the tag epoxydebug. There every Get is a new buffer filled with poison, and Put poisons the bytes
// once more and takes the memory away, so that whoever kept a slice reads nonsense and whoever kept the Buffer panics.
package buf

import "github.com/valyala/bytebufferpool"

// Buffer holds its bytes in B, which the owner may cut and append to but, until Put, not drop.
type Buffer = bytebufferpool.ByteBuffer

// The pools. All loops share them; they are used when something waits, not for each packet.
var (
	// Handshake holds the bytes of a client until its opening is whole.
	Handshake = newPool(handshakeSize, handshakeMax)
	// Partial holds a record or packet whose rest is still to come, or what waits for a connect.
	Partial = newPool(partialSize, partialMax)
	// Chunk holds a piece of what a slow reader did not take yet.
	Chunk = newPool(chunkSize, chunkMax)
)

// Pool is the pool of one purpose. A buffer goes back to the one it came from. Safe for concurrent use.
type Pool struct {
	size, max int // fixed
	free      bytebufferpool.Pool
}

func newPool(size, limit int) *Pool { return &Pool{size: size, max: limit} }

// Get returns an empty buffer with room for the purpose's usual size.
func (p *Pool) Get() *Buffer {
	if debug {
		return poisoned(p.size)
	}
	b := p.free.Get()
	if cap(b.B) < p.size {
		b.B = make([]byte, 0, p.size)
	}
	return b
}

// Put takes b back, whose bytes nobody may touch any more.
func (p *Pool) Put(b *Buffer) {
	if debug {
		retire(b)
		return
	}
	if cap(b.B) > p.max {
		return
	}
	b.B = b.B[:cap(b.B)] // the pool learns what to keep from lengths; only the room matters here
	p.free.Put(b)
}
