package session

import (
	"bytes"
	"testing"

	"epoxy/codec"
)

var (
	bareOnly = codec.ProtocolsOf(codec.Classic, codec.Secure)
	tlsOnly  = codec.ProtocolsOf(codec.TLS)
)

// wantSilence checks the treatment of a stranger on a port without a front (spec client-protocols 1.6): no byte,
// no close at the fault, reading goes on, and FIN at a random moment 30 to 120 s after
// accept.
func wantSilence(t *testing.T, r *rig, why codec.Reason) {
	t.Helper()
	wantState(t, r, Discard)
	wantCount(t, "strangers "+why.String(), r.env.Count.Strangers[why], 1)
	if len(r.sock.Out) != 0 {
		t.Fatalf("a stranger was told %d bytes", len(r.sock.Out))
	}
	if r.sock.Closing != codec.ReasonNone || r.sock.Paused {
		t.Fatalf("closing %v, paused %v at the fault itself", r.sock.Closing, r.sock.Paused)
	}
	if at := r.sock.TimerAt - r.born; at < 30_000 || at > 120_000 {
		t.Fatalf("the end comes %d ms after accept, not 30 to 120 s", at)
	}
	r.feed(bytes.Repeat([]byte{'x'}, 1000))
	if len(r.sock.Out) != 0 || r.sock.Closing != codec.ReasonNone {
		t.Fatal("more bytes brought an answer")
	}
	if !r.sock.Fire(r.loop) || r.sock.Closing != codec.ReasonDiscarded || r.sock.Aborted {
		t.Fatalf("ended by %v, aborted %v; want a FIN", r.sock.Closing, r.sock.Aborted)
	}
	r.sock.Finish(codec.ReasonPeerClosed)
	if r.env.Count.Discarding != 0 {
		t.Fatalf("%d strangers left", r.env.Count.Discarding)
	}
}

