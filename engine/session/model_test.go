package session

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"

	"epoxy/codec"
	"epoxy/codec/faketls"
	"epoxy/codec/proxyproto"
)

// A30 A34 A50 through the whole session: random operations in any order, against a naive model of what each side has to have seen.
func TestOperations(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tls := rapid.Bool().Draw(t, "tls")
		r := newRig(allAllowed)
		wire := []byte(nil) // what the client's socket still holds
		r.port.Records = Sizing(rapid.IntRange(int(Full), int(Auto)).Draw(t, "sizing"))
		r.port.SplitHello = rapid.Bool().Draw(t, "split")
		r.port.Use(&Sites{Default: &faketls.Profile{
			DelayHigh: uint16(rapid.IntRange(0, 50).Draw(t, "delay")), Ramp: rapid.Bool().Draw(t, "the site ramps"),
		}})
		if rapid.Bool().Draw(t, "behind a balancer") {
			behindBalancer(r.port)
			r.connect("192.0.2.1:4000")
			header := proxyproto.AppendV2(nil, carriedSrc, carriedDst)
			cut := rapid.IntRange(1, len(header)-1).Draw(t, "header cut")
			r.feed(header[:cut])
			r.feed(header[cut:])
		}
		r.env.Count.Open = 1
		if tls {
			shares, err := faketls.NewShares(r.loop.Rand)
			if err != nil {
				t.Fatal(err)
			}
			c := faketls.ClientHello{Domain: "example.com", Secret: testKey, Unix: testTime, Shares: shares}
			hello, err := c.Append(nil, r.loop.Rand)
			if err != nil {
				t.Fatal(err)
			}
			for len(hello) > 0 {
				n := rapid.IntRange(1, len(hello)).Draw(t, "hello cut")
				r.feed(hello[:n])
				hello = hello[n:]
			}
			if r.s.State() != Opening {
				t.Fatalf("state %v after the hello", r.s.State())
			}
			if r.sock.Paused {
				r.sock.Fire(r.loop) // the flight leaves
			}
			if len(r.sock.Out) == 0 || r.sock.Paused {
				t.Fatalf("%d bytes of a flight, paused %v", len(r.sock.Out), r.sock.Paused)
			}
			r.sock.Take()
		}
		wrap := func(p []byte) []byte {
			if tls {
				return faketls.AppendRecords(nil, p, rapid.IntRange(1, 3000).Draw(t, "record"))
			}
			return p
		}
		wire = append(wire, wrap(r.init(testKey, codec.Padded, 2))...)
		var sent, delivered, got []byte // by the client, by Telegram, by the client
		var records faketls.Reader
		ended := false
		read := func() {
			p := r.sock.Take()
			if tls {
				n, err := records.Strip(p)
				if err != nil {
					t.Fatalf("the client cannot read a record: %v", err)
				}
				p = p[:n]
			}
			got = append(got, r.opened(p)...)
		}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			switch rapid.IntRange(0, 8).Draw(t, "step") {
			case 0, 1: // the client sends
				p := rapid.SliceOfN(rapid.Byte(), 1, 5000).Draw(t, "up")
				sent = append(sent, p...)
				wire = append(wire, wrap(r.seal(p))...)
			case 2, 3: // its bytes arrive, unless the session does not read
				if n := len(wire); n > 0 && !r.sock.Paused && !ended {
					n = rapid.IntRange(1, n).Draw(t, "arrive")
					r.feed(wire[:n])
					wire = wire[n:]
				}
			case 4: // Telegram answers, unless it is not read
				if r.tg.sink != nil && !r.tg.paused && !ended {
					p := rapid.SliceOfN(rapid.Byte(), 1, 40_000).Draw(t, "down")
					delivered = append(delivered, p...)
					r.tg.sink.Deliver(bytes.Clone(p))
				}
			case 5: // queues fill and drain
				r.sock.Stuck = rapid.IntRange(0, 2*softQueue).Draw(t, "client queue")
				if r.sock.Stuck < 16<<10 {
					r.s.Drained(r.sock)
				}
			case 6:
				r.tg.queued = rapid.IntRange(0, 2*softQueue).Draw(t, "stream queue")
				if r.tg.queued < 16<<10 && r.tg.sink != nil {
					r.tg.sink.SendDrained()
				}
			case 7: // time passes: compaction, or the end
				if r.s.State() == Relay {
					r.sock.Fire(r.loop)
					ended = ended || r.sock.Closing != codec.ReasonNone
				}
			case 8:
				read()
			}
		}
		if r.sock.Closing == codec.ReasonNone && !ended { // let everything arrive
			r.sock.Stuck, r.tg.queued = 0, 0
			if r.tg.sink != nil {
				r.tg.sink.SendDrained()
			}
			for len(wire) > 0 {
				n := min(len(wire), 4096)
				r.feed(wire[:n])
				wire = wire[n:]
			}
			if !bytes.Equal(r.tg.up, sent) {
				t.Fatalf("Telegram has %d bytes that are not the %d sent", len(r.tg.up), len(sent))
			}
		}
		read()
		if !bytes.Equal(got, delivered) {
			t.Fatalf("the client has %d bytes that are not the %d delivered", len(got), len(delivered))
		}
		if !bytes.HasPrefix(sent, r.tg.up) {
			t.Fatal("Telegram has bytes that nobody sent")
		}
		r.sock.Finish(codec.ReasonPeerReset)
		if r.env.Count.Open != 0 || r.s.part != nil || r.s.stream != nil {
			t.Fatalf("after the end: %d open, part %v, stream %v", r.env.Count.Open, r.s.part != nil, r.s.stream != nil)
		}
	})
}

