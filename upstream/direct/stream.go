package direct

import (
	"epoxy/codec"
	"epoxy/codec/buf"
	"epoxy/codec/obfs2"
	"epoxy/upstream"
)

// Stream is one client's connection to its datacenter: the client's upstream.Stream and the Handler of the
// datacenter's socket.
//
//	dialling (one address after another) > connected > ended
type Stream struct {
	up, down obfs2.Stream
	socket   upstream.Socket
	sink     upstream.Sink // nil once ended
	router   *Router
	dc       *entry
	head     *buf.Buffer // opening frame and early bytes until the first write; then nil
	tried    uint64      // bit i: dc.addrs[i] was dialled
	deadline int64       // loop time when dialling gives up
	current  int32       // number of the address being dialled or used
	state    state
	paused   bool
	fin      bool // the client sent FIN before the connection stood
}

type state uint8

const (
	dialling state = iota
	connected
	ended
)

// dial tries the next address; the reason is ReasonNone when an attempt is under way.
func (s *Stream) dial() codec.Reason {
	r := s.router
	last := codec.ReasonNoUpstream
	for {
		left := s.deadline - r.loop.Now()
		a := s.pick()
		if a < 0 || left <= 0 {
			return last
		}
		if s.current >= 0 {
			r.Count.Retries++
		}
		s.current = a
		to := upstream.Target{Addr: s.dc.book.addrs[a], Timeout: min(dialTime, left), Opts: r.opts}
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

// fail notes that the current address did not answer.
func (s *Stream) fail(why codec.Reason) {
	r := s.router
	r.Count.Failed[why]++
	if why != codec.ReasonShutdown {
		s.dc.book.bad[s.current] = r.loop.Now() + badTime
	}
}

// Opened says that the datacenter is there.
func (s *Stream) Opened(upstream.Socket) {
	s.state = connected
	s.dc.book.bad[s.current] = 0
	s.router.Count.Connected++
	s.router.Count.Lost = 0
	if s.head.Len() > obfs2.InitSize || s.fin {
		s.flush()
	}
}

// flush writes what waited for the connection, the opening frame first.
func (s *Stream) flush() {
	s.router.Count.BytesUp += uint64(s.head.Len())
	s.socket.Write(s.head.B)
	buf.Partial.Put(s.head)
	s.head = nil
	if s.fin {
		s.socket.CloseWrite()
	}
	s.sink.SendDrained()
}

// Send carries p up.
func (s *Stream) Send(p []byte) {
	if s.state == ended || s.fin || len(p) == 0 {
		return
	}
	s.up.XOR(p, p)
	if s.head == nil {
		s.router.Count.BytesUp += uint64(len(p))
		s.socket.Write(p)
		return
	}
	_, _ = s.head.Write(p)
	if s.state == connected {
		s.flushFirst()
	}
}

// flushFirst writes the opening frame with the first bytes. It is called from inside Send, so the sink hears nothing.
func (s *Stream) flushFirst() {
	s.router.Count.BytesUp += uint64(s.head.Len())
	s.socket.Write(s.head.B)
	buf.Partial.Put(s.head)
	s.head = nil
}

// Queued returns how many bytes wait to go up.
func (s *Stream) Queued() int {
	switch {
	case s.state == ended:
		return 0
	case s.head != nil:
		return s.head.Len()
	}
	return s.socket.Queued()
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

// CloseSend says that the client will send no more.
func (s *Stream) CloseSend() {
	if s.state == ended || s.fin {
		return
	}
	s.fin = true
	if s.state != connected {
		return
	}
	if s.head != nil { // never spoke: there is nothing to say to the datacenter but goodbye
		s.flushFirst()
	}
	s.socket.CloseWrite()
}

// Compact drops the live ciphers.
func (s *Stream) Compact() {
	s.up.Compact()
	s.down.Compact()
}

// Close ends the stream: what was sent goes up, an attempt under way is given up.
func (s *Stream) Close(why codec.Reason) {
	if s.state == ended {
		return
	}
	was := s.state
	s.end()
	if was == connected {
		s.socket.Close(why)
	} else {
		s.socket.Abort(why)
	}
}

// end gives everything back but the socket.
func (s *Stream) end() {
	s.state = ended
	s.sink = nil
	if s.head != nil {
		buf.Partial.Put(s.head)
		s.head = nil
	}
	s.up.Wipe()
	s.down.Wipe()
	s.dc.count.Open--
	s.router.Count.Open--
}

// Data brings bytes from the datacenter.
func (s *Stream) Data(_ upstream.Socket, p []byte) {
	if s.state == ended {
		return
	}
	s.down.XOR(p, p)
	s.router.Count.BytesDown += uint64(len(p))
	s.sink.Deliver(p)
}

// Drained lets the client go on.
func (s *Stream) Drained(upstream.Socket) {
	if s.state != ended {
		s.sink.SendDrained()
	}
}

// EOF says that the datacenter sent its last byte.
func (s *Stream) EOF(upstream.Socket) {
	if s.state != ended {
		s.sink.EndOfStream()
	}
}

// Timer is not used.
func (s *Stream) Timer(upstream.Socket) {}

// Again is not used.
func (s *Stream) Again(upstream.Socket) {}

// Closed is the last word of one socket: a failed attempt is followed by the next address, anything else ends
// the stream.
func (s *Stream) Closed(_ upstream.Socket, why codec.Reason) {
	switch why { // what the socket calls its peer is Telegram
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
		s.fail(why)
		if why == codec.ReasonShutdown || why == codec.ReasonPanic {
			break
		}
		switch next := s.dial(); next {
		case codec.ReasonNone:
			return
		case codec.ReasonNoUpstream: // none left: the last failure says more
		default: //exhaustive:ignore
			why = next
		}
		s.dc.count.Failed++
		s.router.Count.Lost++
	case connected:
	}
	sink := s.sink
	s.end()
	sink.Ended(why)
}
