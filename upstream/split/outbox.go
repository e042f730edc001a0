package split

import (
	"encoding/binary"
	"sync"
	"sync/atomic"

	"epoxy/codec/buf"
	wire "epoxy/codec/split"
)

// outbox is what waits to be written on a link. Loops put frames in, the link's writer pulls bytes out: frames of control
// first, then streams in turn, a quantum each (deficit round robin). Its lock is held for an append or a copy of 64 KiB.
type outbox struct {
	load atomic.Int64 // size, for those who choose among links

	mu          sync.Mutex
	wake        sync.Cond // the writer waits
	control     []byte
	first, last *outq // whose turn it is
	size        int
	lastID      uint32
	full        bool // above queueHigh, until at queueLow
	closed      bool
}

// outq is a stream's frames in an outbox, whose lock guards it. A stream takes a new one for each link.
type outq struct {
	b       *buf.Buffer // nil while empty
	at      int         // bytes of b that are gone
	deficit int
	next    *outq
}

// init must be called once.
func (o *outbox) init() { o.wake.L = &o.mu }

// urgent appends a frame of control. It overtakes data.
func (o *outbox) urgent(frame []byte) {
	o.mu.Lock()
	if !o.closed {
		o.control = append(o.control, frame...)
		o.grew(len(frame))
	}
	o.mu.Unlock()
}

// put appends whole frames of a stream behind its others, each no longer than quantum but for those of control, and reports
// whether the link has more than it should.
func (o *outbox) put(q *outq, frames []byte) (full bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return false
	}
	if q.b == nil {
		q.b = buf.Partial.Get()
		o.enter(q)
	}
	q.b.B = append(q.b.B, frames...)
	o.grew(len(frames))
	return o.full
}

// open gives an Open, at the start of frame, its stream id: above all before, and of the rest index when divided by of, which
// tells the loop. 0 is none: the link is used up, or gone.
func (o *outbox) open(frame []byte, index, of uint32) uint32 {
	o.mu.Lock()
	defer o.mu.Unlock()
	id := o.lastID + 1
	id += (index + of - id%of) % of
	if o.closed || id > wire.MaxStream {
		return 0
	}
	o.lastID = id
	wire.SetStream(frame, id)
	o.control = append(o.control, frame...)
	o.grew(len(frame))
	return id
}

// discard drops what waits of a stream.
func (o *outbox) discard(q *outq) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if q.b == nil || o.closed {
		return
	}
	for p := &o.first; *p != nil; p = &(*p).next {
		if *p == q {
			*p = q.next
			break
		}
	}
	o.last = nil
	for p := o.first; p != nil; p = p.next {
		o.last = p
	}
	o.size -= len(q.b.B) - q.at
	o.load.Store(int64(o.size))
	o.leave(q)
}

// enter puts a stream behind the others.
func (o *outbox) enter(q *outq) {
	q.next = nil
	if o.last == nil {
		o.first = q
	} else {
		o.last.next = q
	}
	o.last = q
}

// leave empties a stream's queue, which is in no line.
func (o *outbox) leave(q *outq) {
	buf.Partial.Put(q.b)
	*q = outq{}
}

// grew notes n more bytes.
func (o *outbox) grew(n int) {
	o.size += n
	o.load.Store(int64(o.size))
	switch {
	case o.size > queueHard:
		o.shut()
	case o.size > queueHigh:
		o.full = true
	}
	o.wake.Signal()
}

// close ends the outbox; what waits is dropped.
func (o *outbox) close() {
	o.mu.Lock()
	o.shut()
	o.mu.Unlock()
}

func (o *outbox) shut() {
	if o.closed {
		return
	}
	o.closed = true
	for q := o.first; q != nil; {
		next := q.next
		o.leave(q)
		q = next
	}
	o.first, o.last, o.control, o.size = nil, nil, nil, 0
	o.load.Store(0)
	o.wake.Broadcast()
}

// pull waits for bytes and appends them to dst, about writeMost. drained says that loops may go on that were told to wait;
// ok is false when the outbox is closed.
func (o *outbox) pull(dst []byte) (out []byte, drained, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(o.control) == 0 && o.first == nil && !o.closed {
		o.wake.Wait()
	}
	if o.closed {
		return dst, false, false
	}
	at := len(dst)
	dst = append(dst, o.control...)
	if o.control = o.control[:0]; cap(o.control) > writeMost {
		o.control = nil
	}
	for o.first != nil && len(dst)-at < writeMost {
		dst = o.serve(dst)
	}
	o.size -= len(dst) - at
	o.load.Store(int64(o.size))
	if o.full && o.size <= queueLow {
		o.full, drained = false, true
	}
	return dst, drained, true
}

// serve gives the first stream its turn.
func (o *outbox) serve(dst []byte) []byte {
	q := o.first
	if o.first = q.next; o.first == nil {
		o.last = nil
	}
	q.deficit += quantum
	for {
		p := q.b.B[q.at:]
		n := wire.HeaderSize + int(binary.LittleEndian.Uint32(p[8:]))
		if n > q.deficit {
			o.enter(q)
			return dst
		}
		dst = append(dst, p[:n]...)
		q.at += n
		q.deficit -= n
		if q.at == len(q.b.B) {
			o.leave(q)
			return dst
		}
	}
}
