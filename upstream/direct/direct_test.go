package direct

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"
	"unsafe"

	"epoxy/codec"
	"epoxy/codec/obfs2"
	"epoxy/upstream"
	"epoxy/upstream/upstreamtest"
)

// client is a Sink that remembers.
type client struct {
	got     []byte
	drained int
	eof     bool
	ended   codec.Reason
	ends    int
}

func (c *client) Deliver(p []byte)       { c.got = append(c.got, p...) }
func (c *client) SendDrained()           { c.drained++ }
func (c *client) EndOfStream()           { c.eof = true }
func (c *client) Ended(why codec.Reason) { c.ended = why; c.ends++ }

func addrs(list ...string) []netip.AddrPort {
	var out []netip.AddrPort
	for _, a := range list {
		out = append(out, netip.MustParseAddrPort(a))
	}
	return out
}

func open(t *testing.T, r *Router, dc codec.DC) (upstream.Stream, *client) {
	t.Helper()
	c := &client{}
	s, why := r.Open(upstream.Request{DC: dc, Transport: codec.Padded}, c)
	if why != codec.ReasonNone {
		t.Fatalf("open: %v", why)
	}
	return s, c
}

func testRouter(over map[int][]netip.AddrPort) (*Router, *upstreamtest.Loop) {
	loop := upstreamtest.NewLoop(1_795_000_000)
	return NewRouter(loop, NewTable(over, PreferV4, DefaultDC), nil), loop
}

func TestSize(t *testing.T) {
	if n := unsafe.Sizeof(Stream{}); n > 224 {
		t.Fatalf("a stream takes %d bytes, more than 224", n)
	}
}

// B13 B15: every DC id leads somewhere, as spec upstream-protocols 5.1 says.
func TestFind(t *testing.T) {
	over := map[int][]netip.AddrPort{10002: addrs("127.0.0.1:2"), -4: addrs("127.0.0.1:4")}
	table := NewTable(over, PreferV4, DefaultDC)
	for _, c := range []struct {
		dc    codec.DC
		id    int
		known bool
	}{
		{1, 1, true}, {5, 5, true}, {-1, 1, true}, {-5, 5, true}, {-4, -4, true}, {4, 4, true},
		{203, 203, true}, {-203, 203, true}, {10002, 10002, true}, {-10002, 10002, true},
		{0, 2, false}, {6, 2, false}, {99, 2, false}, {10001, 2, false}, {-32768, 2, false}, {201, 2, false},
	} {
		id, known := table.Find(c.dc)
		if id != c.id || known != c.known || len(table.byID[id]) == 0 {
			t.Errorf("DC %d: entry %d, known %v, %d addresses; want %d, %v", c.dc, id, known, len(table.byID[id]), c.id, c.known)
		}
	}
}

func TestFamilies(t *testing.T) {
	over := map[int][]netip.AddrPort{2: addrs("[2001:db8::1]:443", "192.0.2.1:443", "192.0.2.2:443")}
	for family, want := range map[Family][]string{
		PreferV4: {"192.0.2.1:443", "192.0.2.2:443", "[2001:db8::1]:443"},
		PreferV6: {"[2001:db8::1]:443", "192.0.2.1:443", "192.0.2.2:443"},
		OnlyV4:   {"192.0.2.1:443", "192.0.2.2:443"},
		OnlyV6:   {"[2001:db8::1]:443"},
	} {
		table := NewTable(over, family, DefaultDC)
		var got []string
		for _, a := range table.byID[2] {
			got = append(got, table.addrs[a].String())
		}
		if !slices.Equal(got, want) {
			t.Errorf("family %d: %v, want %v", family, got, want)
		}
	}
}