// The rows of the bad-input table (spec client-protocols 9) as a port without a front treats them.
func TestStrangers(t *testing.T) {
	other := codec.Key{0xff, 1}
	flip := func(p []byte, at int) []byte { p[at] ^= 1; return p }
	cases := []struct {
		name  string
		allow codec.Protocols
		why   codec.Reason
		bytes func(r *rig) []byte
	}{
		{"row 3 HTTP", bareOnly, codec.ReasonWrongSecret, func(*rig) []byte {
			return []byte("GET / HTTP/1.1\r\nHost: example.com\r\nUser-Agent: curl/8.0\r\nAccept: */*\r\n\r\n")
		}},
		{"row 4 random bytes", bareOnly, codec.ReasonWrongSecret, func(r *rig) []byte {
			p := make([]byte, 64)
			r.loop.Rand(p)
			p[0] = 1
			return p
		}},
		{"row 6 wrong secret", bareOnly, codec.ReasonWrongSecret, func(r *rig) []byte { return r.init(other, codec.Padded, 2) }},
		{"row 7 classic off", codec.ProtocolsOf(codec.Secure), codec.ReasonNotAllowed, func(r *rig) []byte {
			return r.init(testKey, codec.Abridged, 2)
		}},
		{"row 8 secure off", codec.ProtocolsOf(codec.Classic), codec.ReasonNotAllowed, func(r *rig) []byte {
			return r.init(testKey, codec.Padded, 2)
		}},
		{"row 8 tls only", tlsOnly, codec.ReasonNotTLS, func(r *rig) []byte { return r.init(testKey, codec.Padded, 2) }},
		{"row 16 hello without tls", bareOnly, codec.ReasonWrongSecret, func(r *rig) []byte {
			h, _ := r.hello(t, testKey, testTime)
			return h
		}},
		{"row 16 hello, wrong secret", tlsOnly, codec.ReasonHelloDigest, func(r *rig) []byte {
			h, _ := r.hello(t, other, testTime)
			return h
		}},
		{"row 17 an hour old", tlsOnly, codec.ReasonHelloTime, func(r *rig) []byte {
			h, _ := r.hello(t, testKey, testTime-3600)
			return h
		}},
		{"row 18 an hour ahead", tlsOnly, codec.ReasonHelloTime, func(r *rig) []byte {
			h, _ := r.hello(t, testKey, testTime+3600)
			return h
		}},
		{"row 29 bytes behind the hello", tlsOnly, codec.ReasonHelloTrailing, func(r *rig) []byte {
			h, _ := r.hello(t, testKey, testTime)
			return append(h, 0x17)
		}},
		{"row 31 version 0303, one bit off", tlsOnly, codec.ReasonHelloDigest, func(r *rig) []byte {
			h, _ := r.hello(t, testKey, testTime)
			h[2] = 3
			return flip(h, 20)
		}},
		{"row 32 malformed extensions", tlsOnly, codec.ReasonHelloShape, func(r *rig) []byte {
			h, _ := r.hello(t, testKey, testTime)
			return flip(h, 76) // length of the cipher suites
		}},
		{"row 25 hello of 60 bytes", tlsOnly, codec.ReasonHelloSize, func(*rig) []byte { return []byte{0x16, 3, 1, 0, 60, 1, 0, 0, 56} }},
		{"row 41 PROXY v2 header, feature off", bareOnly, codec.ReasonWrongSecret, func(*rig) []byte {
			return append([]byte("\r\n\r\n\x00\r\nQUIT\n"), bytes.Repeat([]byte{0x21}, 64)...)
		}},
		{"row 42 SSH banner", bareOnly, codec.ReasonWrongSecret, func(*rig) []byte {
			return []byte("SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3 with a banner that is long enough\r\n")
		}},
		{"row 42 SSH banner on a tls port", tlsOnly, codec.ReasonNotTLS, func(*rig) []byte { return []byte("SSH-2.0-x\r\n") }},
		{"row 42 TLS record 0300", tlsOnly, codec.ReasonNotTLS, func(*rig) []byte { return []byte{0x16, 3, 0, 1} }},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(c.allow)
			r.feed(c.bytes(r))
			wantSilence(t, r, c.why)
			if r.tg.opened != 0 {
				t.Fatal("a stranger got a stream")
			}
		})
		t.Run(c.name+", a byte at a time", func(t *testing.T) {
			r := newRig(c.allow)
			for _, b := range c.bytes(r) {
				if r.s.State() == Discard {
					break
				}
				r.feed([]byte{b})
			}
			if c.why == codec.ReasonHelloTrailing { // the answer had left by then
				wantState(t, r, Opening)
				return
			}
			wantSilence(t, r, c.why)
		})
	}
}

// A09 and rows 9, 19: an opening that comes twice is a replay, also on another connection. A hello with a
// shifted clock is one too (row 20, B12's codec part).
func TestReplays(t *testing.T) {
	r := newRig(bareOnly)
	wire := r.init(testKey, codec.Padded, 2)
	r.feed(wire)
	wantState(t, r, Relay)
	r.connect("192.0.2.9:1")
	r.feed(wire)
	wantSilence(t, r, codec.ReasonReplay)

	r = newRig(tlsOnly)
	hello, _ := r.hello(t, testKey, testTime)
	r.feed(hello)
	wantState(t, r, Opening)
	for _, shift := range []byte{0, 1, 64} {
		r.connect("192.0.2.9:1")
		again := bytes.Clone(hello)
		again[11+28] ^= shift
		r.env.Count.Strangers = [codec.Reasons]uint64{}
		r.feed(again)
		wantSilence(t, r, codec.ReasonReplay)
	}
}

