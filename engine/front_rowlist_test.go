package engine_test

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"time"

	"epoxy/codec"
	"epoxy/codec/faketls"
	"epoxy/codec/frame"
	"epoxy/codec/obfs2"
	"epoxy/engine/config"
	"epoxy/engine/stats"
)

// short is the time that rows wait in which nobody else has to be quick.
const short = 250 * time.Millisecond

func early(s *config.Settings)   { s.HandshakeTimeout = short }
func silence(s *config.Settings) { s.FrontSilence, s.FirstByteTimeout = short, short }

// opening makes an init of a client.
func opening(k codec.Key, tag codec.Transport, dc codec.DC) []byte {
	for {
		var seed [obfs2.InitSize]byte
		random(seed[:])
		if wire, _, _, ok := obfs2.ClientInit(&seed, &k, tag, dc); ok {
			return wire[:]
		}
	}
}

// said is a row whose stranger just speaks.
func said(segments ...[]byte) func(*scene) { return func(s *scene) { s.say(segments...) } }

// then is one who sends FIN behind it.
func then(p []byte) func(*scene) { return func(s *scene) { s.say(p); s.fin() } }

// opens is one who begins as a client.
func opens(k codec.Key, tag codec.Transport) func(*scene) {
	return func(s *scene) { s.say(opening(k, tag, 2)) }
}

// greets is one who sends a hello.
func greets(change func(*faketls.ClientHello)) func(*scene) {
	return func(s *scene) { s.say(greet(s.T, change)) }
}

// bent is one whose hello was changed after it was made.
func bent(bend func([]byte) []byte) func(*scene) {
	return func(s *scene) { s.say(bend(greet(s.T, nil))) }
}

// copied is one who sends what a client sent a moment ago, with some bits of a byte changed.
func copied(at int, bits byte) func(*scene) {
	return func(s *scene) {
		s.answered()
		p := s.sent
		p[at] ^= bits
		s.conn, s.sent = nil, nil
		s.say(p)
	}
}

// noise is n bytes that are no beginning of anything.
func noise(n int) []byte {
	p := make([]byte, n)
	random(p)
	p[0] = 0x91
	return p
}