// The opening frame leaves in one write with the client's first bytes, is a good one without a secret, carries
// the client's tag and DC, and both ciphers fit it.
func TestOpeningFrame(t *testing.T) {
	for _, early := range []bool{true, false} {
		r, loop := testRouter(nil)
		s, c := open(t, r, -2)
		dc := loop.Dialed[0]
		if dc.To.Addr.String() != "149.154.167.51:443" || dc.To.Timeout != dialTime {
			t.Fatalf("dialled %v for %d ms", dc.To.Addr, dc.To.Timeout)
		}
		if early {
			s.Send([]byte("first "))
			s.Send([]byte("bytes"))
			dc.H.Opened(dc)
		} else {
			dc.H.Opened(dc)
			if len(dc.Out) != 0 {
				t.Fatal("the frame left before the client spoke")
			}
			s.Send([]byte("first bytes"))
		}
		if dc.Writes != 1 {
			t.Fatalf("%d writes for frame and first bytes", dc.Writes)
		}
		wire := dc.Take()
		tag, id, ok := obfs2.Match(wire[:64], nil)
		if !ok || tag != codec.Padded || id != -2 {
			t.Fatalf("the frame says %v, DC %d, %v", tag, id, ok)
		}
		if obfs2.Forbidden(wire[:64]) {
			t.Fatalf("the frame starts with % x", wire[:8])
		}
		in, out := obfs2.Accept(wire[:64], nil)
		got := bytes.Clone(wire[64:])
		in.XOR(got, got)
		if string(got) != "first bytes" {
			t.Fatalf("the datacenter reads %q", got)
		}
		answer := []byte("an answer")
		out.XOR(answer, answer)
		dc.H.Data(dc, answer)
		if string(c.got) != "an answer" {
			t.Fatalf("the client reads %q", c.got)
		}
	}
}

// Refused and hanging addresses are passed over for the next one and rested for 30 s; the opening frame stays the same.
func TestRetry(t *testing.T) {
	r, loop := testRouter(map[int][]netip.AddrPort{2: addrs("192.0.2.1:1", "192.0.2.2:2", "192.0.2.3:3")})
	s, c := open(t, r, 2)
	s.Send([]byte("kept"))
	loop.Dialed[0].Finish(codec.ReasonDialRefused)
	loop.Dialed[1].Finish(codec.ReasonDialTime)
	if len(loop.Dialed) != 3 || c.ends != 0 {
		t.Fatalf("%d dials, %d ends", len(loop.Dialed), c.ends)
	}
	third := loop.Dialed[2]
	third.H.Opened(third)
	in, _ := obfs2.Accept(third.Out[:64], nil)
	got := bytes.Clone(third.Out[64:])
	if in.XOR(got, got); string(got) != "kept" {
		t.Fatalf("after two failures the datacenter reads %q", got)
	}
	open(t, r, 2)
	if to := loop.Dialed[3].To.Addr.String(); to != "192.0.2.3:3" {
		t.Fatalf("the next client tries %s first", to)
	}
	loop.Clock += badTime
	open(t, r, 2)
	if to := loop.Dialed[4].To.Addr.String(); to != "192.0.2.1:1" {
		t.Fatalf("after the rest the next client tries %s first", to)
	}
	if n := r.Count.Failed[codec.ReasonDialRefused]; n != 1 || r.Count.Retries != 2 {
		t.Fatalf("counted %d refused, %d retries", n, r.Count.Retries)
	}
}

// When every address fails, each is tried once, even a resting one, and the client hears the last reason.
func TestAllDown(t *testing.T) {
	r, loop := testRouter(map[int][]netip.AddrPort{2: addrs("192.0.2.1:1", "192.0.2.2:2")})
	for round := range 2 {
		_, c := open(t, r, 2)
		loop.Dialed[2*round].Finish(codec.ReasonDialTime)
		loop.Dialed[2*round+1].Finish(codec.ReasonDialRefused)
		if len(loop.Dialed) != 2*round+2 || c.ends != 1 || c.ended != codec.ReasonDialRefused {
			t.Fatalf("round %d: %d dials, ended %d times by %v", round, len(loop.Dialed), c.ends, c.ended)
		}
	}
	if r.Count.Open != 0 || r.Count.ByDC[2].Open != 0 || r.Count.ByDC[2].Failed != 2 {
		t.Fatalf("counted %+v, %+v", r.Count, r.Count.ByDC[2])
	}
}

// All addresses together get ten seconds.
func TestTotalTime(t *testing.T) {
	r, loop := testRouter(map[int][]netip.AddrPort{2: addrs("192.0.2.1:1", "192.0.2.2:2", "192.0.2.3:3")})
	_, c := open(t, r, 2)
	loop.Clock += 5000
	loop.Dialed[0].Finish(codec.ReasonDialTime)
	loop.Clock += 4000
	loop.Dialed[1].Finish(codec.ReasonDialTime)
	if to := loop.Dialed[2].To.Timeout; to != 1000 {
		t.Fatalf("the third address gets %d ms of the last 1000", to)
	}
	loop.Clock += 1000
	loop.Dialed[2].Finish(codec.ReasonDialTime)
	if c.ends != 1 {
		t.Fatal("the client was not told")
	}
}

