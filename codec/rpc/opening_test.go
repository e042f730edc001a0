package rpc

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"

	"epoxy/codec"
)

var testNonce = Nonce{Selector: 0xcafaf9c4, Schema: SchemaAES, Time: 1700000000, Random: [16]byte{1, 2, 3}}

// extended returns a nonce of schema 2 with n further selectors.
func extended(n int) []byte {
	nonce := testNonce
	nonce.Schema = SchemaAESExtended
	return append(binary.LittleEndian.AppendUint32(nonce.Append(nil), uint32(n)), make([]byte, 4*n)...)
}

// A51: what is no nonce, the prefix loop included.
func TestNonceFaults(t *testing.T) {
	whole := testNonce.Append(nil)
	word := func(at int, v uint32) []byte {
		p := bytes.Clone(whole)
		binary.LittleEndian.PutUint32(p[at:], v)
		return p
	}
	for name, c := range map[string]struct {
		body []byte
		want codec.Reason
	}{
		"schema 1":                 {whole, codec.ReasonNone},
		"schema 2":                 {extended(0), codec.ReasonNone},
		"schema 2, 8 more":         {extended(8), codec.ReasonNone},
		"schema 2, 9 more":         {extended(9), codec.ReasonLinkNonce},
		"schema 2, no count":       {word(8, 2), codec.ReasonLinkNonce},
		"schema 2, one missing":    {extended(3)[:44], codec.ReasonLinkNonce},
		"schema 2, one too much":   {append(extended(3), 0, 0, 0, 0), codec.ReasonLinkNonce},
		"schema 0":                 {word(8, 0), codec.ReasonLinkSchema},
		"schema 3":                 {append(word(8, 3), make([]byte, 260)...), codec.ReasonLinkSchema},
		"schema 9":                 {word(8, 9), codec.ReasonLinkSchema},
		"another word":             {word(0, wordHandshake), codec.ReasonLinkNonce},
		"one word more":            {append(bytes.Clone(whole), 0, 0, 0, 0), codec.ReasonLinkNonce},
		"a count that would wrap":  {append(extended(0)[:32], 0xff, 0xff, 0xff, 0xff), codec.ReasonLinkNonce},
		"a count that wraps twice": {append(extended(0)[:32], 0, 0, 0, 0x40), codec.ReasonLinkNonce},
	} {
		n, err := ParseNonce(c.body)
		if got := codec.ReasonOf(err, codec.ReasonNone); got != c.want || (err == nil) != (n.Random == testNonce.Random) {
			t.Errorf("%s: %+v, %v", name, n, err)
		}
	}
	for cut := range whole {
		if _, err := ParseNonce(whole[:cut]); codec.ReasonOf(err, 0) != codec.ReasonLinkNonce {
			t.Errorf("%d bytes: %v", cut, err)
		}
	}
}