func badInputs() []badInput {
	http := []byte("GET / HTTP/1.0\r\n\r\n")
	banner := []byte("SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3 and enough behind it for sixty-four\r\n")
	header := append([]byte("\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c"), noise(60)...)
	tls := config.AllowOf(codec.TLS)
	digest, bad, late := codec.ReasonHelloDigest, codec.ReasonWrongSecret, codec.ReasonHandshakeTime
	wrong := func(c *faketls.ClientHello) { c.Secret = wrongKey }
	return []badInput{
		{"row 1 no byte", 0, silence, said(), front, finished, codec.ReasonFirstByteTime, codec.ReasonFirstByteTime},
		{"row 2 eight wrong bytes", tls, early, said(noise(8)), front, discard, codec.ReasonNotTLS, late},
		{"row 2 the start of a hello", 0, early, said([]byte{0x16, 3, 1, 2, 0, 1}), front, discard, late, late},
		{"row 3 HTTP", tls, early, said(http), front, discard, codec.ReasonNotTLS, late},
		{"row 3 HTTP where bytes may be bare", 0, nil, said(http), front, none, codec.ReasonNotTLS, 0},
		{"row 4 64 random bytes", 0, nil, said(noise(64)), front, discard, bad, bad},
		{"row 5 63 random bytes and FIN", 0, nil, then(noise(63)), frontFIN, finished, codec.ReasonClientClosed, codec.ReasonClientClosed},
		{"row 6 wrong secret", 0, nil, opens(wrongKey, codec.Padded), front, discard, bad, bad},
		{"row 7 classic off", config.AllowOf(codec.Secure, codec.TLS), func(s *config.Settings) { s.Allow &^= config.AllowOf(codec.Classic) },
			opens(key, codec.Abridged), front, discard, codec.ReasonNotAllowed, codec.ReasonNotAllowed},
		{"row 8 secure off", config.AllowOf(codec.Classic, codec.TLS), func(s *config.Settings) { s.Allow &^= config.AllowOf(codec.Secure) },
			opens(key, codec.Padded), front, discard, codec.ReasonNotAllowed, codec.ReasonNotAllowed},
		{"row 8 TLS only", tls, nil, opens(key, codec.Padded), front, none, codec.ReasonNotTLS, 0},
		{"row 9 replayed init", 0, nil, func(s *scene) {
			s.say(opening(key, codec.Padded, 2))
			s.h.wait(s.T, func(l stats.Loop) bool { return l.Handshakes[codec.Secure] == 1 })
			p := s.sent
			s.conn, s.sent = nil, nil
			s.say(p)
		}, front, discard, codec.ReasonReplay, codec.ReasonReplay},
		{"row 10 DC 0, 99, -32768", 0, nil, func(s *scene) {
			for _, dc := range []codec.DC{0, 99, -32768} {
				s.client = dial(s.T, s.h.addr, ways[2], dc)
				mustPing(s.T, s.client, 64)
			}
		}, serve, serve, 0, 0},
		{"row 16 wrong secret in TLS", 0, nil, greets(wrong), front, discard, digest, bad},
		{"row 17 an hour old", 0, nil, greets(func(c *faketls.ClientHello) { c.Unix -= 3600 }), front, none, codec.ReasonHelloTime, 0},
		{"row 18 an hour ahead", 0, nil, greets(func(c *faketls.ClientHello) { c.Unix += 3600 }), front, none, codec.ReasonHelloTime, 0},
		{"row 19 replayed hello", 0, nil, copied(0, 0), front, none, codec.ReasonReplay, 0},
		{"row 20 replay with a shifted clock", 0, nil, copied(11+28, 5), front, none, codec.ReasonReplay, 0},
		{"row 21 other SNI", 0, nil, greets(func(c *faketls.ClientHello) { c.Domain = "elsewhere.example" }), answer, none, 0, 0},
		{"row 22 no SNI", 0, nil, greets(func(c *faketls.ClientHello) { c.Domain = "" }), answer, none, 0, 0},
		{"row 23 no TLS 1.3 suite", 0, nil, bent(func(p []byte) []byte {
			for at := 78; at < 78+int(binary.BigEndian.Uint16(p[76:])); at += 2 {
				if p[at] == 0x13 {
					p[at], p[at+1] = 0xc0, 0x2f
				}
			}
			return resign(p)
		}), front, none, codec.ReasonHelloSuite, 0},
		{"row 24 no key share", 0, nil, bent(func(p []byte) []byte {
			for at := extensions(p) + 2; at+4 <= len(p); at += 4 + int(binary.BigEndian.Uint16(p[at+2:])) {
				if binary.BigEndian.Uint16(p[at:]) == 0x33 {
					binary.BigEndian.PutUint16(p[at:], 0xfabc)
				}
			}
			return resign(p)
		}), front, none, codec.ReasonHelloShare, 0},
		{"row 25 a small hello", 0, nil, greets(func(c *faketls.ClientHello) { c.Shape = faketls.Small }), answer, none, 0, 0},
		{"row 25 below 100 bytes", 0, nil, said([]byte{0x16, 3, 1, 0, 60, 1, 0, 0, 56}), front, none, codec.ReasonHelloSize, 0},
		{"row 26 ML-KEM", 0, nil, greets(nil), answer, none, 0, 0},
		{"row 27 two segments", 0, nil, func(s *scene) { p := greet(s.T, nil); s.say(p[:1448], p[1448:]) }, answer, none, 0, 0},
		{"row 28 two records", 0, nil, greets(func(c *faketls.ClientHello) { c.Records = []int{100} }), answer, none, 0, 0},
		{"row 28 two records, wrong secret", 0, nil, greets(func(c *faketls.ClientHello) { c.Records, c.Secret = []int{100}, wrongKey }), front, none, digest, 0},
		{"row 29 bytes behind the hello", 0, nil, bent(func(p []byte) []byte { return append(p, 0x17) }), front, none, codec.ReasonHelloTrailing, 0},
		{"row 30 half a hello and FIN", 0, nil, func(s *scene) { s.say(greet(s.T, nil)[:300]); s.fin() }, frontFIN, none, codec.ReasonClientClosed, 0},
		{"row 30 half a hello, no TLS here", 0, nil, func(s *scene) { s.say(greet(s.T, nil)[:300]) }, none, discard, 0, bad},
		{"row 31 version 0303", 0, nil, greets(func(c *faketls.ClientHello) { c.Version = 3 }), answer, none, 0, 0},
		{"row 31 version 0303, wrong secret", 0, nil, greets(func(c *faketls.ClientHello) { c.Version, c.Secret = 3, wrongKey }), front, none, digest, 0},
		{"row 32 malformed extensions", 0, nil, bent(func(p []byte) []byte { p[extensions(p)+4] ^= 0x40; return resign(p) }), front, none, codec.ReasonHelloShape, 0},
		{"row 41 PROXY header, feature off", 0, nil, said(header), front, discard, bad, bad},
		{"row 41 PROXY header, TLS only", tls, nil, said(header), front, none, codec.ReasonNotTLS, 0},
		{"row 42 SSH", tls, nil, said(banner), front, discard, codec.ReasonNotTLS, bad},
		{"row 42 SMTP", tls, early, said([]byte("EHLO there\r\n")), front, discard, codec.ReasonNotTLS, late},
		{"row 42 record 0300", tls, early, said([]byte{0x16, 3, 0, 1}), front, discard, codec.ReasonNotTLS, late},
		{"row 44 a byte now and then", 0, early, func(s *scene) {
			p := slices.Concat(greet(s.T, nil)[:60], bytes.Repeat([]byte(strings.Repeat("x", 10)), 100))
			for s.h.snapshot().Sum().Strangers[late] == 0 {
				s.say(p[len(s.sent) : len(s.sent)+1])
				time.Sleep(short / 25) // far from enough bytes for anything, and none of them buys time
			}
		}, front, discard, late, late},
	}
}