// A dial that fails on the spot (no route, no descriptor) is retried too, and Open itself says no at the end.
func TestImmediateFailure(t *testing.T) {
	r, loop := testRouter(nil)
	loop.Refuse = codec.ReasonDialError
	c := &client{}
	if _, why := r.Open(upstream.Request{DC: 2, Transport: codec.Padded}, c); why != codec.ReasonDialError {
		t.Fatalf("open: %v", why)
	}
	if c.ends != 0 || r.Count.Open != 0 {
		t.Fatalf("the sink heard %d ends, %d open", c.ends, r.Count.Open)
	}
}

// A client that leaves during the dial takes the dial with it; one that leaves later lets its bytes go up.
func TestClientLeaves(t *testing.T) {
	r, loop := testRouter(nil)
	s, c := open(t, r, 2)
	s.Send([]byte("unsent"))
	s.Close(codec.ReasonClientReset)
	if !loop.Dialed[0].Aborted {
		t.Fatal("the dial goes on without a client")
	}
	loop.Dialed[0].Finish(codec.ReasonClientReset)
	if c.ends != 0 || len(loop.Dialed) != 1 || r.Count.Open != 0 {
		t.Fatalf("after the close: %d ends, %d dials, %d open", c.ends, len(loop.Dialed), r.Count.Open)
	}

	s, c = open(t, r, 2)
	dc := loop.Dialed[1]
	s.Send([]byte("last words"))
	s.CloseSend()
	dc.H.Opened(dc)
	if len(dc.Out) != 64+10 || !dc.FIN || dc.Closing != codec.ReasonNone {
		t.Fatalf("FIN during the dial: %d bytes, FIN %v, closing %v", len(dc.Out), dc.FIN, dc.Closing)
	}
	dc.H.EOF(dc)
	if !c.eof {
		t.Fatal("the datacenter's FIN did not come through")
	}
}

// A reset, a FIN and a stall of the datacenter each reach the client as their own reason.
func TestDatacenterEnds(t *testing.T) {
	for why, want := range map[codec.Reason]codec.Reason{
		codec.ReasonPeerReset: codec.ReasonUpstreamReset, codec.ReasonPeerClosed: codec.ReasonUpstreamClosed,
		codec.ReasonWriteStall: codec.ReasonWriteStall, codec.ReasonShutdown: codec.ReasonShutdown,
	} {
		r, loop := testRouter(nil)
		s, c := open(t, r, 2)
		dc := loop.Dialed[0]
		dc.H.Opened(dc)
		s.Send([]byte("x"))
		dc.Finish(why)
		if c.ends != 1 || c.ended != want {
			t.Errorf("%v: ended %d times by %v, want %v", why, c.ends, c.ended, want)
		}
		s.Send([]byte("y"))
		s.Pause()
		s.Close(codec.ReasonIdle)
		if s.Queued() != 0 || r.Count.Open != 0 {
			t.Errorf("%v: a dead stream queues %d, %d open", why, s.Queued(), r.Count.Open)
		}
	}
}

// Queued bounds what a client may send before the datacenter answers, and the flush tells the sink.
func TestQueuedWhileDialling(t *testing.T) {
	r, loop := testRouter(nil)
	s, c := open(t, r, 2)
	s.Send(make([]byte, 70_000))
	if s.Queued() < 70_000 {
		t.Fatalf("%d queued", s.Queued())
	}
	dc := loop.Dialed[0]
	dc.H.Opened(dc)
	if c.drained != 1 || s.Queued() != 0 {
		t.Fatalf("after the flush: drained %d times, %d queued", c.drained, s.Queued())
	}
}

// Compaction keeps both ciphers in step.
func TestCompact(t *testing.T) {
	r, loop := testRouter(nil)
	s, c := open(t, r, 2)
	dc := loop.Dialed[0]
	dc.H.Opened(dc)
	s.Send([]byte("start"))
	in, out := obfs2.Accept(dc.Out[:64], nil)
	got := bytes.Clone(dc.Take()[64:])
	in.XOR(got, got)
	for i := range 100 {
		s.Compact()
		msg := binary.LittleEndian.AppendUint32(make([]byte, i), uint32(i))
		s.Send(bytes.Clone(msg))
		got := dc.Take()
		if in.XOR(got, got); !bytes.Equal(got, msg) {
			t.Fatalf("up, round %d", i)
		}
		s.Compact()
		p := bytes.Clone(msg)
		out.XOR(p, p)
		c.got = nil
		if dc.H.Data(dc, p); !bytes.Equal(c.got, msg) {
			t.Fatalf("down, round %d", i)
		}
	}
}
