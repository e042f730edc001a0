package session

import (
	"bytes"
	"fmt"
	"testing"

	"epoxy/codec"
	"epoxy/codec/faketls"
)

// ramped is relaying in TLS with the given sizing.
func ramped(t testing.TB, sizing Sizing, profile *faketls.Profile) *rig {
	t.Helper()
	r := newRig(tlsOnly)
	r.port.Records = sizing
	r.port.Use(&Sites{Default: profile})
	hello, _ := r.hello(t, testKey, testTime)
	r.feed(hello)
	r.sock.Take()
	r.feed(faketls.AppendRecords(nil, r.init(testKey, codec.Padded, 2), 2878))
	if r.s.State() != Relay {
		t.Fatalf("state %v", r.s.State())
	}
	return r
}

// sizes returns the payload lengths of whole records.
func sizes(p []byte) (n []int) {
	for len(p) > 0 {
		n = append(n, int(p[3])<<8|int(p[4]))
		p = p[5+n[len(n)-1]:]
	}
	return n
}

// A ramp is 40 small records, 20 middling ones, then full ones; it starts again after a second without a byte to the
// client, whatever the client says meanwhile. A Deliver is one write all the same (spec client-protocols 4.6).
func TestRamp(t *testing.T) {
	r := ramped(t, Ramp, &faketls.Profile{})
	total := 0
	deliver := func(n int) []int {
		t.Helper()
		writes, down := r.sock.Writes, bytes.Repeat([]byte{byte(n)}, n)
		r.tg.sink.Deliver(bytes.Clone(down))
		if r.sock.Writes != writes+1 {
			t.Fatalf("%d writes", r.sock.Writes-writes)
		}
		out := r.sock.Take()
		if got := r.opened(stripAll(t, bytes.Clone(out))); !bytes.Equal(got, down) {
			t.Fatalf("the client got other bytes than the %d sent", n)
		}
		total += n
		return sizes(out)
	}
	check := func(got []int, from int) {
		t.Helper()
		for i, n := range got {
			want := 16384
			switch at := from + i; {
			case at < 40:
				want = 1425
			case at < 60:
				want = 4096
			}
			if n > want || (n < want && i < len(got)-1) {
				t.Fatalf("record %d has %d bytes, want %d", from+i, n, want)
			}
		}
	}
	for round := range 3 {
		at := 0
		for _, n := range []int{1, 1425, 1426, 16384, 50_000, 256 << 10, 100} {
			r.loop.Clock += 999
			got := deliver(n)
			check(got, at)
			at += len(got)
			r.feed(faketls.AppendRecords(nil, r.seal([]byte("up")), 2878))
		}
		if round == 0 && at <= 60 {
			t.Fatalf("only %d records", at)
		}
		r.loop.Clock += 500
		r.feed(faketls.AppendRecords(nil, r.seal([]byte("up")), 2878))
		r.loop.Clock += 500 // a whole second down, half a second up
		got := deliver(256 << 10)
		check(got, 0)
		r.loop.Clock += 1000
	}
	wantCount(t, "bytes down", r.env.Count.BytesDown, uint64(total))
}

// Auto does what the site does that the client asked for.
func TestSizing(t *testing.T) {
	for _, c := range []struct {
		sizing Sizing
		site   bool
		first  int
	}{{Full, false, 16384}, {Full, true, 16384}, {Auto, false, 16384}, {Auto, true, 1425}, {Ramp, false, 1425}, {Ramp, true, 1425}} {
		r := ramped(t, c.sizing, &faketls.Profile{Ramp: c.site})
		r.tg.sink.Deliver(make([]byte, 20_000))
		if got := sizes(r.sock.Out)[0]; got != c.first {
			t.Errorf("sizing %d, the site ramps %v: a first record of %d bytes, want %d", c.sizing, c.site, got, c.first)
		}
	}
}

// A ramp costs no memory.
func TestRampAllocatesNothing(t *testing.T) {
	r := ramped(t, Ramp, &faketls.Profile{})
	r.sock.Out = make([]byte, 0, 1<<20)
	down := make([]byte, 100_000)
	if n := testing.AllocsPerRun(100, func() {
		r.loop.Clock += 1000
		r.sock.Out = r.sock.Out[:0]
		r.s.Deliver(down)
	}); n != 0 {
		t.Errorf("%.1f allocations", n)
	}
}

// BenchmarkDeliver is the session's cost of a read's worth of bytes for a fake-TLS client. A ramp that is over costs what
// full records cost.
func BenchmarkDeliver(b *testing.B) {
	for sizing, name := range []string{Full: "full", Ramp: "ramp"} {
		for _, size := range []int{16 << 10, 256 << 10} {
			b.Run(fmt.Sprint(name, "/", size), func(b *testing.B) {
				r := ramped(b, Sizing(sizing), &faketls.Profile{})
				down := make([]byte, size)
				r.s.Deliver(make([]byte, 256<<10)) // the ramp
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
					r.sock.Out = r.sock.Out[:0]
					r.s.Deliver(down)
				}
			})
		}
	}
}
