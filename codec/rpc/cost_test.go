package rpc

import (
	"bytes"
	"net/netip"
	"testing"

	"epoxy/codec"
)

func testPrefix() Prefix {
	p := NewPrefix(&Common{Transport: codec.Padded, Proxy: netip.MustParseAddrPort("192.0.2.5:443"), Tag: &Tag{1}})
	client := AddressOf(netip.MustParseAddrPort("198.51.100.20:33333"))
	p.Bind(1, &client)
	return p
}

func TestAllocations(t *testing.T) {
	room, packet := make([]byte, 0, 1024), bytes.Repeat([]byte{1}, 200)
	prefix, client := testPrefix(), AddressOf(netip.MustParseAddrPort("[2001:db8::1]:5"))
	if n := testing.AllocsPerRun(100, func() {
		prefix.Bind(5, &client)
		q, err := ParseRequest(prefix.Append(room, packet, true))
		if _, ok := q.Tag(); err != nil || !ok || q.Client.AddrPort().Port() != 5 {
			t.Fatal(err)
		}
		for _, body := range [...][]byte{
			AppendAnswer(room, 0, 1, packet), AppendSimpleAck(room[300:300], 1, 2), AppendPing(room[320:320], 3), {1, 2, 3, 4}, {1},
		} {
			_, _ = Parse(body)
		}
		_, _ = ParseNonce(testNonce.Append(room))
		_, _ = ParseHandshake(testHandshake.Append(room))
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzParse: whatever a middle proxy sends is read without a panic, and what is known is written back as it came.
func FuzzParse(f *testing.F) {
	v := load(f)
	for _, m := range v.RPC {
		f.Add([]byte(m.Body))
	}
	for _, s := range v.Session {
		for _, p := range append(s.Up, s.Down...) {
			f.Add([]byte(p.Body))
		}
	}
	for n := range 3 {
		f.Add(extended(n))
	}
	e := HandshakeError{Code: RefusedPeer}
	f.Add(e.Append(nil))
	f.Fuzz(func(t *testing.T, body []byte) {
		m, err := Parse(body)
		if back := appendMessage(&m); err == nil && m.Kind != Unknown && m.Kind != Request && !bytes.Equal(back, body) {
			t.Fatalf("%x reads as %+v and writes as %x", body, m, back)
		}
		if n, err := ParseNonce(body); err == nil && !bytes.Equal(n.Append(nil), body[:32]) {
			t.Fatalf("%x reads as %+v", body, n)
		}
		if h, err := ParseHandshake(body); err == nil && !bytes.Equal(h.Append(nil), body) {
			t.Fatalf("%x reads as %+v", body, h)
		}
		if e, ok := ParseHandshakeError(body); ok && !bytes.Equal(e.Append(nil), body) {
			t.Fatalf("%x reads as %+v", body, e)
		}
	})
}

// FuzzRequest: whatever a proxy sends is read without a panic, and no byte of it is lost.
func FuzzRequest(f *testing.F) {
	for _, r := range load(f).Request {
		f.Add([]byte(r.Body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		q, err := ParseRequest(body)
		if err != nil {
			return
		}
		size := requestSize + len(q.Extra) + len(q.Packet)
		if q.Flags&flagsExtra != 0 {
			size += wordSize
		}
		if size != len(body) || !bytes.HasSuffix(body, q.Packet) {
			t.Fatalf("%x reads as %+v", body, q)
		}
		q.Tag()
		Acceptable(q.Packet, false)
		for _, a := range []*Address{&q.Client, &q.Proxy} {
			if back := AddressOf(a.AddrPort()); !bytes.Equal(back[:18], a[:18]) {
				t.Fatalf("%x reads as %v", *a, a.AddrPort())
			}
		}
	})
}

func BenchmarkAppendRequest(b *testing.B) {
	prefix, client := testPrefix(), Address{1, 2, 3}
	packet, room := bytes.Repeat([]byte{1}, 200), make([]byte, 0, 1024)
	b.ReportAllocs()
	for b.Loop() {
		prefix.Bind(7, &client)
		room = prefix.Append(room[:0], packet, false)
	}
}

func BenchmarkParse(b *testing.B) {
	body := AppendAnswer(nil, 0, 7, make([]byte, 200))
	b.ReportAllocs()
	for b.Loop() {
		if m, err := Parse(body); err != nil || m.Kind != Answer {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseRequest(b *testing.B) {
	prefix := testPrefix()
	body := prefix.Append(nil, make([]byte, 200), false)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseRequest(body); err != nil {
			b.Fatal(err)
		}
	}
}
