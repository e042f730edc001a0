package front

import (
	"testing"

	"epoxy/codec"
)

// Half-close works both ways, whoever is first and whether or not the connection stands.
func TestHalfClose(t *testing.T) {
	r, loop := fronts(site("192.0.2.1:443"), Options{})
	s, c := open(t, r)
	s.Send([]byte("last words"))
	s.CloseSend()
	s.Send([]byte("none after FIN"))
	if f := up(loop); string(f.Out) != "last words" || !f.FIN || f.Closing != codec.ReasonNone {
		t.Fatalf("FIN during the dial: %q, FIN %v, closing %v", f.Out, f.FIN, f.Closing)
	}
	f := last(loop)
	f.H.Data(f, []byte("bye"))
	f.H.EOF(f)
	f.Finish(codec.ReasonPeerClosed)
	if string(c.got) != "bye" || !c.eof || c.ends != 1 || c.ended != codec.ReasonUpstreamClosed || r.Count.Open != 0 {
		t.Fatalf("%+v, %d open", c, r.Count.Open)
	}

	s, c = open(t, r)
	f = up(loop)
	f.H.EOF(f)
	s.Send([]byte("still here"))
	if !c.eof || string(f.Out) != "still here" || f.FIN {
		t.Fatalf("after the front's FIN: %q, FIN %v", f.Out, f.FIN)
	}
	if s.CloseSend(); !f.FIN || c.ends != 0 {
		t.Fatalf("FIN %v, %d ends", f.FIN, c.ends)
	}
}

// Back-pressure reaches the socket, of whatever attempt.
func TestPause(t *testing.T) {
	r, loop := fronts(site("192.0.2.1:443"), Options{})
	s, _ := open(t, r)
	f := up(loop)
	if s.Pause(); !f.Paused {
		t.Fatal("not paused")
	}
	if s.Resume(); f.Paused {
		t.Fatal("not resumed")
	}
}

// A stranger's reset is a reset for the front; any other end lets what was sent go up. One who leaves during the dial
// takes the dial with it.
func TestClose(t *testing.T) {
	for why, reset := range map[codec.Reason]bool{
		codec.ReasonClientReset: true, codec.ReasonClientClosed: false, codec.ReasonFrontTime: false, codec.ReasonIdle: false,
	} {
		for _, early := range []bool{false, true} {
			r, loop := fronts(site("192.0.2.1:1", "192.0.2.2:2"), Options{})
			s, c := open(t, r)
			s.Send([]byte("words"))
			f := last(loop)
			if !early {
				up(loop)
			}
			s.Close(why)
			s.Close(codec.ReasonPanic)
			if f.Closing != why || f.Aborted != (reset || early) {
				t.Errorf("%v, early %v: closed by %v, aborted %v", why, early, f.Closing, f.Aborted)
			}
			f.H.Data(f, []byte("too late"))
			f.H.EOF(f)
			f.H.Drained(f)
			f.H.Opened(f)
			f.Finish(codec.ReasonNone)
			if c.ends != 0 || c.eof || len(c.got) != 0 || c.drained != min(1, f.Writes) || len(loop.Dialed) != 1 {
				t.Errorf("%v, early %v: the sink heard %+v", why, early, c)
			}
			if s.head != nil || r.Count.Open != 0 {
				t.Errorf("%v, early %v: a buffer is left, or %d open", why, early, r.Count.Open)
			}
		}
	}
}

// A front's reset, FIN and stall each reach the stranger as their own reason, and a dead stream does nothing.
func TestFrontEnds(t *testing.T) {
	for why, want := range map[codec.Reason]codec.Reason{
		codec.ReasonPeerReset: codec.ReasonUpstreamReset, codec.ReasonPeerClosed: codec.ReasonUpstreamClosed,
		codec.ReasonWriteStall: codec.ReasonWriteStall, codec.ReasonShutdown: codec.ReasonShutdown,
	} {
		r, loop := fronts(site("192.0.2.1:1", "192.0.2.2:2"), Options{})
		s, c := open(t, r)
		f := up(loop)
		f.Finish(why)
		if c.ends != 1 || c.ended != want || len(loop.Dialed) != 1 {
			t.Errorf("%v: ended %d times by %v, %d dials", why, c.ends, c.ended, len(loop.Dialed))
		}
		s.Send([]byte("x"))
		s.Pause()
		s.Resume()
		s.CloseSend()
		s.Close(codec.ReasonIdle)
		if s.Queued() != 0 || r.Count.Open != 0 || f.Writes != 0 || f.FIN || f.Closing != codec.ReasonNone {
			t.Errorf("%v: a dead stream queues %d, %d open, socket %+v", why, s.Queued(), r.Count.Open, f)
		}
	}
}
