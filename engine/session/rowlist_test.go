package session

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"epoxy/codec"
	"epoxy/codec/faketls"
)

// rows are those of the table up to our flight.
func rows(t *testing.T) []row {
	other := codec.Key{0xff, 1}
	random := bytes.Repeat([]byte{0x91, 0x37, 0x5a, 0xc4}, 16)
	http := []byte("GET / HTTP/1.0\r\n\r\n")
	long := append(bytes.Clone(http), bytes.Repeat([]byte("Accept: */*\r\n"), 5)...)
	banner := []byte("SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3 with a banner that is long enough\r\n")
	proxy := append([]byte("\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c"), bytes.Repeat([]byte{7}, 60)...)
	hello := func(r *rig, change func(*faketls.ClientHello)) []byte {
		shares, err := faketls.NewShares(r.loop.Rand)
		if err != nil {
			t.Fatal(err)
		}
		c := faketls.ClientHello{Domain: "example.com", Secret: testKey, Unix: testTime, Shares: shares}
		if change != nil {
			change(&c)
		}
		p, err := c.Append(nil, r.loop.Rand)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	with := func(change func(*faketls.ClientHello)) func(*rig) []byte {
		return func(r *rig) []byte { return give(r, hello(r, change)) }
	}
	bent := func(bend func([]byte) []byte) func(*rig) []byte {
		return func(r *rig) []byte { return give(r, bend(hello(r, nil))) }
	}
	twice := func(wire []byte, r *rig, shift byte) []byte {
		again := bytes.Clone(wire)
		again[11+28] ^= shift
		r.feed(wire)
		r.connect("192.0.2.9:1")
		return give(r, again)
	}
	bare := func(key codec.Key, tag codec.Transport) func(*rig) []byte {
		return func(r *rig) []byte { return give(r, r.init(key, tag, 2)) }
	}
	ext := func(p []byte, kind, as uint16) []byte { // renames an extension
		at := 78 + int(binary.BigEndian.Uint16(p[76:])) + 2
		for at += 2; at+4 <= len(p); at += 4 + int(binary.BigEndian.Uint16(p[at+2:])) {
			if binary.BigEndian.Uint16(p[at:]) == kind {
				binary.BigEndian.PutUint16(p[at:], as)
			}
		}
		return sign(p, testKey, testTime)
	}
	digest, secret, time := codec.ReasonHelloDigest, codec.ReasonWrongSecret, codec.ReasonHandshakeTime
	return []row{
		{"row 1 no byte", 0, 0, late(nil), fronted, closed, codec.ReasonFirstByteTime, codec.ReasonFirstByteTime},
		{"row 2 eight wrong bytes", tlsOnly, 0, late(random[:8]), fronted, discarded, codec.ReasonNotTLS, time},
		{"row 2 eight bytes of what may be bare", 0, 0, late(random[:8]), fronted, discarded, time, time},
		{"row 2 the start of a hello", 0, 0, late([]byte{0x16, 3, 1, 2, 0, 1}), fronted, discarded, time, time},
		{"row 3 HTTP", tlsOnly, 0, late(http), fronted, discarded, codec.ReasonNotTLS, time},
		{"row 3 HTTP of 64 bytes", 0, 0, then(long), fronted, discarded, codec.ReasonNotTLS, secret},
		{"row 4 64 random bytes", 0, 0, then(random), fronted, discarded, secret, secret},
		{"row 5 63 random bytes and FIN", 0, 0, func(r *rig) []byte { r.feed(random[:63]); r.s.EOF(r.sock); return random[:63] },
			frontFIN, closed, codec.ReasonClientClosed, codec.ReasonClientClosed},
		{"row 6 wrong secret", 0, 0, bare(other, codec.Padded), fronted, discarded, secret, secret},
		{"row 7 classic off", codec.ProtocolsOf(codec.Secure, codec.TLS), codec.ProtocolsOf(codec.Secure),
			bare(testKey, codec.Abridged), fronted, discarded, codec.ReasonNotAllowed, codec.ReasonNotAllowed},
		{"row 8 secure off", codec.ProtocolsOf(codec.Classic, codec.TLS), codec.ProtocolsOf(codec.Classic),
			bare(testKey, codec.Padded), fronted, discarded, codec.ReasonNotAllowed, codec.ReasonNotAllowed},
		{"row 8 TLS only", tlsOnly, 0, bare(testKey, codec.Padded), fronted, skip, codec.ReasonNotTLS, 0},
		{"row 9 replayed init", 0, 0, func(r *rig) []byte {
			wire := r.init(testKey, codec.Padded, 2)
			r.feed(wire)
			r.connect("192.0.2.9:1")
			return give(r, wire)
		}, fronted, discarded, codec.ReasonReplay, codec.ReasonReplay},
		{"row 10 DC -32768", 0, 0, func(r *rig) []byte { return give(r, r.init(testKey, codec.Padded, -32768)) }, relayed, relayed, 0, 0},
		{"row 16 wrong secret in TLS", 0, 0, with(func(c *faketls.ClientHello) { c.Secret = other }), fronted, discarded, digest, secret},
		{"row 17 an hour old", 0, 0, with(func(c *faketls.ClientHello) { c.Unix -= 3600 }), fronted, skip, codec.ReasonHelloTime, 0},
		{"row 18 an hour ahead", 0, 0, with(func(c *faketls.ClientHello) { c.Unix += 3600 }), fronted, skip, codec.ReasonHelloTime, 0},
		{"row 19 replayed hello", 0, 0, func(r *rig) []byte { return twice(hello(r, nil), r, 0) }, fronted, skip, codec.ReasonReplay, 0},
		{"row 20 replay with a shifted clock", 0, 0, func(r *rig) []byte { return twice(hello(r, nil), r, 3) }, fronted, skip, codec.ReasonReplay, 0},
		{"row 21 other SNI", 0, 0, with(func(c *faketls.ClientHello) { c.Domain = "elsewhere.example" }), answered, skip, 0, 0},
		{"row 22 no SNI", 0, 0, with(func(c *faketls.ClientHello) { c.Domain = "" }), answered, skip, 0, 0},
		{"row 23 no TLS 1.3 suite", 0, 0, bent(func(p []byte) []byte {
			for at := 78; at < 78+int(binary.BigEndian.Uint16(p[76:])); at += 2 {
				if p[at] == 0x13 {
					p[at], p[at+1] = 0xc0, 0x2f
				}
			}
			return sign(p, testKey, testTime)
		}), fronted, skip, codec.ReasonHelloSuite, 0},
		{"row 24 no key share", 0, 0, bent(func(p []byte) []byte { return ext(p, 0x33, 0xfabc) }), fronted, skip, codec.ReasonHelloShare, 0},
		{"row 25 a small hello", 0, 0, with(func(c *faketls.ClientHello) { c.Shape = faketls.Small }), answered, skip, 0, 0},
		{"row 25 below 100 bytes", 0, 0, then([]byte{0x16, 3, 1, 0, 60, 1, 0, 0, 56}), fronted, skip, codec.ReasonHelloSize, 0},
		{"row 26 ML-KEM", 0, 0, with(nil), answered, skip, 0, 0},
		{"row 27 two segments", 0, 0, func(r *rig) []byte { p := hello(r, nil); r.feed(p[:1448]); return give(r, p[1448:]) }, answered, skip, 0, 0},
		{"row 28 two records", 0, 0, with(func(c *faketls.ClientHello) { c.Records = []int{100} }), answered, skip, 0, 0},
		{"row 28 two records, wrong secret", 0, 0, with(func(c *faketls.ClientHello) { c.Records, c.Secret = []int{100}, other }), fronted, skip, digest, 0},
		{"row 29 bytes behind the hello", 0, 0, bent(func(p []byte) []byte { return append(p, 0x17) }), fronted, skip, codec.ReasonHelloTrailing, 0},
		{"row 30 half a hello and FIN", 0, 0, func(r *rig) []byte { p := hello(r, nil)[:300]; r.feed(p[:9]); r.feed(p[9:]); r.s.EOF(r.sock); return p },
			frontFIN, closed, codec.ReasonClientClosed, codec.ReasonClientClosed},
		{"row 31 version 0303", 0, 0, with(func(c *faketls.ClientHello) { c.Version = 3 }), answered, skip, 0, 0},
		{"row 31 version 0303, wrong secret", 0, 0, with(func(c *faketls.ClientHello) { c.Version, c.Secret = 3, other }), fronted, skip, digest, 0},
		{"row 32 malformed extensions", 0, 0, bent(func(p []byte) []byte { p[len(p)-1] ^= 0xff; p[76] ^= 1; return p }), fronted, skip, codec.ReasonHelloShape, 0},
		{"row 41 PROXY header, feature off", 0, 0, then(proxy), fronted, discarded, secret, secret},
		{"row 42 SSH", 0, 0, then(banner), fronted, discarded, codec.ReasonNotTLS, secret},
		{"row 42 SSH, TLS only", tlsOnly, 0, then(banner[:3]), fronted, skip, codec.ReasonNotTLS, 0},
		{"row 42 record 0300", tlsOnly, 0, then([]byte{0x16, 3, 0, 1}), fronted, skip, codec.ReasonNotTLS, 0},
		{"row 43 no byte, and the front is full", 0, 0, func(r *rig) []byte { r.front.refuse = codec.ReasonLimit; r.sock.Fire(r.loop); return nil },
			closed, closed, codec.ReasonLimit, codec.ReasonFirstByteTime},
		{"row 44 a byte a second", 0, 0, func(r *rig) (sent []byte) {
			p := hello(r, nil)
			for r.s.State() != Front && r.s.State() != Discard {
				sent = append(sent, p[len(sent)])
				r.feed(sent[len(sent)-1:])
				if r.loop.Clock += 1000; r.loop.Clock >= r.sock.TimerAt {
					r.sock.Fire(r.loop)
				}
			}
			return sent
		}, fronted, discarded, time, time},
	}
}

// rowsAfterFlight are the rows after our flight, when there is no front any more.
func rowsAfterFlight(t *testing.T) []row {
	after := func(next func(r *rig) []byte) func(*rig) []byte {
		return func(r *rig) []byte {
			hello, _ := r.hello(t, testKey, testTime)
			r.feed(hello)
			r.sock.Take()
			return give(r, next(r))
		}
	}
	record := func(kind, minor byte, body []byte) []byte {
		return append([]byte{kind, 3, minor, byte(len(body) >> 8), byte(len(body))}, body...)
	}
	say := func(p []byte) func(*rig) []byte { return after(func(*rig) []byte { return p }) }
	return []row{
		{"row 33 no CCS", 0, 0, after(func(r *rig) []byte { return record(0x17, 3, r.init(testKey, codec.Padded, 2)) }), relayed, skip, 0, 0},
		{"row 34 wrong tag", 0, 0, say(record(0x17, 3, make([]byte, 64))), closed, skip, codec.ReasonBadTag, 0},
		{"row 35 63 bytes", 0, 0, say(record(0x17, 3, make([]byte, 63))), waiting, skip, 0, 0},
		{"row 36 alert", 0, 0, say(record(0x15, 3, []byte{2, 40})), closed, skip, codec.ReasonTLSAlert, 0},
		{"row 37 nothing", 0, 0, func(r *rig) []byte {
			hello, _ := r.hello(t, testKey, testTime)
			r.feed(hello)
			r.sock.Take()
			r.sock.Fire(r.loop)
			return nil
		}, closed, skip, codec.ReasonOpeningTime, 0},
		{"row 38 version 0301", 0, 0, say(record(0x17, 1, make([]byte, 64))), closed, skip, codec.ReasonTLSRecord, 0},
		{"row 39 an empty record", 0, 0, say(record(0x17, 3, nil)), waiting, skip, 0, 0},
		{"row 39 16 empty records", 0, 0, say(slices.Repeat(record(0x17, 3, nil), 16)), closed, skip, codec.ReasonTLSEmpty, 0},
		{"row 40 a record of 40,000 bytes", 0, 0, after(func(r *rig) []byte {
			return record(0x17, 3, append(r.init(testKey, codec.Padded, 2), make([]byte, 40_000)...))
		}), relayed, skip, 0, 0},
	}
}
