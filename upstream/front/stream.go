package front

import (
	"math/bits"

	"epoxy/codec"
	"epoxy/codec/buf"
	"epoxy/upstream"
)

// Stream is one stranger's connection to the front: the stranger's upstream.Stream and the Handler of the front's
// socket. What it carries it neither looks at nor changes.
//
//	dialling (one address after another) > connected > ended
type Stream struct {
	router   *Router
	target   *Target
	sink     upstream.Sink // nil once ended
	socket   upstream.Socket
	head     *buf.Buffer // PROXY header and early bytes until the connection stands; nil when there are none
	tried    uint64      // bit i: address i of the target was dialled
	deadline int64       // loop time when dialling gives up
	current  int32       // number of the address being dialled or used
	state    state
	paused   bool
	fin      bool // the stranger sent FIN
}

var (
	_ upstream.Stream  = (*Stream)(nil)
	_ upstream.Handler = (*Stream)(nil)
)

type state uint8

const (
	dialling state = iota
	connected
	ended
)

// dial tries the next address; the reason is ReasonNone when an attempt is under way. The time left is shared by the
// addresses left, so that one that hangs does not take it all.
func (s *Stream) dial() codec.Reason {
	r := s.router
	last := codec.ReasonNoUpstream
	for {
		left := s.deadline - r.loop.Now()
		untried := s.target.size() - bits.OnesCount64(s.tried)
		if untried == 0 || left <= 0 {
			return last
		}
		s.pick()
		to := upstream.Target{
			Addr: s.target.addr(int(s.current)), Path: s.target.Path,
			Timeout: min(left, max(left/int64(untried), dialLeast)), Opts: r.o.Dial,
		}
		socket, why := r.loop.Dial(to, s)
		if why == codec.ReasonNone {
			s.socket = socket
			if s.paused {
				socket.Pause()
			}
			return codec.ReasonNone
		}
		s.fail(why)
		last = why
	}
}

// pick makes the next address to try the current one; there is one. Those that failed lately come last, the longest
// ago first.
func (s *Stream) pick() {
	now, best, since := s.router.loop.Now(), -1, int64(0)
	for i := range s.target.size() {
		if s.tried&(1<<i) != 0 {
			continue
		}
		until := s.router.bad[s.target.addr(i)]
		if until <= now {
			best = i
			break
		}
		if best < 0 || until < since {
			best, since = i, until
		}
	}
	s.tried |= 1 << best
	s.current = int32(best)
}

// fail notes that the current address did not answer.
func (s *Stream) fail(why codec.Reason) {
	r := s.router
	r.Count.Failed[why]++
	if why != codec.ReasonShutdown {
		r.bad[s.target.addr(int(s.current))] = r.loop.Now() + badTime
	}
}

// Opened says that the front is there: what waited leaves in one write.
func (s *Stream) Opened(upstream.Socket) {
	if s.state != dialling {
		return
	}
	s.state = connected
	delete(s.router.bad, s.target.addr(int(s.current)))
	if s.head != nil {
		s.router.Count.BytesUp += uint64(s.head.Len())
		s.socket.Write(s.head.B)
		s.release()
	}
	if s.fin {
		s.socket.CloseWrite()
	}
	if s.socket.Queued() == 0 { // else Drained follows
		s.sink.SendDrained()
	}
}

// Send carries p up as it is. More than a session may ever have waiting ends the stream.
func (s *Stream) Send(p []byte) {
	if s.state == ended || s.fin || len(p) == 0 {
		return
	}
	if s.state == connected {
		s.router.Count.BytesUp += uint64(len(p))
		s.socket.Write(p)
		return
	}
	if s.head == nil {
		s.head = buf.Partial.Get()
	}
	if s.head.Len()+len(p) > maxEarly {
		s.socket.Abort(codec.ReasonQueueLimit)
		return
	}
	_, _ = s.head.Write(p)
}

// Queued returns how many bytes wait to go up.
func (s *Stream) Queued() int {
	switch {
	case s.state == connected:
		return s.socket.Queued()
	case s.head != nil:
		return s.head.Len()
	}
	return 0
}

// Pause stops Deliver.
func (s *Stream) Pause() {
	s.paused = true
	if s.state != ended {
		s.socket.Pause()
	}
}

// Resume undoes Pause.
func (s *Stream) Resume() {
	s.paused = false
	if s.state != ended {
		s.socket.Resume()
	}
}

// CloseSend says that the stranger sent FIN; the front gets it behind the last byte, and its answer still comes down.
func (s *Stream) CloseSend() {
	if s.state == ended || s.fin {
		return
	}
	s.fin = true
	if s.state == connected {
		s.socket.CloseWrite()
	}
}

// Compact has nothing to drop.
func (s *Stream) Compact() {}

// Close ends the stream. A stranger's reset becomes a reset for the front; in any other case what was sent goes up
// first. An attempt under way is given up.
func (s *Stream) Close(why codec.Reason) {
	if s.state == ended {
		return
	}
	orderly := s.state == connected && why != codec.ReasonClientReset
	s.end()
	if orderly {
		s.socket.Close(why)
	} else {
		s.socket.Abort(why)
	}
}

// end gives everything back but the socket.
func (s *Stream) end() {
	s.state = ended
	s.sink = nil
	s.release()
	s.router.Count.Open--
}

// release gives the buffer back.
func (s *Stream) release() {
	if s.head != nil {
		buf.Partial.Put(s.head)
		s.head = nil
	}
}

// Data brings bytes from the front.
func (s *Stream) Data(_ upstream.Socket, p []byte) {
	if s.state != ended {
		s.router.Count.BytesDown += uint64(len(p))
		s.sink.Deliver(p)
	}
}

// Drained lets the stranger go on.
func (s *Stream) Drained(upstream.Socket) {
	if s.state != ended {
		s.sink.SendDrained()
	}
}

// EOF says that the front sent its last byte.
func (s *Stream) EOF(upstream.Socket) {
	if s.state != ended {
		s.sink.EndOfStream()
	}
}

// Timer is not used.
func (s *Stream) Timer(upstream.Socket) {}

// Again is not used.
func (s *Stream) Again(upstream.Socket) {}

// Closed is the last word of one socket: a failed attempt is followed by the next address, anything else ends the
// stream.
func (s *Stream) Closed(_ upstream.Socket, why codec.Reason) {
	switch why { // what the socket calls its peer is the front
	case codec.ReasonPeerReset:
		why = codec.ReasonUpstreamReset
	case codec.ReasonPeerClosed:
		why = codec.ReasonUpstreamClosed
	default: //exhaustive:ignore
	}
	switch s.state {
	case ended:
		return
	case dialling:
		if why = s.next(why); why == codec.ReasonNone {
			return
		}
	case connected:
	}
	sink := s.sink
	s.end()
	sink.Ended(why)
}

// next goes on after an attempt that failed; the reason is not ReasonNone when there is nothing left to try.
func (s *Stream) next(why codec.Reason) codec.Reason {
	switch why {
	case codec.ReasonQueueLimit: // our own end, not the address's fault
		return why
	case codec.ReasonShutdown, codec.ReasonPanic:
		s.fail(why)
		return why
	default: //exhaustive:ignore
	}
	s.fail(why)
	if more := s.dial(); more != codec.ReasonNoUpstream {
		return more
	}
	return why // none left: the last failure says more
}
