package buf

// poison is what bytes that nobody wrote look like in a debug build.
const poison = 0xdb

// poisoned returns a new empty buffer whose memory is poison.
func poisoned(size int) *Buffer {
	b := &Buffer{B: make([]byte, size)}
	fill(b.B)
	b.B = b.B[:0]
	return b
}

// retire poisons b and takes its memory away. It panics when that was done before.
func retire(b *Buffer) {
	if cap(b.B) == 0 {
		panic("buf: a buffer was put back twice")
	}
	fill(b.B[:cap(b.B)])
	b.B = nil
}

func fill(p []byte) {
	for i := range p {
		p[i] = poison
	}
}
