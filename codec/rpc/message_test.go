package rpc

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"

	"pgregory.net/rapid"

	"epoxy/codec"
)

// The prefix loop: frames are whole, so a shorter body is an error, or an answer with less data.
func TestShortMessages(t *testing.T) {
	for _, whole := range [][]byte{
		AppendAnswer(nil, 0, 7, []byte("abcd")), AppendSimpleAck(nil, 7, 1), AppendCloseExt(nil, 7), AppendCloseConn(nil, 7),
		AppendPing(nil, 7), AppendPong(nil, 7),
	} {
		want, err := Parse(whole)
		if err != nil || want.ID != 7 {
			t.Fatalf("%x: %+v, %v", whole, want, err)
		}
		for cut := range whole {
			m, err := Parse(whole[:cut])
			if want.Kind == Answer && cut >= AnswerSize {
				if err != nil || m.ID != 7 || !bytes.Equal(m.Data, whole[AnswerSize:cut]) {
					t.Errorf("%d bytes of an answer: %+v, %v", cut, m, err)
				}
				continue
			}
			if codec.ReasonOf(err, 0) != codec.ReasonMessage || m.ID != 0 || (m.Kind == want.Kind) != (cut >= 4) {
				t.Errorf("%d bytes of %v: %+v, %v", cut, want.Kind, m, err)
			}
		}
		if _, err := Parse(append(whole, 0, 0, 0, 0)); (err == nil) != (want.Kind == Answer) {
			t.Errorf("%v with a word more: %v", want.Kind, err)
		}
	}
}

func TestUnknownMessages(t *testing.T) {
	for _, word := range []uint32{0, 1, wordNonce, wordHandshake, 0xdeadbeef} {
		for _, rest := range []int{0, 4, 100} {
			m, err := Parse(append(binary.LittleEndian.AppendUint32(nil, word), make([]byte, rest)...))
			if err != nil || m.Kind != Unknown || m.Word != word || m.Data != nil {
				t.Errorf("%08x: %+v, %v", word, m, err)
			}
		}
	}
	seen := map[string]bool{}
	for k := range Pong + 1 {
		seen[k.String()] = true
	}
	if len(seen) != int(Pong)+1 || Kind(99).String() != "unknown" {
		t.Errorf("labels: %v", seen)
	}
}

