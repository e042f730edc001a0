package middle

import (
	"net/netip"
	"testing"

	"epoxy/codec"
	"epoxy/codec/rpc"
)

// opening is a fault between connect and ready: what the middle proxy does, and what becomes of it.
type opening struct {
	fault string // number in spec upstream-protocols 8, and what it is
	do    func(w *world, p *peer)
	why   codec.Reason
	stage Stage
	hint  bool // the public address may be wrong: at least a second until the next try
}

// hello plays the opening up to the middle proxy's handshake, which the test then sends.
func hello(p *peer) {
	p.socket.H.Opened(p.socket)
	p.takeNonce()
	p.sendNonce()
	p.takeHello()
}

// nonce plays the opening up to the middle proxy's nonce, which the test changes.
func nonce(change func(p *peer)) func(*world, *peer) {
	return func(_ *world, p *peer) {
		p.socket.H.Opened(p.socket)
		p.takeNonce()
		change(p)
		wire := p.enc.Append(nil, p.nonce.Append(nil))
		p.data(wire)
	}
}

// raw sends a nonce frame with a byte changed.
func raw(at int, bit byte) func(*world, *peer) {
	return func(_ *world, p *peer) {
		p.socket.H.Opened(p.socket)
		p.takeNonce()
		wire := p.enc.Append(nil, p.nonce.Append(nil))
		wire[at] ^= bit
		p.data(wire)
	}
}

// pass lets time go by on the link alone, so that the router does not dial again meanwhile.
func (p *peer) pass(w *world, ms int64) {
	w.loop.Clock += ms
	if p.socket.TimerAt != 0 && p.socket.TimerAt <= w.loop.Clock {
		p.socket.Fire(w.loop)
	}
}

var openings = []opening{
	{"1 refused", func(_ *world, p *peer) { p.socket.Finish(codec.ReasonDialRefused) }, codec.ReasonDialRefused, Dialling, false},
	{"2 connect hangs", func(_ *world, p *peer) { p.socket.Finish(codec.ReasonDialTime) }, codec.ReasonDialTime, Dialling, false},
	{"3 reset after accept", func(_ *world, p *peer) {
		p.socket.H.Opened(p.socket)
		p.socket.Finish(codec.ReasonPeerReset)
	}, codec.ReasonUpstreamReset, Nonce, false},
	{"3 closed after accept", func(_ *world, p *peer) {
		p.socket.H.Opened(p.socket)
		p.socket.H.EOF(p.socket)
	}, codec.ReasonUpstreamClosed, Nonce, false},
	{"4 no nonce, a byte a second", func(w *world, p *peer) {
		p.socket.H.Opened(p.socket)
		p.takeNonce()
		wire := p.enc.Append(nil, p.nonce.Append(nil))
		for i := range 5 {
			p.data([]byte{wire[i]})
			p.pass(w, 1000)
		}
	}, codec.ReasonLinkTime, Nonce, false},
	{"5 another selector", nonce(func(p *peer) { p.nonce.Selector++ }), codec.ReasonLinkSelector, Nonce, false},
	{"6 clock 31 s ahead", nonce(func(p *peer) { p.nonce.Time = wall + 31 }), codec.ReasonLinkSkew, Nonce, false},
	{"6 clock 31 s behind", nonce(func(p *peer) { p.nonce.Time = wall - 31 }), codec.ReasonLinkSkew, Nonce, false},
	{"7 closed for our clock", func(_ *world, p *peer) {
		p.socket.H.Opened(p.socket)
		p.socket.Finish(codec.ReasonPeerClosed)
	}, codec.ReasonUpstreamClosed, Nonce, false},
	{"8 schema 0", nonce(func(p *peer) { p.nonce.Schema = 0 }), codec.ReasonLinkSchema, Nonce, false},
	{"8 schema 9", nonce(func(p *peer) { p.nonce.Schema = 9 }), codec.ReasonLinkSchema, Nonce, false},
	{"9 nonce frame with another sequence", raw(4, 1), codec.ReasonFrameSeq, Nonce, false},
	{"9 nonce frame with a wrong checksum", raw(41, 1), codec.ReasonFrameSum, Nonce, false},
	{"10 our own nonce", nonce(func(p *peer) { p.nonce.Random = p.theirs.Random }), codec.ReasonLinkNonce, Nonce, false},
	{"11 wrong key, silence", func(w *world, p *peer) {
		hello(p)
		p.pass(w, shakeTime)
	}, codec.ReasonLinkTime, Handshake, true},
	{"11 wrong key, closed", func(_ *world, p *peer) {
		hello(p)
		p.socket.H.EOF(p.socket)
	}, codec.ReasonLinkMute, Handshake, true},
	{"11 wrong key, reset", func(_ *world, p *peer) {
		hello(p)
		p.socket.Finish(codec.ReasonPeerReset)
	}, codec.ReasonLinkMute, Handshake, true},
	{"12 handshake error", func(_ *world, p *peer) {
		hello(p)
		p.send((&rpc.HandshakeError{Code: rpc.RefusedCRC32C}).Append(nil))
	}, codec.ReasonLinkRefused, Handshake, false},
	{"13 low flags", func(_ *world, p *peer) {
		hello(p)
		p.sendHello(2)
	}, codec.ReasonLinkHandshake, Handshake, false},
	{"15 another process", func(_ *world, p *peer) {
		hello(p)
		p.hello.Sender.PID++
		p.sendHello(0)
	}, codec.ReasonLinkPID, Handshake, false},
	{"18 handshake of 2 KiB", func(_ *world, p *peer) {
		hello(p)
		p.send(make([]byte, 2048))
	}, codec.ReasonFrameSize, Handshake, false},
	{"42 bytes behind the nonce", func(_ *world, p *peer) {
		p.socket.H.Opened(p.socket)
		p.takeNonce()
		wire := p.enc.Append(nil, p.nonce.Append(nil))
		p.data(append(wire, make([]byte, 64)...))
	}, codec.ReasonFrameSize, Handshake, false},
}