// afterFlight are the rows after our flight, when there is no front any more.
func afterFlight() []badInput {
	record := func(kind, minor byte, body []byte) []byte {
		return append([]byte{kind, 3, minor, byte(len(body) >> 8), byte(len(body))}, body...)
	}
	app := func(body []byte) []byte { return record(0x17, 3, body) }
	closed := func(name string, p []byte) badInput {
		return badInput{name: name, do: func(s *scene) { s.answered(); s.say(p) }, p: finished}
	}
	// served is a client whose init leaves in the records that wrap makes of it.
	served := func(name string, wrap func(c *client, init []byte) []byte) badInput {
		return badInput{name: name, p: serve, do: func(s *scene) {
			s.answered()
			c := &client{Conn: s.conn, proto: codec.TLS, tag: codec.Padded, buf: make([]byte, 64<<10)}
			var wire [obfs2.InitSize]byte
			for ok := false; !ok; {
				var seed [obfs2.InitSize]byte
				random(seed[:])
				wire, c.up, c.down, ok = obfs2.ClientInit(&seed, &key, codec.Padded, 2)
			}
			s.say(wrap(c, wire[:]))
			s.client = c
		}}
	}
	large := served("row 40 a record of 40,000 bytes", func(c *client, p []byte) []byte {
		body := frame.Append(nil, c.tag, make([]byte, 40_000), nil)
		c.up.XOR(body, body)
		return app(append(p, body...))
	})
	begin := large.do
	large.do = func(s *scene) {
		begin(s)
		if p, err := s.client.receive(); err != nil || len(p) != 40_000 {
			s.Fatalf("%d bytes came back, %v", len(p), err)
		}
	}
	return []badInput{
		served("row 33 no CCS", func(_ *client, p []byte) []byte { return app(p) }),
		closed("row 34 wrong tag", app(make([]byte, obfs2.InitSize))),
		served("row 35 63 bytes, then one", func(_ *client, p []byte) []byte { return append(app(p[:63]), app(p[63:])...) }),
		{name: "row 35 63 bytes", do: func(s *scene) { s.answered(); s.say(app(make([]byte, 63))) }, p: wait},
		closed("row 36 alert", record(0x15, 3, []byte{2, 40})),
		{name: "row 37 nothing", do: func(s *scene) { s.answered() }, p: wait},
		closed("row 38 version 0301", record(0x17, 1, make([]byte, obfs2.InitSize))),
		served("row 39 an empty record", func(_ *client, p []byte) []byte { return append(app(nil), app(p)...) }),
		closed("row 39 16 empty records", bytes.Repeat(app(nil), 16)),
		large,
	}
}
