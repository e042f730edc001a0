package split

import (
	"epoxy/codec"
	"epoxy/codec/buf"
	"epoxy/codec/frame"
	wire "epoxy/codec/split"
)

var (
	errAnswer = codec.NewError(codec.ReasonAnswerSize, "split: a packet longer than there are")
	errParts  = codec.NewError(codec.ReasonMemory, "split: too many torn packets")
)

// frame acts on one frame of a back.
func (r *Router) frame(a *lane, f *wire.Frame, _ []byte) error {
	s := a.streams[f.Stream]
	switch f.Type {
	case wire.TypeData:
		if s == nil {
			return nil // of a stream that we closed
		}
		return r.data(s, f)
	case wire.TypeAck:
		confirm, err := wire.ParseWord(f.Payload)
		if err == nil && s != nil && s.flags&ofBytes == 0 {
			r.begin(s, wire.HeaderSize)
			r.down = frame.AppendQuickAck(r.down, s.ask.Transport, confirm)
			s.flags &^= pending
		}
		return err
	case wire.TypeBound:
		route, _, err := wire.ParseBound(f.Payload)
		if err == nil {
			r.Count.Routes[route]++
		}
		return err
	case wire.TypeCredit:
		n, err := wire.ParseWord(f.Payload)
		if err == nil && s != nil {
			if n > creditMost || s.credit > creditMost {
				return errCredit
			}
			s.credit += int(n)
			s.unwait()
		}
		return err
	case wire.TypeClose:
		why, err := wire.ParseWhy(f.Payload)
		if err == nil && s != nil {
			r.flush()
			r.Count.Closed++
			s.flags &^= told
			s.finish(why.Reason())
		}
		return err
	case wire.TypeOpen:
		return errType
	default: //exhaustive:ignore
	}
	return nil // of a later version
}

// data takes a fragment of a packet, or bytes.
func (r *Router) data(s *Stream, f *wire.Frame) error {
	if s.part == nil && s.window <= 0 {
		return errCredit
	}
	s.window -= len(f.Payload)
	s.flags &^= pending
	r.Count.BytesDown += uint64(len(f.Payload))
	if s.flags&ofBytes != 0 {
		r.begin(s, len(f.Payload))
		r.down = append(r.down, f.Payload...)
		r.paid += len(f.Payload)
		return nil
	}
	body := f.Payload
	if f.More() || s.part != nil {
		if err := s.lane.collect(&s.part, body, frame.MaxAnswer); err != nil || f.More() {
			return err
		}
		body = s.part.B
	}
	if len(body) == 0 || len(body)%4 != 0 {
		return errPacket
	}
	r.Count.PacketsDown++
	var pad []byte
	if s.ask.Transport == codec.Padded {
		pad = r.padding()
	}
	r.begin(s, len(body)+frame.MaxHeader+len(pad))
	r.down = frame.Append(r.down, s.ask.Transport, body, pad)
	r.paid += len(body)
	if s.part != nil {
		s.lane.release(&s.part)
	}
	return nil
}

// padding returns 0 to 3 random bytes (spec client-protocols 2.2).
func (r *Router) padding() []byte {
	if r.left < 4 {
		r.loop.Rand(r.page[:])
		r.left = len(r.page)
	}
	r.left -= 4
	p := r.page[r.left : r.left+4]
	return p[:p[3]&frame.MaxServerPadding]
}

// collect appends a fragment to a torn packet of at most most bytes.
func (a *lane) collect(part **buf.Buffer, p []byte, most int) error {
	if *part == nil {
		*part = buf.Partial.Get()
	}
	b := *part
	a.parts += len(p)
	b.B = append(b.B, p...)
	switch {
	case len(b.B) > most:
		return errAnswer
	case a.parts > partsMost:
		return errParts
	}
	return nil
}

// release drops a torn packet.
func (a *lane) release(part **buf.Buffer) {
	a.parts -= len((*part).B)
	buf.Partial.Put(*part)
	*part = nil
}

// begin makes room in down for n bytes of a stream.
func (r *Router) begin(s *Stream, n int) {
	if r.to != s || len(r.down)+n > deliverMost {
		r.flush()
		r.to = s
	}
}

// flush delivers what was put together for one stream.
func (r *Router) flush() {
	s, p, paid := r.to, r.down, r.paid
	r.to, r.paid = nil, 0
	if s != nil && s.state == bound && len(p) > 0 {
		s.give(p, paid)
	}
	if r.down = p[:0]; cap(r.down) > 2*deliverMost {
		r.down = make([]byte, 0, deliverMost)
	}
}

// give hands framed bytes to the sink, or queues them while it is paused. paid is what they were as Data.
func (s *Stream) give(p []byte, paid int) {
	for len(p) > 0 && s.flags&paused == 0 && s.queue == nil && s.sink != nil {
		n := min(len(p), deliverMost)
		s.sink.Deliver(p[:n])
		p = p[n:]
	}
	switch {
	case s.state != bound:
	case len(p) == 0:
		s.pay(paid)
	default:
		if s.queue == nil {
			s.queue, s.at = buf.Partial.Get(), 0
		}
		s.queue.B = append(s.queue.B, p...)
		s.unpaid += paid
		s.weigh(len(p))
	}
}

// pay lets the back send n more bytes, now or with the next.
func (s *Stream) pay(n int) {
	if s.owed += n; s.owed < payDown || s.state != bound {
		return
	}
	var room [wire.HeaderSize + 4]byte
	s.lane.link.out.urgent(wire.AppendCredit(room[:0], s.id, uint32(s.owed)))
	s.window += s.owed
	s.owed = 0
}

// resume delivers queues whose sinks take more, each up to deliverTurn in one turn of the loop.
func (r *Router) resume() {
	n := len(r.resumed)
	for i := range n {
		s := r.resumed[i]
		r.resumed[i] = nil
		s.lasting = false
		s.unqueue()
		if s.queue != nil && s.flags&paused == 0 {
			s.lasting = true
			r.resumed = append(r.resumed, s)
			r.task.Again()
		}
	}
	r.resumed = r.resumed[:copy(r.resumed, r.resumed[n:])]
}

// unqueue delivers from the queue.
func (s *Stream) unqueue() {
	b := s.queue
	if b == nil || s.flags&paused != 0 {
		return
	}
	p := b.B[s.at:]
	p = p[:min(len(p), deliverTurn)]
	s.at += len(p)
	s.sink.Deliver(p)
	if s.queue != b || s.at < len(b.B) { // the sink closed the stream, or there is more
		return
	}
	s.weigh(-len(b.B))
	buf.Partial.Put(b)
	s.queue = nil
	paid := s.unpaid
	s.unpaid = 0
	s.pay(paid)
	if s.state == closing {
		s.leave(s.why)
	}
}