func TestNonceAccept(t *testing.T) {
	const now = 1700000000
	good := testNonce
	good.Random[0]++
	change := func(f func(*Nonce)) Nonce {
		n := good
		f(&n)
		return n
	}
	for name, c := range map[string]struct {
		answer Nonce
		want   codec.Reason
	}{
		"good":           {good, codec.ReasonNone},
		"30 s ahead":     {change(func(n *Nonce) { n.Time = now + 30 }), codec.ReasonNone},
		"30 s behind":    {change(func(n *Nonce) { n.Time = now - 30 }), codec.ReasonNone},
		"31 s ahead":     {change(func(n *Nonce) { n.Time = now + 31 }), codec.ReasonLinkSkew},
		"31 s behind":    {change(func(n *Nonce) { n.Time = now - 31 }), codec.ReasonLinkSkew},
		"no time":        {change(func(n *Nonce) { n.Time = 0 }), codec.ReasonLinkSkew},
		"68 years ahead": {change(func(n *Nonce) { n.Time = now + 1<<31 }), codec.ReasonLinkSkew},
		"another secret": {change(func(n *Nonce) { n.Selector++ }), codec.ReasonLinkSelector},
		"our own":        {testNonce, codec.ReasonLinkNonce},
	} {
		if got := codec.ReasonOf(testNonce.Accept(&c.answer, now), codec.ReasonNone); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	zero := change(func(n *Nonce) { n.Selector = 0 })
	own := zero
	own.Random = [16]byte{}
	if codec.ReasonOf(own.Accept(&zero, now), 0) != codec.ReasonLinkSelector {
		t.Error("a selector of 0 passes")
	}
	late := change(func(n *Nonce) { n.Time = 5 }) // the clock of 32 bits turns over
	if err := testNonce.Accept(&late, 1<<32-5); err != nil || late.Skew(1<<32-5) != 10 {
		t.Errorf("in 2106: %v, skew %d", err, late.Skew(1<<32-5))
	}
	if Selector([]byte{0xc4, 0xf9, 0xfa, 0xca, 1}) != testNonce.Selector || Selector([]byte{1, 2, 3}) != 0 {
		t.Error("Selector takes other bytes")
	}
}

var testHandshake = Handshake{
	Flags:  HandshakeCRC32C,
	Sender: ProcessID{IP: 0xc6336407, PID: 45, Start: 0x6b039c3e},
	Peer:   ProcessID{IP: 0xc000020a, Port: 8888},
}

// A52: the layout of the official proxy, and what is no handshake, the prefix loop included.
func TestHandshake(t *testing.T) {
	whole := testHandshake.Append(nil)
	want := "\xf5\xee\x82\x76\x00\x08\x00\x00" + "\x07\x64\x33\xc6\x00\x00\x2d\x00\x3e\x9c\x03\x6b" +
		"\x0a\x02\x00\xc0\xb8\x22\x00\x00\x00\x00\x00\x00"
	if string(whole) != want {
		t.Errorf("wrote %x", whole)
	}
	if got, err := ParseHandshake(whole); err != nil || got != testHandshake {
		t.Errorf("read %+v, %v", got, err)
	}
	for _, body := range [][]byte{append(bytes.Clone(whole), 0, 0, 0, 0), append([]byte("\xf4"), whole[1:]...), testNonce.Append(nil)} {
		if _, err := ParseHandshake(body); codec.ReasonOf(err, 0) != codec.ReasonLinkHandshake {
			t.Errorf("%x: %v", body, err)
		}
	}
	for cut := range whole {
		if _, err := ParseHandshake(whole[:cut]); codec.ReasonOf(err, 0) != codec.ReasonLinkHandshake {
			t.Errorf("%d bytes: %v", cut, err)
		}
	}
}

func TestHandshakeAccept(t *testing.T) {
	answer := func(flags uint32, peer ProcessID) *Handshake { return &Handshake{Flags: flags, Peer: peer} }
	me := testHandshake.Sender
	for name, c := range map[string]struct {
		answer *Handshake
		crc32c bool
		want   codec.Reason
	}{
		"plain":             {answer(0, me), false, codec.ReasonNone},
		"CRC-32C":           {answer(HandshakeCRC32C, me), true, codec.ReasonNone},
		"other high flags":  {answer(0x1000, me), false, codec.ReasonNone},
		"part of the pid":   {answer(0, ProcessID{PID: 45}), false, codec.ReasonNone},
		"a low flag":        {answer(HandshakeCRC32C|1, me), false, codec.ReasonLinkHandshake},
		"another pid":       {answer(0, ProcessID{IP: me.IP, PID: 46, Start: me.Start}), false, codec.ReasonLinkPID},
		"another address":   {answer(0, ProcessID{IP: 1}), false, codec.ReasonLinkPID},
		"another start":     {answer(0, ProcessID{Start: 1}), false, codec.ReasonLinkPID},
		"a port of nowhere": {answer(0, ProcessID{Port: 1}), false, codec.ReasonLinkPID},
	} {
		crc32c, err := testHandshake.Accept(c.answer)
		if crc32c != c.crc32c || codec.ReasonOf(err, codec.ReasonNone) != c.want {
			t.Errorf("%s: %v, %v", name, crc32c, err)
		}
	}
	offer := Handshake{Sender: me}
	if _, err := offer.Accept(answer(HandshakeCRC32C, me)); codec.ReasonOf(err, 0) != codec.ReasonLinkChecksum {
		t.Errorf("CRC-32C that was not offered: %v", err)
	}
}

func TestHandshakeError(t *testing.T) {
	labels := map[HandshakeCode]string{
		RefusedPacket: "bad_packet", RefusedPeer: "peer_pid", RefusedSender: "sender_pid", RefusedFlags: "flags",
		RefusedCRC32C: "crc32c", 0: "other", 7: "other",
	}
	for code, label := range labels {
		e := HandshakeError{Code: code, Process: testHandshake.Peer}
		whole := e.Append(nil)
		if got, ok := ParseHandshakeError(whole); !ok || got != e || code.String() != label {
			t.Errorf("read %+v, %v", got, ok)
		}
		if _, err := ParseHandshake(whole); codec.ReasonOf(err, 0) != codec.ReasonLinkRefused {
			t.Errorf("as a handshake: %v", err)
		}
		for cut := range whole {
			if _, ok := ParseHandshakeError(whole[:cut]); ok {
				t.Errorf("%d bytes pass", cut)
			}
		}
	}
	e := HandshakeError{Code: RefusedSender}
	if got := e.Append(nil); string(got[:8]) != "\xda\xbe\x27\x6a\xfa\xff\xff\xff" {
		t.Errorf("wrote %x", got)
	}
}

func TestIPOf(t *testing.T) {
	for text, want := range map[string]uint32{
		"149.154.175.50": 0x959aaf32, "::ffff:149.154.175.50": 0x959aaf32, "127.0.0.1": 0, "2001:db8::1": 0, "::1": 0,
	} {
		if got := IPOf(netip.MustParseAddr(text)); got != want {
			t.Errorf("%s: %08x", text, got)
		}
	}
	if IPOf(netip.Addr{}) != 0 {
		t.Error("no address has an IP")
	}
}
