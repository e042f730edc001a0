// Package upstreamtest is a loop and its sockets in memory, for tests of what lives on a loop.
//
// Time stands still until the test moves it, the kernel takes what the test says, and handlers are called only
// by the test: so a test sees each step of a state machine.
package upstreamtest

import (
	"math/rand/v2"
	"net/netip"

	"epoxy/codec"
	"epoxy/upstream"
)

// Loop is an upstream.Loop whose clock and dials belong to the test.
type Loop struct {
	Clock  int64     // what Now returns
	Wall   int64     // what Unix returns
	Dialed []*Socket // in order; To says where to
	Tasks  []*Socket // in order
	Refuse codec.Reason

	scratch []byte
	random  *rand.ChaCha8
}

// NewLoop returns a loop at clock 1000 and the given wall clock, with repeatable randomness.
func NewLoop(unix int64) *Loop {
	return &Loop{Clock: 1000, Wall: unix, scratch: make([]byte, upstream.ScratchSize), random: rand.NewChaCha8([32]byte{1})}
}

// Now returns Clock.
func (l *Loop) Now() int64 { return l.Clock }

// Unix returns Wall.
func (l *Loop) Unix() int64 { return l.Wall }

// Scratch returns the one buffer.
func (l *Loop) Scratch() []byte { return l.scratch }

// Rand fills p from a fixed seed.
func (l *Loop) Rand(p []byte) { _, _ = l.random.Read(p) }

// Dial records the attempt, or fails it with Refuse.
func (l *Loop) Dial(to upstream.Target, h upstream.Handler) (upstream.Socket, codec.Reason) {
	if l.Refuse != codec.ReasonNone {
		return nil, l.Refuse
	}
	s := &Socket{H: h, To: to}
	l.Dialed = append(l.Dialed, s)
	return s, codec.ReasonNone
}

// Task records the task.
func (l *Loop) Task(h upstream.Handler) upstream.Socket {
	s := &Socket{H: h}
	l.Tasks = append(l.Tasks, s)
	return s
}

// Socket is an upstream.Socket that remembers what was asked of it.
type Socket struct {
	H       upstream.Handler
	To      upstream.Target // of a dialled socket
	Remote  netip.AddrPort
	Own     netip.AddrPort // what Local returns
	Out     []byte         // everything written
	Writes  int            // calls of Write
	Stuck   int            // what Queued returns
	Paused  bool
	FIN     bool         // CloseWrite was called
	Closing codec.Reason // what Close or Abort was given
	Aborted bool
	TimerAt int64
	WantsGo bool // Again was called
	Segment int  // what MSS returns
	dead    bool
}

// Write keeps p.
func (s *Socket) Write(p []byte) {
	if s.Closing == codec.ReasonNone && !s.FIN {
		s.Out = append(s.Out, p...)
		s.Writes++
	}
}

// Queued returns Stuck.
func (s *Socket) Queued() int { return s.Stuck }

// Pause notes it.
func (s *Socket) Pause() { s.Paused = true }

// Resume notes it.
func (s *Socket) Resume() { s.Paused = false }

// CloseWrite notes it.
func (s *Socket) CloseWrite() { s.FIN = true }

// Close notes the first reason.
func (s *Socket) Close(why codec.Reason) {
	if s.Closing == codec.ReasonNone {
		s.Closing = why
	}
}

// Abort notes it.
func (s *Socket) Abort(why codec.Reason) {
	s.Close(why)
	s.Aborted = true
}

// SetTimer notes the time.
func (s *Socket) SetTimer(at int64) { s.TimerAt = at }

// Again notes it.
func (s *Socket) Again() { s.WantsGo = true }

// SetHandler replaces H.
func (s *Socket) SetHandler(h upstream.Handler) { s.H = h }

// Local returns Own.
func (s *Socket) Local() netip.AddrPort { return s.Own }

// Peer returns Remote.
func (s *Socket) Peer() netip.AddrPort { return s.Remote }

// MSS returns Segment.
func (s *Socket) MSS() int { return s.Segment }

// Take returns what was written since the last Take.
func (s *Socket) Take() []byte {
	p := s.Out
	s.Out = nil
	return p
}

// Fire moves the loop's clock to the timer and calls it; false when none is set.
func (s *Socket) Fire(l *Loop) bool {
	if s.TimerAt == 0 {
		return false
	}
	l.Clock = max(l.Clock, s.TimerAt)
	s.TimerAt = 0
	s.H.Timer(s)
	return true
}

// Dead reports whether Finish was called.
func (s *Socket) Dead() bool { return s.dead }

// Finish calls the handler's Closed, once, with what Close was given or else why.
func (s *Socket) Finish(why codec.Reason) {
	if s.dead {
		return
	}
	s.dead = true
	if s.Closing != codec.ReasonNone {
		why = s.Closing
	}
	s.H.Closed(s, why)
}

// Turn calls Again when it was asked for; false when it was not.
func (s *Socket) Turn() bool {
	if !s.WantsGo {
		return false
	}
	s.WantsGo = false
	s.H.Again(s)
	return true
}
