package session

import (
	"bytes"
	"net/netip"
	"slices"
	"testing"

	"epoxy/codec"
	"epoxy/codec/faketls"
)

// visiting is a stranger at the front, who sent a wrong byte.
func visiting(t *testing.T, change func(*Port)) *rig {
	t.Helper()
	r := newFront(tlsOnly, change)
	r.feed([]byte("GET / HTTP/1.0\r\n\r\n"))
	wantState(t, r, Front)
	return r
}

// Row 1: silence has a time of its own where strangers are fronted, and only there.
func TestFirstByteTimes(t *testing.T) {
	for _, c := range []struct {
		name  string
		rig   *rig
		time  int64
		front bool
	}{
		{"default", newFront(allAllowed, nil), 15_000, true},
		{"set", newFront(tlsOnly, func(p *Port) { p.Timing.FrontSilence = 7_000 }), 7_000, true},
		{"no TLS here", newFront(bareOnly, nil), 60_000, false},
		{"no front", newRig(allAllowed), 60_000, false},
	} {
		c.rig.sock.Fire(c.rig.loop)
		if took := c.rig.loop.Clock - c.rig.born; took != c.time {
			t.Errorf("%s: %d ms", c.name, took)
		}
		if c.front {
			wantState(t, c.rig, Front)
			if len(c.rig.front.up) != 0 {
				t.Errorf("%s: the front got %q", c.name, c.rig.front.up)
			}
		} else if c.rig.sock.Closing != codec.ReasonFirstByteTime || c.rig.sock.Aborted {
			t.Errorf("%s: closing %v", c.name, c.rig.sock.Closing)
		}
	}
}

// A talk with the front ends after a silence of both, and after a while in any case.
func TestFrontTimes(t *testing.T) {
	for _, c := range []struct {
		change     func(*Port)
		idle, time int64
	}{
		{nil, 60_000, 600_000},
		{func(p *Port) { p.Timing.FrontIdle, p.Timing.FrontTime = 5_000, 33_000 }, 5_000, 33_000},
	} {
		r := visiting(t, c.change)
		start := r.loop.Clock
		r.loop.Clock += c.idle - 1
		r.feed([]byte("more"))
		r.sock.Fire(r.loop) // at the old time: too early
		if r.sock.Closing != codec.ReasonNone {
			t.Fatalf("closing %v in spite of bytes up", r.sock.Closing)
		}
		r.front.sink.Deliver([]byte("answer"))
		r.sock.Fire(r.loop)
		r.sock.Fire(r.loop)
		if took := r.loop.Clock - start; r.sock.Closing != codec.ReasonIdle || r.front.closed != codec.ReasonIdle || took != 2*c.idle {
			t.Fatalf("closing %v after %d ms", r.sock.Closing, took)
		}

		r = visiting(t, c.change)
		start = r.loop.Clock
		for r.sock.Closing == codec.ReasonNone {
			if r.loop.Clock+3000 < r.sock.TimerAt {
				r.loop.Clock += 3000
				r.front.sink.Deliver([]byte("drip"))
				continue
			}
			r.sock.Fire(r.loop)
			r.front.sink.Deliver([]byte("drip"))
		}
		if took := r.loop.Clock - start; r.sock.Closing != codec.ReasonFrontTime || r.front.closed != codec.ReasonFrontTime || took != c.time {
			t.Fatalf("closing %v after %d ms", r.sock.Closing, took)
		}
		if r.sock.Aborted {
			t.Fatal("the end is a reset")
		}
	}
}

// How the front ends is how the stranger's connection ends, and the other way round.
func TestFrontEnds(t *testing.T) {
	for _, c := range []struct {
		why   codec.Reason
		abort bool
	}{
		{codec.ReasonUpstreamReset, true}, {codec.ReasonDialRefused, true}, {codec.ReasonDialTime, true},
		{codec.ReasonDialError, true}, {codec.ReasonNoUpstream, true}, {codec.ReasonQueueLimit, true},
		{codec.ReasonUpstreamClosed, false}, {codec.ReasonWriteStall, false}, {codec.ReasonShutdown, false},
	} {
		r := visiting(t, nil)
		r.front.sink.Ended(c.why)
		if r.sock.Closing != c.why || r.sock.Aborted != c.abort {
			t.Errorf("%v: closing %v, aborted %v", c.why, r.sock.Closing, r.sock.Aborted)
		}
	}
	r := visiting(t, nil)
	r.sock.Finish(codec.ReasonPeerReset)
	if r.front.closed != codec.ReasonClientReset {
		t.Errorf("the stranger's reset reaches the front as %v", r.front.closed)
	}
	// Half-close, the front first: its visitor may go on.
	r = visiting(t, nil)
	r.front.sink.Deliver([]byte("bye"))
	r.front.sink.EndOfStream()
	if !r.sock.FIN || r.sock.Closing != codec.ReasonNone {
		t.Errorf("the front's FIN: FIN %v, closing %v", r.sock.FIN, r.sock.Closing)
	}
	r.feed([]byte("more"))
	r.s.EOF(r.sock)
	if !r.front.fin || !bytes.HasSuffix(r.front.up, []byte("more")) {
		t.Errorf("the visitor's last words: %q, FIN %v", r.front.up, r.front.fin)
	}
	if r.env.Count.BytesDown+r.env.Count.BytesUp != 0 {
		t.Error("a stranger's bytes are counted as a client's")
	}
}