// Rows 1, 2, 37, 44 and B08: times that no byte extends.
func TestHandshakeTimes(t *testing.T) {
	t.Run("row 1 no byte", func(t *testing.T) {
		r := newRig(bareOnly)
		start := r.loop.Clock
		r.sock.Fire(r.loop)
		if r.loop.Clock-start != 60_000 || r.sock.Closing != codec.ReasonFirstByteTime || r.sock.Aborted {
			t.Fatalf("after %d ms: %v", r.loop.Clock-start, r.sock.Closing)
		}
	})
	t.Run("row 2 eight bytes", func(t *testing.T) {
		r := newRig(bareOnly)
		r.feed([]byte("12345678"))
		start := r.loop.Clock
		r.sock.Fire(r.loop)
		if r.loop.Clock-start != 10_000 {
			t.Fatalf("after %d ms", r.loop.Clock-start)
		}
		wantSilence(t, r, codec.ReasonHandshakeTime)
	})
	t.Run("row 44 a byte a second", func(t *testing.T) {
		r := newRig(tlsOnly)
		hello, _ := r.hello(t, testKey, testTime)
		start := r.loop.Clock
		for i := 0; r.s.State() != Discard; i++ {
			r.feed(hello[i : i+1])
			if r.sock.TimerAt != start+10_000 {
				t.Fatalf("byte %d moved the end to %d", i, r.sock.TimerAt-start)
			}
			if r.loop.Clock += 1000; r.loop.Clock >= r.sock.TimerAt {
				r.sock.Fire(r.loop)
			}
		}
		wantSilence(t, r, codec.ReasonHandshakeTime)
	})
	t.Run("row 37 nothing after the flight", func(t *testing.T) {
		r := newRig(tlsOnly)
		hello, _ := r.hello(t, testKey, testTime)
		r.feed(hello)
		r.sock.Take()
		start := r.loop.Clock
		r.sock.Fire(r.loop)
		if r.loop.Clock-start != 30_000 || r.sock.Closing != codec.ReasonOpeningTime || len(r.sock.Out) != 0 {
			t.Fatalf("after %d ms: %v, %d bytes", r.loop.Clock-start, r.sock.Closing, len(r.sock.Out))
		}
	})
	t.Run("idle", func(t *testing.T) {
		r := newRig(bareOnly)
		r.feed(r.init(testKey, codec.Padded, 2))
		for r.sock.Closing == codec.ReasonNone {
			r.sock.Fire(r.loop)
		}
		if r.loop.Clock != 1000+1_200_000 || r.sock.Closing != codec.ReasonIdle || r.tg.closed != codec.ReasonIdle {
			t.Fatalf("at %d: %v, stream %v", r.loop.Clock, r.sock.Closing, r.tg.closed)
		}
	})
}

// Rows 5 and 30: a FIN before the opening is whole is answered by a FIN.
func TestFINInOpening(t *testing.T) {
	for _, n := range []int{1, 63} {
		r := newRig(bareOnly)
		r.feed(bytes.Repeat([]byte{9}, n))
		r.s.EOF(r.sock)
		if r.sock.Closing != codec.ReasonClientClosed || r.sock.Aborted || len(r.sock.Out) != 0 {
			t.Fatalf("%d bytes and FIN: %v", n, r.sock.Closing)
		}
	}
}

// A stranger is read up to 1 MiB, then no further.
func TestDiscardIsBounded(t *testing.T) {
	r := newRig(bareOnly)
	p := make([]byte, 64<<10)
	for range 16 {
		if r.sock.Paused {
			t.Fatal("reading stopped before 1 MiB")
		}
		r.feed(p)
	}
	if !r.sock.Paused || r.sock.Closing != codec.ReasonNone {
		t.Fatalf("after 1 MiB: paused %v, closing %v", r.sock.Paused, r.sock.Closing)
	}
}