func TestRequestFaults(t *testing.T) {
	common := Common{Transport: codec.Padded, Proxy: netip.MustParseAddrPort("192.0.2.5:443"), Tag: &Tag{1, 2, 3}}
	prefix := NewPrefix(&common)
	whole := prefix.Append(nil, make([]byte, 40), false)
	for cut := range MaxRequest { // the prefix loop
		if q, err := ParseRequest(whole[:cut]); codec.ReasonOf(err, 0) != codec.ReasonMessage || q.Packet != nil {
			t.Errorf("%d bytes: %+v, %v", cut, q, err)
		}
	}
	change := func(at int, v uint32) []byte {
		p := bytes.Clone(whole)
		binary.LittleEndian.PutUint32(p[at:], v)
		return p
	}
	for name, body := range map[string][]byte{
		"another word":    change(0, wordAnswer),
		"odd extra":       change(requestSize, 23),
		"long extra":      change(requestSize, 68),
		"very long extra": change(requestSize, 1<<32-4),
	} {
		if _, err := ParseRequest(body); codec.ReasonOf(err, 0) != codec.ReasonMessage {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, body := range map[string][]byte{
		"another constructor": change(requestSize+4, 1),
		"another length":      change(requestSize+8, 15),
		"a shorter extra":     change(requestSize, 20),
		"no extra":            change(requestSize, 0),
		"an HTTP query":       change(4, FlagHTTPQuery),
		"no tag":              change(4, FlagMagic),
	} {
		q, err := ParseRequest(body)
		if _, ok := q.Tag(); ok || err != nil {
			t.Errorf("%s: a tag is read, or %v", name, err)
		}
	}
	common.NoPad = true
	prefix = NewPrefix(&common)
	q, err := ParseRequest(prefix.Append(nil, []byte("12345678"), false))
	if err != nil || q.Flags != 0x20021008 {
		t.Errorf("flags without pad: %08x, %v", q.Flags, err)
	}
	if AddressOf(netip.AddrPort{}) != (Address{}) {
		t.Error("no address is not 0")
	}
}

func TestAcceptable(t *testing.T) {
	plain := func(size int, inner, call uint32) []byte {
		p := make([]byte, size)
		binary.LittleEndian.PutUint32(p[16:], inner)
		binary.LittleEndian.PutUint32(p[20:], call)
		return p
	}
	for name, c := range map[string]struct {
		packet          []byte
		strict, anyCall bool
	}{
		"req_pq":           {plain(40, 20, callReqPQ), true, true},
		"req_pq_multi":     {plain(44, 20, callReqPQMulti), true, true},
		"req_DH_params":    {plain(340, 320, callReqDHParams), true, true},
		"set_client_DH":    {plain(396, 376, callSetClientDHP), true, true},
		"another call":     {plain(40, 20, 0x12345678), false, true},
		"inner too short":  {plain(40, 19, callReqPQ), false, false},
		"inner too long":   {plain(40, 21, callReqPQ), false, false},
		"inner negative":   {plain(40, 1<<32-20, callReqPQ), false, false},
		"encrypted":        {append([]byte{1}, make([]byte, 27)...), true, true},
		"encrypted, short": {append([]byte{1}, make([]byte, 23)...), false, false},
		"empty":            {nil, false, false},
	} {
		if Acceptable(c.packet, false) != c.strict || Acceptable(c.packet, true) != c.anyCall {
			t.Errorf("%s: %v, %v", name, Acceptable(c.packet, false), Acceptable(c.packet, true))
		}
	}
	if Plain(make([]byte, 7)) || Plain([]byte{0, 0, 0, 0, 0, 0, 0, 1}) || !Plain(make([]byte, 8)) {
		t.Error("Plain takes a packet for the other kind")
	}
}

// A54, A74: any request reads back as it was written.
func TestRequestRoundTrip(t *testing.T) {
	address := rapid.Custom(func(t *rapid.T) netip.AddrPort {
		ip, _ := netip.AddrFromSlice(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "ip")[:rapid.SampledFrom([]int{4, 16}).Draw(t, "size")])
		return netip.AddrPortFrom(ip.Unmap(), rapid.Uint16().Draw(t, "port"))
	})
	rapid.Check(t, func(t *rapid.T) {
		c := Common{
			Transport: rapid.SampledFrom([]codec.Transport{codec.Abridged, codec.Intermediate, codec.Padded}).Draw(t, "transport"),
			Proxy:     address.Draw(t, "proxy"),
			NoPad:     rapid.Bool().Draw(t, "no pad"),
		}
		if rapid.Bool().Draw(t, "tagged") {
			tag := Tag(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "tag"))
			c.Tag = &tag
		}
		id, from, quick := rapid.Uint64().Draw(t, "id"), address.Draw(t, "client"), rapid.Bool().Draw(t, "quick")
		packet := rapid.SliceOfN(rapid.Byte(), 4, 400).Draw(t, "packet")
		prefix, client := NewPrefix(&c), AddressOf(from)
		prefix.Bind(id, &client)
		q, err := ParseRequest(prefix.Append(nil, packet, quick))
		tag, ok := q.Tag()
		if err != nil || q.ID != id || q.Client.AddrPort() != from || q.Proxy.AddrPort() != c.Proxy || !bytes.Equal(q.Packet, packet) ||
			ok != (c.Tag != nil) || ok && tag != *c.Tag || quick != (q.Flags&FlagQuickAck != 0) || Plain(packet) != (q.Flags&FlagPlain != 0) {
			t.Fatalf("%+v, %v", q, err)
		}
	})
}