// A front that is full closes the stranger; one that is not there, or not for this one, leaves it to silence.
func TestFrontRefuses(t *testing.T) {
	for _, why := range []codec.Reason{codec.ReasonDenied, codec.ReasonNoUpstream, codec.ReasonDialError} {
		r := newFront(tlsOnly, nil)
		r.front.refuse = why
		r.feed([]byte("GET / HTTP/1.0\r\n\r\n"))
		wantSilence(t, r, codec.ReasonNotTLS)
	}
	r := newFront(tlsOnly, nil)
	r.front.refuse = codec.ReasonLimit
	hello, _ := r.hello(t, codec.Key{9}, testTime)
	r.feed(hello[:900])
	r.feed(hello[900:])
	if r.sock.Closing != codec.ReasonLimit || r.sock.Aborted || r.s.part != nil || r.env.Count.Discarding != 0 {
		t.Errorf("a full front: closing %v, aborted %v", r.sock.Closing, r.sock.Aborted)
	}
	// FIN in a hello that the front does not want.
	r = newFront(tlsOnly, nil)
	r.front.refuse = codec.ReasonDenied
	r.feed(hello[:900])
	r.s.EOF(r.sock)
	if r.sock.Closing != codec.ReasonClientClosed || r.env.Count.Discarding != 0 {
		t.Errorf("a FIN that the front refuses: closing %v, %d discarding", r.sock.Closing, r.env.Count.Discarding)
	}
	// A port scanner that says nothing costs no dial.
	r = newFront(tlsOnly, nil)
	r.s.EOF(r.sock)
	if r.sock.Closing != codec.ReasonClientClosed || r.front.opened != 0 {
		t.Errorf("FIN without a byte: closing %v, %d dials", r.sock.Closing, r.front.opened)
	}
}

// The front hears what a whole hello asks for, whoever made it, and who asks.
func TestFrontRequest(t *testing.T) {
	wrong := codec.Key{9}
	cases := []struct {
		name string
		sni  string
		do   func(r *rig)
	}{
		{"wrong digest", "Example.ORG", func(r *rig) { r.feed(r.helloFor(t, "Example.ORG", wrong)) }},
		{"bytes behind", "example.org", func(r *rig) { r.feed(append(r.helloFor(t, "example.org", testKey), 1, 2)) }},
		{"replay", "example.org", func(r *rig) {
			hello := r.helloFor(t, "example.org", testKey)
			r.feed(hello)
			r.connect("192.0.2.1:4000")
			r.feed(hello)
		}},
		{"several records", "example.org", func(r *rig) {
			shares, _ := faketls.NewShares(r.loop.Rand)
			c := faketls.ClientHello{Domain: "example.org", Secret: wrong, Unix: testTime, Shares: shares, Records: slices.Repeat([]int{90}, 10)}
			hello, err := c.Append(nil, r.loop.Rand)
			if err != nil {
				t.Fatal(err)
			}
			r.feed(hello)
		}},
		{"none", "", func(r *rig) { r.feed(r.helloFor(t, "", wrong)) }},
		{"half a hello", "", func(r *rig) { r.feed(r.helloFor(t, "example.org", testKey)[:1000]); r.sock.Fire(r.loop) }},
		{"malformed", "", func(r *rig) { h := r.helloFor(t, "example.org", testKey); h[76] ^= 1; r.feed(h) }},
		{"no hello", "", func(r *rig) { r.feed([]byte("SSH-2.0-x\r\n")) }},
	}
	for _, c := range cases {
		r := newFront(tlsOnly, nil)
		r.sock.Own = netip.MustParseAddrPort("203.0.113.1:443")
		c.do(r)
		wantState(t, r, Front)
		if got := r.front.req.SNI; string(got) != c.sni || (got == nil) != (c.sni == "") {
			t.Errorf("%s: SNI %q, want %q", c.name, got, c.sni)
		}
		if r.front.req.Client != r.sock.Remote || r.front.req.Local != r.sock.Own {
			t.Errorf("%s: from %v to %v", c.name, r.front.req.Client, r.front.req.Local)
		}
	}
}

// Each stranger is told of once, with its untouched bytes, with a front and without.
func TestStrangersHook(t *testing.T) {
	for _, front := range []bool{true, false} {
		r := newRig(tlsOnly)
		if front {
			r = newFront(tlsOnly, nil)
		}
		var why []codec.Reason
		var got [][]byte
		r.env.Strangers = func(w codec.Reason, p []byte) { why, got = append(why, w), append(got, bytes.Clone(p)) }
		hello := r.helloFor(t, "example.org", codec.Key{9})
		r.feed(hello[:100])
		r.feed(hello[100:])
		r.feed([]byte("more"))
		r.connect("192.0.2.1:2")
		r.feed([]byte("SSH"))
		r.connect("192.0.2.1:3")
		r.sock.Fire(r.loop)
		r.connect("192.0.2.1:4")
		r.feed(hello[:10])
		r.s.EOF(r.sock)
		want := []codec.Reason{codec.ReasonHelloDigest, codec.ReasonNotTLS, codec.ReasonFirstByteTime, codec.ReasonClientClosed}
		if !slices.Equal(why, want) {
			t.Fatalf("front %v: told of %v, want %v", front, why, want)
		}
		for i, p := range [][]byte{hello, []byte("SSH"), nil, hello[:10]} {
			if !bytes.Equal(got[i], p) {
				t.Errorf("front %v: %v came with %d bytes, not %d", front, why[i], len(got[i]), len(p))
			}
		}
	}
}
