package middle

import (
	"epoxy/codec"
	"epoxy/codec/buf"
	"epoxy/codec/frame"
	"epoxy/codec/rpc"
)

// batch collects what one read of a link brought, by stream: each stream then has one Deliver.
type batch struct {
	segments []segment
	parcels  []parcel
	down     []byte // where segments are put together: deliverMost
}

// segment is one answer or quick ack.
type segment struct {
	body    []byte // of the message, whose head makes room for the frame's; nil is a quick ack
	confirm uint32
	next    int32 // of the same stream, -1 is none
}

// parcel is the segments of one stream.
type parcel struct {
	stream      *Stream
	first, last int32
	close       bool
}

// add puts a segment behind the others of its stream.
func (b *batch) add(s *Stream, g segment) {
	at := int32(len(b.segments))
	g.next = -1
	b.segments = append(b.segments, g)
	p := b.parcel(s)
	if p.first < 0 {
		p.first = at
	} else {
		b.segments[p.last].next = at
	}
	p.last = at
}

// parcel returns the stream's parcel.
func (b *batch) parcel(s *Stream) *parcel {
	if s.parcel == 0 {
		b.parcels = append(b.parcels, parcel{stream: s, first: -1})
		s.parcel = uint32(len(b.parcels))
	}
	return &b.parcels[s.parcel-1]
}

// forget drops what a panic left behind: its bodies are gone.
func (b *batch) forget() {
	for i := range b.parcels {
		if s := b.parcels[i].stream; s != nil {
			s.parcel = 0
		}
	}
	clear(b.parcels)
	clear(b.segments)
	b.segments, b.parcels = b.segments[:0], b.parcels[:0]
}

// deliver empties the batch.
func (r *Router) deliver() {
	b := &r.batch
	for i := range b.parcels {
		p := &b.parcels[i]
		s := p.stream
		p.stream, s.parcel = nil, 0
		if p.first >= 0 && s.state == bound {
			s.deliver(p)
		}
		if p.close && s.state == bound {
			s.flags &^= sent // the middle proxy knows
			s.finish(codec.ReasonUpstreamClosed)
		}
	}
	clear(b.segments)
	b.segments, b.parcels = b.segments[:0], b.parcels[:0]
}

// deliver frames a parcel and gives it to the sink: in place when it is one packet, else put together.
func (s *Stream) deliver(p *parcel) {
	b := &s.router.batch
	if body := b.segments[p.first].body; p.first == p.last && body != nil {
		s.deliverOne(body)
		return
	}
	out := b.down[:0]
	for i := p.first; i >= 0 && s.state == bound; i = b.segments[i].next {
		g := &b.segments[i]
		size := max(len(g.body)-rpc.AnswerSize, 0) + frame.MaxHeader + frame.MaxServerPadding
		if len(out)+size > cap(out) {
			s.give(out)
			out = b.down[:0]
		}
		switch {
		case g.body == nil:
			out = frame.AppendQuickAck(out, s.transport, g.confirm)
		case size > cap(out):
			s.deliverOne(g.body)
		default:
			out = frame.Append(out, s.transport, g.body[rpc.AnswerSize:], s.padding())
		}
	}
	s.give(out)
}

// padding returns 0 to 3 random bytes for a packet of a padding client (spec client-protocols 2.2).
func (s *Stream) padding() []byte {
	if s.transport != codec.Padded {
		return nil
	}
	p := s.router.random.take(4)
	return p[:p[3]&frame.MaxServerPadding]
}

// deliverOne frames an answer where it is and delivers it. codec/full leaves room behind a body; who does not costs a
// copy, or for an answer that is too long for that a second Deliver.
func (s *Stream) deliverOne(body []byte) {
	pad := s.padding()
	length := len(body) - rpc.AnswerSize + len(pad)
	at := rpc.AnswerSize - frame.HeaderSize(s.transport, length)
	frame.AppendHeader(body[:at], s.transport, length, false)
	switch down := s.router.batch.down; {
	case cap(body)-len(body) >= len(pad):
		s.give(append(body, pad...)[at:])
	case len(body)+len(pad) <= cap(down):
		s.give(append(append(down[:0], body[at:]...), pad...))
	default:
		s.give(body[at:])
		s.give(pad)
	}
}

// give hands framed bytes to the sink, or queues them while it is paused.
func (s *Stream) give(p []byte) {
	for len(p) > 0 && s.sink != nil {
		if s.flags&paused != 0 || s.queue != nil {
			s.enqueue(p)
			return
		}
		n := min(len(p), deliverMost)
		s.sink.Deliver(p[:n])
		p = p[n:]
	}
}

// queue is what waits for one client: framed clear bytes.
type queue struct {
	chunks []*buf.Buffer
	at     int // bytes of the first chunk that are gone
	size   int
}

// enqueue appends p to the queue, or closes the client whose queue is over the hard limit already.
func (s *Stream) enqueue(p []byte) {
	r := s.router
	if s.state != bound {
		return
	}
	if s.queue == nil {
		s.queue = &queue{}
	}
	q := s.queue
	if q.size > r.opts.Hard {
		s.leave(codec.ReasonQueueLimit)
		return
	}
	q.size += len(p)
	for len(p) > 0 {
		if n := len(q.chunks); n > 0 {
			b := q.chunks[n-1]
			n := min(cap(b.B)-len(b.B), len(p))
			b.B = append(b.B, p[:n]...)
			p = p[n:]
		}
		if len(p) > 0 {
			b := buf.Chunk.Get()
			r.held += cap(b.B)
			q.chunks = append(q.chunks, b)
		}
	}
	if r.overBudget() {
		r.later()
	}
}

// resume delivers queues whose sinks take more, each up to deliverTurn in one turn of the loop.
func (r *Router) resume() {
	n := len(r.resumed)
	for i := range n {
		s := r.resumed[i]
		r.resumed[i] = nil
		s.unqueue()
		if s.queue != nil && s.flags&paused == 0 {
			r.resumed = append(r.resumed, s)
			r.later()
		}
	}
	r.resumed = r.resumed[:copy(r.resumed, r.resumed[n:])]
}

// unqueue delivers from the queue.
func (s *Stream) unqueue() {
	for left := deliverTurn; left > 0 && s.queue != nil && s.flags&paused == 0; {
		q := s.queue
		b := q.chunks[0]
		p := b.B[q.at:]
		p = p[:min(len(p), left)]
		left -= len(p)
		q.at += len(p)
		q.size -= len(p)
		s.sink.Deliver(p)
		if s.queue != q { // the sink closed the stream
			return
		}
		if q.at == len(b.B) {
			s.router.held -= cap(b.B)
			buf.Chunk.Put(b)
			q.chunks[0] = nil
			q.chunks = q.chunks[1:]
			q.at = 0
		}
		if q.size == 0 {
			s.router.drop(q)
			s.queue = nil
			if s.state == closing {
				s.leave(s.why)
			}
		}
	}
}

// drop gives a queue's memory back.
func (r *Router) drop(q *queue) {
	for i, b := range q.chunks {
		q.chunks[i] = nil
		r.held -= cap(b.B)
		buf.Chunk.Put(b)
	}
	q.chunks = nil
	r.lighter()
}
