package reactor

import "golang.org/x/sys/unix"

// chunk is a piece of a socket's queue: the bytes b[off:] wait for the kernel.
type chunk struct {
	next *chunk
	off  int
	b    []byte // cap is smallChunk or bigChunk
}

// chunkPool lends the chunks of one reactor. A socket that waits for nothing holds none.
type chunkPool struct {
	small, big *chunk
	free       int // bytes in the two lists, at most chunkReserve
	memory     int // bytes of all chunks, lent or free
}

// get returns an empty chunk: a small one when n bytes fit into it.
func (p *chunkPool) get(n int) *chunk {
	list, size := &p.big, bigChunk
	if n <= smallChunk {
		list, size = &p.small, smallChunk
	}
	c := *list
	if c == nil {
		p.memory += size
		return &chunk{b: make([]byte, 0, size)}
	}
	*list = c.next
	p.free -= size
	c.next = nil
	return c
}

// put takes a chunk back.
func (p *chunkPool) put(c *chunk) {
	size := cap(c.b)
	if p.free+size > chunkReserve {
		p.memory -= size
		return
	}
	list := &p.big
	if size == smallChunk {
		list = &p.small
	}
	c.b, c.off, c.next = c.b[:0], 0, *list
	*list = c
	p.free += size
}

// outQueue is what a socket's kernel buffer had no room for.
type outQueue struct {
	first, last *chunk
	size        int
}

// push copies b to the end of q.
func (q *outQueue) push(p *chunkPool, b []byte) {
	q.size += len(b)
	for len(b) > 0 {
		c := q.last
		if c == nil || len(c.b) == cap(c.b) {
			c = p.get(len(b))
			if q.last == nil {
				q.first = c
			} else {
				q.last.next = c
			}
			q.last = c
		}
		n := copy(c.b[len(c.b):cap(c.b)], b)
		c.b = c.b[:len(c.b)+n]
		b = b[n:]
	}
}

// vector points iov at the first of q's chunks and returns how many entries and bytes that is.
func (q *outQueue) vector(iov []unix.Iovec) (entries, size int) {
	for c := q.first; c != nil && entries < len(iov); c = c.next {
		b := c.b[c.off:]
		iov[entries].Base = &b[0]
		iov[entries].SetLen(len(b))
		entries++
		size += len(b)
	}
	return entries, size
}

// drop forgets the first n bytes.
func (q *outQueue) drop(p *chunkPool, n int) {
	q.size -= n
	for n > 0 {
		c := q.first
		if left := len(c.b) - c.off; n < left {
			c.off += n
			return
		}
		n -= len(c.b) - c.off
		q.first = c.next
		p.put(c)
	}
	if q.first == nil {
		q.last = nil
	}
}