// Every fault of an opening ends the link with its reason, counts and reports it, lets the address rest, and keeps the
// client, for whom another link comes. (Faults of spec upstream-protocols 8 by number.)
func TestOpeningFaults(t *testing.T) {
	for _, f := range openings {
		t.Run(f.fault, func(t *testing.T) {
			var got []Report
			w := newWorld(t, oneAddr, Options{
				Process: rpc.ProcessID{PID: 7, Start: 1}, Report: func(r Report) { got = append(got, r) },
			})
			c := w.open(2, codec.Padded)
			w.meet()
			p := w.peers[0]
			p.crc32c = false
			dials := len(w.loop.Dialed)
			f.do(w, p)
			if len(got) != 1 || got[0].Why != f.why || got[0].Stage != f.stage || got[0].Hint != f.hint {
				t.Fatalf("reported %+v, want %v at %v", got, f.why, f.stage)
			}
			if n := w.r.Count.Failed[f.why]; n != 1 || w.r.Count.Ready != 0 {
				t.Fatalf("counted %d", n)
			}
			if !p.socket.Dead() && p.socket.Closing == codec.ReasonNone {
				t.Fatal("the socket lives on")
			}
			p.socket.Finish(f.why)
			rest := w.r.hosts[p.socket.To.Addr].next - w.loop.Clock
			if f.hint && rest < muteWait || rest > 250 && rest != muteWait {
				t.Fatalf("the address rests for %d ms", rest)
			}
			if f.why == codec.ReasonLinkRefused && (got[0].Code != rpc.RefusedCRC32C || w.r.Count.Refused[5] != 1) {
				t.Fatalf("code %v", got[0].Code)
			}
			if f.why == codec.ReasonLinkSkew && got[0].Skew != 31 && got[0].Skew != -31 {
				t.Fatalf("skew %d", got[0].Skew)
			}
			w.pass(rest + 32)
			if c.ends > 0 { // the fault took longer than a client is held
				return
			}
			if len(w.loop.Dialed) <= dials && rest > 0 {
				t.Fatal("nobody dials again")
			}
			w.up()
			if err := w.ping(c, 1); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// Fault 14: CRC-32C that was not offered.
func TestChecksumNotOffered(t *testing.T) {
	w := newWorld(t, oneAddr, Options{NoCRC32C: true})
	w.open(2, codec.Padded)
	w.meet()
	hello(w.peers[0])
	if w.peers[0].hello.Flags != 0 {
		t.Fatalf("offered %x", w.peers[0].hello.Flags)
	}
	w.peers[0].sendHello(rpc.HandshakeCRC32C)
	if w.r.Count.Failed[codec.ReasonLinkChecksum] != 1 {
		t.Fatal("accepted")
	}
}

// Fault 5: another selector, or an end at our nonce, asks for a new secret, at most once a minute, and while the secret
// before may still be good both are tried in turn.
func TestChangedSecret(t *testing.T) {
	for _, closes := range []bool{false, true} {
		changedSecret(t, closes)
	}
}

func changedSecret(t *testing.T, closes bool) {
	asked := 0
	w := newWorld(t, "", Options{Stale: func() { asked++ }})
	b := book(t, oneAddr)
	b.Secret = append([]byte("new!"), b.Secret[4:]...)
	b.Old, b.OldSelector, b.OldUntil = testSecret, testSecret.Selector(), wall+3600
	w.r.Use(b)
	w.open(2, codec.Padded)
	var seen []uint32
	for i := range 4 {
		w.meet()
		p := w.peers[i]
		p.socket.H.Opened(p.socket)
		p.takeNonce()
		seen = append(seen, p.theirs.Selector)
		p.nonce.Selector = 1
		if closes {
			p.socket.H.EOF(p.socket)
		} else {
			p.data(p.enc.Append(nil, p.nonce.Append(nil)))
		}
		for n := len(w.loop.Dialed); n == len(w.loop.Dialed); {
			w.pass(100)
		}
	}
	// two links are dialled at once, so each secret shows up within three
	if asked != 1 || seen[0] != b.Secret.Selector() || seen[2] != testSecret.Selector() && seen[1] != testSecret.Selector() {
		t.Fatalf("asked %d times, selectors %x", asked, seen)
	}
}

// Fault 40 and spec 2.4: without an address of the middle proxy's family there are no keys.
func TestMixedFamilies(t *testing.T) {
	w := newWorld(t, oneAddr, Options{})
	w.open(2, codec.Padded)
	w.meet()
	p := w.peers[0]
	p.socket.Own = netip.MustParseAddrPort("[2001:db8::1]:4000")
	p.socket.H.Opened(p.socket)
	p.takeNonce()
	p.data(p.enc.Append(nil, p.nonce.Append(nil)))
	if w.r.Count.Failed[codec.ReasonLinkKeys] != 1 {
		t.Fatal("no ReasonLinkKeys")
	}
}

// Everything of an opening may come a byte at a time, and with the first messages in one read (fault 42, behind the
// handshake).
func TestOpeningPieces(t *testing.T) {
	w := newWorld(t, oneAddr, Options{})
	c := w.open(2, codec.Padded)
	w.meet()
	p := w.peers[0]
	p.socket.H.Opened(p.socket)
	p.takeNonce()
	wire := append(p.enc.Append(nil, p.nonce.Append(nil)), 4, 0, 0, 0) // with the filler of some peers
	p.start(p.socket.Own)
	for _, b := range wire {
		p.data([]byte{b})
	}
	p.takeHello()
	answer := rpc.Handshake{Sender: rpc.ProcessID{PID: 9}, Peer: p.hello.Sender}
	wire = p.frames(answer.Append(nil), rpc.AppendPing(nil, 5))
	for _, b := range wire {
		p.data([]byte{b})
	}
	p.ready = true
	w.turn()
	if len(p.pongs) != 1 || p.pongs[0] != 5 {
		t.Fatalf("pongs %v", p.pongs)
	}
	if err := w.ping(c, 1); err != nil {
		t.Fatal(err)
	}
}

// Spec 4.2: an address that fails again and again rests longer and longer, and no pool dials more than two at once.
func TestBackoff(t *testing.T) {
	w := newWorld(t, oneAddr, Options{Warm: []codec.DC{2}})
	at, dials := w.loop.Clock, 0
	var gaps []int64
	for len(gaps) < 10 {
		w.pass(16)
		for _, s := range w.loop.Dialed[dials:] {
			gaps = append(gaps, w.loop.Clock-at)
			at = w.loop.Clock
			dials++
			s.Finish(codec.ReasonDialRefused)
		}
		if w.loop.Clock > 200_000 {
			t.Fatalf("only %v", gaps)
		}
	}
	for i, gap := range gaps {
		most := backoff[min(i, len(backoff)-1)] + upkeepTime
		if i > 0 && gap > most {
			t.Errorf("attempt %d after %d ms, at most %d", i, gap, most)
		}
	}
	total := int64(0)
	for _, g := range gaps {
		total += g
	}
	if total < 8000 {
		t.Errorf("10 attempts in %d ms: %v", total, gaps)
	}
	for range 5000 {
		w.open(2, codec.Padded)
	}
	w.loop.Clock += 60_000
	w.r.Timer(nil)
	if n := len(w.loop.Dialed) - dials; n > maxDialling {
		t.Errorf("%d connects at once", n)
	}
}

// Fault 39: a connect that cannot even begin, for want of descriptors, is a failure like others: the client waits and is
// served when there is one.
func TestNoDescriptor(t *testing.T) {
	w := newWorld(t, oneAddr, Options{})
	w.loop.Refuse = codec.ReasonDialError
	c := w.open(2, codec.Padded)
	w.pass(500)
	if n := w.r.Count.Failed[codec.ReasonDialError]; n == 0 || n > 4 || c.ends != 0 {
		t.Fatalf("%d failures in 500 ms, %d ends", n, c.ends)
	}
	w.loop.Refuse = codec.ReasonNone
	w.pass(backoff[4])
	w.up()
	if err := w.ping(c, 1); err != nil {
		t.Fatal(err)
	}
}