// Rows 33 to 40 and B28: what may come after the flight.
func TestAfterTheFlight(t *testing.T) {
	record := func(kind, minor byte, body []byte) []byte {
		return append([]byte{kind, 3, minor, byte(len(body) >> 8), byte(len(body))}, body...)
	}
	cases := []struct {
		name  string
		state State
		why   codec.Reason
		bytes func(r *rig) []byte
	}{
		{"row 33 no CCS", Relay, 0, func(r *rig) []byte { return record(0x17, 3, r.init(testKey, codec.Padded, 2)) }},
		{"row 34 wrong tag", Closed, codec.ReasonBadTag, func(*rig) []byte { return record(0x17, 3, make([]byte, 64)) }},
		{"row 35 short record", Opening, 0, func(*rig) []byte { return record(0x17, 3, make([]byte, 63)) }},
		{"row 36 alert", Closed, codec.ReasonTLSAlert, func(*rig) []byte { return record(0x15, 3, []byte{2, 40}) }},
		{"row 38 version 0301", Closed, codec.ReasonTLSRecord, func(*rig) []byte { return record(0x17, 1, make([]byte, 64)) }},
		{"row 39 an empty record", Relay, 0, func(r *rig) []byte {
			return append(record(0x17, 3, nil), record(0x17, 3, r.init(testKey, codec.Padded, 2))...)
		}},
		{"row 39 16 empty records", Closed, codec.ReasonTLSEmpty, func(*rig) []byte {
			return bytes.Repeat(record(0x17, 3, nil), 16)
		}},
		{"row 40 a record of 40000 bytes", Relay, 0, func(r *rig) []byte {
			return record(0x17, 3, append(r.init(testKey, codec.Padded, 2), make([]byte, 40_000)...))
		}},
		{"B28 abridged inside TLS", Closed, codec.ReasonPlainInTLS, func(r *rig) []byte {
			return record(0x17, 3, r.init(testKey, codec.Abridged, 2))
		}},
		{"B28 intermediate inside TLS", Closed, codec.ReasonPlainInTLS, func(r *rig) []byte {
			return record(0x17, 3, r.init(testKey, codec.Intermediate, 2))
		}},
		{"a bare init without records", Closed, codec.ReasonTLSRecord, func(r *rig) []byte { return r.init(testKey, codec.Padded, 2) }},
	}
	for _, c := range cases {
		for _, whole := range []bool{true, false} {
			r := newRig(allAllowed)
			hello, _ := r.hello(t, testKey, testTime)
			r.feed(hello)
			r.sock.Take()
			p := c.bytes(r)
			if whole {
				r.feed(p)
			} else {
				for i := range p {
					r.feed(p[i : i+1])
				}
			}
			if r.s.State() != c.state || r.sock.Closing != c.why || len(r.sock.Out) != 0 {
				t.Errorf("%s, whole %v: %v, closing %v, %d bytes sent; want %v, %v, none", c.name, whole,
					r.s.State(), r.sock.Closing, len(r.sock.Out), c.state, c.why)
			}
		}
	}
}

// Rows 10, B13, B15: whatever DC is asked for, the request goes on; the Router knows what to do with it.
func TestAnyDC(t *testing.T) {
	for _, dc := range []codec.DC{0, 99, -32768, 203, -203, 10002, 5, -5} {
		r := newRig(bareOnly)
		r.feed(r.init(testKey, codec.Padded, dc))
		if r.s.State() != Relay || r.tg.req.DC != dc {
			t.Errorf("DC %d: %v, asked for %d", dc, r.s.State(), r.tg.req.DC)
		}
	}
}

// The front's seam: with a Router for strangers, every failure gives it the untouched bytes and carries both ways.
func TestFrontGetsUntouchedBytes(t *testing.T) {
	r := newRig(tlsOnly)
	front := &stream{}
	r.env.Front = front
	hello, _ := r.hello(t, codec.Key{9}, testTime)
	for i := 0; i < len(hello); i += 100 {
		r.feed(hello[i:min(i+100, len(hello))])
	}
	wantState(t, r, Front)
	if !bytes.Equal(front.up, hello) {
		t.Fatalf("the front got %d bytes that differ from the %d sent", len(front.up), len(hello))
	}
	r.feed([]byte("more"))
	front.sink.Deliver([]byte("a certificate"))
	if string(r.sock.Out) != "a certificate" || string(front.up[len(hello):]) != "more" {
		t.Fatal("the splice changed bytes")
	}
	r.s.EOF(r.sock)
	if !front.fin {
		t.Fatal("the stranger's FIN did not reach the front")
	}
	front.sink.EndOfStream()
	if r.sock.Closing != codec.ReasonClientClosed {
		t.Fatalf("closing %v after both FINs", r.sock.Closing)
	}
}