// FuzzSession feeds a stranger's bytes, cut at will, behind nothing, a good hello or a good init: no panic, no answer
// that was not earned, and never more than one opening's worth of bytes kept.
func FuzzSession(f *testing.F) {
	f.Add(uint8(0), uint16(7), []byte("GET / HTTP/1.1\r\nHost: example.com\r\n\r\n"))
	f.Add(uint8(1), uint16(64), []byte{0x14, 3, 3, 0, 1, 1, 0x17, 3, 3, 0, 4, 1, 2, 3, 4})
	f.Add(uint8(2), uint16(1), bytes.Repeat([]byte{0x17}, 200))
	r := newRig(allAllowed)
	hello, _ := r.hello(f, testKey, testTime)
	f.Add(uint8(0), uint16(500), hello)
	f.Add(uint8(9), uint16(500), hello)
	f.Add(uint8(27), uint16(10), append(proxyproto.AppendV2(nil, carriedSrc, carriedDst), hello...))
	f.Add(uint8(0), uint16(64), append(r.init(testKey, codec.Abridged, 1), "more"...))
	f.Fuzz(func(t *testing.T, mode uint8, cut uint16, p []byte) {
		r := newRig([]codec.Protocols{allAllowed, bareOnly, tlsOnly}[int(mode/3)%3])
		if mode/9%2 == 1 {
			r = newFront([]codec.Protocols{allAllowed, bareOnly, tlsOnly}[int(mode/3)%3], func(p *Port) { p.ProxyHeader = mode/18%2 == 1 })
		}
		switch mode % 3 {
		case 1:
			r.feed(hello)
		case 2:
			r.feed(r.init(testKey, codec.Padded, 2))
		}
		before := len(r.sock.Out)
		for len(p) > 0 && r.sock.Closing == codec.ReasonNone {
			n := min(int(cut)+1, len(p))
			r.feed(p[:n])
			p = p[n:]
			if r.s.part != nil && r.s.part.Len() > faketls.MaxHelloWire+int(cut)+1 {
				t.Fatalf("%d bytes of an opening are kept", r.s.part.Len())
			}
		}
		if len(r.sock.Out) > before && r.s.State() != Opening && r.env.Count.Handshakes[codec.TLS] == 0 && mode%3 == 2 {
			t.Fatal("an answer without a hello")
		}
		for i := 0; r.sock.Closing == codec.ReasonNone && i < 100; i++ {
			r.sock.Fire(r.loop)
		}
		r.sock.Finish(codec.ReasonPeerClosed)
		if r.env.Count.Open != 0 || r.env.Count.Discarding != 0 || r.s.part != nil {
			t.Fatalf("left behind: %+v", r.env.Count)
		}
	})
}
