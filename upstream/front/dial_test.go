package front

import (
	"testing"

	"epoxy/codec"
	"epoxy/codec/faketls"
	"epoxy/upstream"
)

// B18: refused and hanging addresses are passed over for the next one and rested; what the stranger sent is kept.
func TestRetry(t *testing.T) {
	r, loop := fronts(site("192.0.2.1:1", "192.0.2.2:2", "192.0.2.3:3"), Options{})
	s, c := open(t, r)
	s.Send([]byte("kept"))
	s.Pause()
	loop.Dialed[0].Finish(codec.ReasonDialRefused)
	loop.Dialed[1].Finish(codec.ReasonDialTime)
	if len(loop.Dialed) != 3 || c.ends != 0 || !last(loop).Paused {
		t.Fatalf("%d dials, %d ends, paused %v", len(loop.Dialed), c.ends, last(loop).Paused)
	}
	if got := string(up(loop).Take()); got != "kept" {
		t.Fatalf("after two failures the front reads %q", got)
	}
	next := func(want string) {
		t.Helper()
		open(t, r)
		if to := last(loop).To.Addr.String(); to != want {
			t.Fatalf("the next stranger tries %s first, want %s", to, want)
		}
	}
	next("192.0.2.3:3")
	loop.Clock += badTime
	next("192.0.2.1:1")
	if n := &r.Count; n.Failed[codec.ReasonDialRefused] != 1 || n.Failed[codec.ReasonDialTime] != 1 {
		t.Fatalf("counted %v", n.Failed)
	}
}

// What is known about addresses dies with the targets; a stream that lives keeps its own target.
func TestUse(t *testing.T) {
	r, loop := fronts(site("192.0.2.1:1", "192.0.2.2:2"), Options{})
	open(t, r)
	last(loop).Finish(codec.ReasonDialRefused)
	first := last(loop)
	if first.To.Addr.String() != "192.0.2.2:2" {
		t.Fatalf("the second try goes to %v", first.To.Addr)
	}
	r.Use(&Targets{Default: site("192.0.2.1:1", "192.0.2.9:9")})
	open(t, r)
	if to := last(loop).To.Addr.String(); to != "192.0.2.1:1" {
		t.Fatalf("with new targets the first try goes to %s", to)
	}
	r.Use(nil)
	if _, why := r.Open(upstream.Request{}, &stranger{}); why != codec.ReasonNoUpstream {
		t.Fatalf("without targets: %v", why)
	}
	first.H.Opened(first)
	if r.Count.Open != 2 {
		t.Fatalf("%d open", r.Count.Open)
	}
}

// An address that answers again rests no more.
func TestRecovers(t *testing.T) {
	r, loop := fronts(site("192.0.2.1:1"), Options{})
	open(t, r)
	last(loop).Finish(codec.ReasonDialRefused)
	if len(r.bad) != 1 {
		t.Fatalf("%d addresses rest", len(r.bad))
	}
	open(t, r)
	if up(loop); len(r.bad) != 0 {
		t.Fatalf("%d addresses rest", len(r.bad))
	}
}

// B18: when every address fails each is tried once, even a resting one, and the stranger hears the last reason.
func TestAllDown(t *testing.T) {
	r, loop := fronts(site("192.0.2.1:1", "192.0.2.2:2"), Options{})
	for round := range 2 {
		s, c := open(t, r)
		s.Send([]byte("lost"))
		loop.Dialed[2*round].Finish(codec.ReasonDialTime)
		loop.Dialed[2*round+1].Finish(codec.ReasonDialRefused)
		if len(loop.Dialed) != 2*round+2 || c.ends != 1 || c.ended != codec.ReasonDialRefused {
			t.Fatalf("round %d: %d dials, ended %d times by %v", round, len(loop.Dialed), c.ends, c.ended)
		}
		if s.head != nil || r.Count.Open != 0 {
			t.Fatalf("round %d: a buffer is left, or %d open", round, r.Count.Open)
		}
	}
}

// B18: all addresses together get the timeout, each its share, and a quick failure leaves its share to the others.
func TestTotalTime(t *testing.T) {
	r, loop := fronts(site("192.0.2.1:1", "192.0.2.2:2", "192.0.2.3:3", "192.0.2.4:4"), Options{Timeout: 4800})
	_, c := open(t, r)
	for _, step := range []struct{ timeout, took int64 }{{1200, 0}, {1600, 1600}, {1600, 2500}, {700, 700}} {
		f := last(loop)
		if f.To.Timeout != step.timeout {
			t.Fatalf("%v gets %d ms, want %d", f.To.Addr, f.To.Timeout, step.timeout)
		}
		loop.Clock += step.took
		f.Finish(codec.ReasonDialTime)
	}
	if c.ends != 1 || len(loop.Dialed) != 4 {
		t.Fatalf("%d ends after %d dials", c.ends, len(loop.Dialed))
	}

	_, c = open(t, r)
	loop.Clock += 4800
	last(loop).Finish(codec.ReasonDialTime)
	if c.ends != 1 || len(loop.Dialed) != 5 {
		t.Fatalf("with no time left: %d ends after %d dials", c.ends, len(loop.Dialed))
	}
}

