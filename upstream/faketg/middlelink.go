package faketg

import (
	"encoding/binary"

	"epoxy/codec"
	"epoxy/upstream"
)

// link is one connection of a MiddleServer. Its loop owns it.
type link struct {
	a       *MiddleAcceptor
	loop    Loop
	sock    upstream.Socket
	faults  *MiddleFaults
	m       Middle
	forward *forwarder // nil without

	drip   []byte // what Trickle still has to send
	next   int64  // when
	life   int64  // when the link ends; 0 is never
	paused bool
	ended  bool // the proxy sent FIN
}

func (l *link) Opened(upstream.Socket) {}

// Data feeds the Middle and sends its answer.
func (l *link) Data(s upstream.Socket, p []byte) {
	out, err := l.m.Feed(p, l.loop.Scratch()[:0])
	l.send(s, out)
	if err != nil {
		s.Close(codec.ReasonOf(err, codec.ReasonMessage))
		return
	}
	l.pump(s)
	if !l.paused && l.queued(s) > maxQueued {
		l.paused = true
		s.Pause()
	}
}

// EOF closes when everything that was asked for is sent.
func (l *link) EOF(s upstream.Socket) {
	l.ended = true
	l.pump(s)
}

// Drained goes on with what waits.
func (l *link) Drained(s upstream.Socket) {
	l.resume(s)
	if l.forward != nil {
		l.forward.resume()
	}
	l.pump(s)
}

func (l *link) resume(s upstream.Socket) {
	if l.paused && l.m.End() != EndDeaf {
		l.paused = false
		s.Resume()
	}
}

// Again goes on with the sources.
func (l *link) Again(s upstream.Socket) { l.pump(s) }

// Timer sends the next byte of a trickle, and ends the link's life.
func (l *link) Timer(s upstream.Socket) {
	now := l.loop.Now()
	if l.life != 0 && now >= l.life {
		l.life = 0
		switch {
		case !l.m.Opened():
			s.Abort(codec.ReasonDiscarded)
		case l.faults.Then != FaultNone:
			l.strike(l.faults.Then)
		default:
			l.strike(FaultFIN)
		}
	}
	if len(l.drip) > 0 && now >= l.next {
		l.write(s, l.drip[:1])
		l.drip = l.drip[1:]
		l.next = now + l.faults.Trickle.Milliseconds()
		l.pump(s)
	}
	l.wake(s)
}

// wake sets the timer to what is due first.
func (l *link) wake(s upstream.Socket) {
	at := l.life
	if len(l.drip) > 0 && (at == 0 || l.next < at) {
		at = l.next
	}
	s.SetTimer(at)
}

// limit gives the link the end of its life.
func (l *link) limit() {
	low, high := l.faults.LifeMin.Milliseconds(), l.faults.LifeMax.Milliseconds()
	var random [8]byte
	l.loop.Rand(random[:])
	l.life = l.loop.Now() + low + int64(binary.LittleEndian.Uint64(random[:])>>1)%max(high-low+1, 1)
	l.wake(l.sock)
}

// Closed forgets the link.
func (l *link) Closed(upstream.Socket, codec.Reason) {
	l.m.drop()
	l.a.remove(l)
}

func (l *link) queued(s upstream.Socket) int { return s.Queued() + len(l.drip) }

// live reports whether a fault has something to do.
func (l *link) live() bool { return l.m.Opened() && l.m.End() == EndNone }

// strike does a fault.
func (l *link) strike(f Fault) {
	l.send(l.sock, l.m.Do(l.loop.Scratch()[:0], f))
	l.pump(l.sock)
}

// pump sends parts of sources while the socket takes them, at most four in one turn, and then ends the link if it
// is to end.
func (l *link) pump(s upstream.Socket) {
	for turn := 0; l.m.Left(); turn++ {
		if l.queued(s) > 0 {
			return
		}
		if turn == 4 {
			s.Again()
			return
		}
		l.send(s, l.m.Pull(l.loop.Scratch()[:0], pullSize))
	}
	if len(l.drip) > 0 {
		return
	}
	switch l.m.End() {
	case EndNone, EndSilence:
		if l.ended {
			s.Close(codec.ReasonPeerClosed)
		}
	case EndDeaf:
		l.paused = true
		s.Pause()
	case EndFIN:
		s.Close(codec.ReasonDiscarded)
	case EndReset:
		s.Abort(codec.ReasonDiscarded)
	}
}

func (l *link) send(s upstream.Socket, p []byte) {
	switch {
	case len(p) == 0:
	case l.faults.Trickle > 0:
		if len(l.drip) == 0 {
			l.next = l.loop.Now() + l.faults.Trickle.Milliseconds()
		}
		l.drip = append(l.drip, p...)
		l.wake(s)
	default:
		l.write(s, p)
	}
}

func (l *link) write(s upstream.Socket, p []byte) {
	s.Write(p)
	l.a.seen.Sent += uint64(len(p))
}