// Many addresses do no harm: those that count are tried once, each with time enough to answer.
func TestManyAddresses(t *testing.T) {
	many := &Target{}
	for range 100 {
		many.Addrs = append(many.Addrs, site("192.0.2.1:1").Addrs...)
	}
	r, loop := fronts(many, Options{})
	_, c := open(t, r)
	for c.ends == 0 {
		if last(loop).To.Timeout < 1000 {
			t.Fatalf("%d ms to connect", last(loop).To.Timeout)
		}
		last(loop).Finish(codec.ReasonDialRefused)
	}
	if len(loop.Dialed) != maxAddrs {
		t.Fatalf("%d dials", len(loop.Dialed))
	}
}

// A dial that fails on the spot (no route, no descriptor) is retried too, and Open itself says no at the end.
func TestImmediateFailure(t *testing.T) {
	r, loop := fronts(site("192.0.2.1:1", "192.0.2.2:2"), Options{})
	loop.Refuse = codec.ReasonDialError
	c := &stranger{}
	if _, why := r.Open(upstream.Request{}, c); why != codec.ReasonDialError {
		t.Fatalf("open: %v", why)
	}
	if n := &r.Count; c.ends != 0 || n.Open != 0 || n.Failed[codec.ReasonDialError] != 2 {
		t.Fatalf("the sink heard %d ends, counted %+v", c.ends, n)
	}

	loop.Refuse = codec.ReasonNone
	_, c = open(t, r)
	loop.Refuse = codec.ReasonDialError
	last(loop).Finish(codec.ReasonDialRefused)
	if c.ends != 1 || c.ended != codec.ReasonDialError {
		t.Fatalf("ended %d times by %v", c.ends, c.ended)
	}
}

// The end of the loop is not an address's fault and not a cause to dial.
func TestShutdown(t *testing.T) {
	r, loop := fronts(site("192.0.2.1:1", "192.0.2.2:2"), Options{})
	_, c := open(t, r)
	last(loop).Finish(codec.ReasonShutdown)
	if c.ends != 1 || c.ended != codec.ReasonShutdown || len(loop.Dialed) != 1 || len(r.bad) != 0 {
		t.Fatalf("ended %d times by %v, %d dials, %d rest", c.ends, c.ended, len(loop.Dialed), len(r.bad))
	}
}

// What waits for a slow front is bounded, beyond what a session that keeps its soft limit ever sends (A17: a hello in
// any number of pieces fits).
func TestBound(t *testing.T) {
	const soft, read = 64 << 10, 256 << 10
	if faketls.MaxHelloWire > soft {
		t.Fatal("a hello is longer than the soft limit")
	}
	r, loop := fronts(site("192.0.2.1:1", "192.0.2.2:2"), Options{})
	s, c := open(t, r)
	s.Send(make([]byte, soft))
	s.Send(make([]byte, read))
	if last(loop).Aborted || s.Queued() != soft+read {
		t.Fatalf("aborted %v with %d queued", last(loop).Aborted, s.Queued())
	}
	s.Send(make([]byte, read))
	if f := last(loop); !f.Aborted || s.Queued() > maxEarly {
		t.Fatalf("aborted %v with %d queued", f.Aborted, s.Queued())
	}
	last(loop).Finish(codec.ReasonNone)
	if c.ends != 1 || c.ended != codec.ReasonQueueLimit || len(loop.Dialed) != 1 || len(r.bad) != 0 {
		t.Fatalf("ended %d times by %v, %d dials, %d rest", c.ends, c.ended, len(loop.Dialed), len(r.bad))
	}
}

// A full kernel keeps the sink waiting until the queue is down.
func TestDrained(t *testing.T) {
	r, loop := fronts(site("192.0.2.1:1"), Options{})
	s, c := open(t, r)
	s.Send(make([]byte, 70_000))
	f := last(loop)
	f.Stuck = 30_000
	if up(loop); c.drained != 0 || s.Queued() != 30_000 {
		t.Fatalf("drained %d times with %d queued", c.drained, s.Queued())
	}
	f.Stuck = 0
	if f.H.Drained(f); c.drained != 1 || s.Queued() != 0 {
		t.Fatalf("drained %d times with %d queued", c.drained, s.Queued())
	}
}
