package session

import (
	"bytes"
	"fmt"
	"net/netip"
	"testing"
	"unsafe"

	"epoxy/codec"
	"epoxy/codec/faketls"
	"epoxy/codec/obfs2"
	"epoxy/engine/replay"
	"epoxy/upstream"
	"epoxy/upstream/upstreamtest"
)

const testTime = 1_795_000_000

var testKey = codec.Key{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}

// stream is a Router and its one Stream: it keeps what goes up and lets the test speak for Telegram.
type stream struct {
	req    upstream.Request
	sink   upstream.Sink
	up     []byte
	queued int
	paused bool
	fin    bool
	closed codec.Reason
	cold   int
	refuse codec.Reason
	opened int
}

func (t *stream) Open(req upstream.Request, sink upstream.Sink) (upstream.Stream, codec.Reason) {
	if t.refuse != codec.ReasonNone {
		return nil, t.refuse
	}
	t.opened++
	t.req, t.sink = req, sink
	return t, codec.ReasonNone
}
func (t *stream) Send(p []byte)          { t.up = append(t.up, p...) }
func (t *stream) Queued() int            { return t.queued }
func (t *stream) Pause()                 { t.paused = true }
func (t *stream) Resume()                { t.paused = false }
func (t *stream) CloseSend()             { t.fin = true }
func (t *stream) Compact()               { t.cold++ }
func (t *stream) Close(why codec.Reason) { t.closed = why }

// rig is one session on a loop in memory, with a client's ciphers.
type rig struct {
	loop     *upstreamtest.Loop
	env      *Env
	port     *Port
	tg       *stream
	front    *stream // of newFront only
	sock     *upstreamtest.Socket
	s        *Session
	born     int64 // clock at accept
	up, down obfs2.Stream
}

var allAllowed = codec.ProtocolsOf(codec.Classic, codec.Secure, codec.TLS)

func newRig(allow codec.Protocols, secrets ...Secret) *rig {
	if len(secrets) == 0 {
		secrets = []Secret{{Name: "a", Key: testKey, Domain: "example.com"}}
	}
	r := &rig{loop: upstreamtest.NewLoop(testTime), tg: &stream{}}
	r.env = NewEnv(r.loop, r.tg, replay.New(1<<16))
	r.port = NewPort(r.env, Port{
		Name: "port1", Allow: allow, Secrets: NewSecrets(secrets), Sites: &Sites{Default: &faketls.Profile{}},
		Timing: &Timing{FirstByte: 60_000, Handshake: 10_000, Idle: 1_200_000, Compact: 30_000, Window: 600},
	})
	r.connect("192.0.2.1:4000")
	return r
}

// newFront is newRig with a front, and change applied to the port before the session begins.
func newFront(allow codec.Protocols, change func(*Port)) *rig {
	r := newRig(allow)
	r.front = &stream{}
	r.env.Front = r.front
	if change != nil {
		change(r.port)
	}
	r.env.Count = Counters{}
	r.connect("192.0.2.1:4000")
	return r
}

// connect begins another session on the same loop and port.
func (r *rig) connect(peer string) {
	a := netip.MustParseAddrPort(peer)
	r.sock = &upstreamtest.Socket{Remote: a}
	r.s = New(r.port, r.sock, a)
	r.sock.H = r.s
	r.born = r.loop.Clock
}

// init returns the client's 64 bytes and keeps its ciphers.
func (r *rig) init(key codec.Key, tag codec.Transport, dc codec.DC) []byte {
	for {
		var random [obfs2.InitSize]byte
		r.loop.Rand(random[:])
		wire, up, down, ok := obfs2.ClientInit(&random, &key, tag, dc)
		if ok {
			r.up, r.down = up, down
			return wire[:]
		}
	}
}

func (r *rig) hello(t testing.TB, key codec.Key, unix uint32) (hello, random []byte) {
	t.Helper()
	shares, err := faketls.NewShares(r.loop.Rand)
	if err != nil {
		t.Fatal(err)
	}
	c := faketls.ClientHello{Domain: "example.com", Secret: key, Unix: unix, Shares: shares}
	hello, err = c.Append(nil, r.loop.Rand)
	if err != nil {
		t.Fatal(err)
	}
	return hello, bytes.Clone(hello[11:43])
}

// feed hands a copy of p to the session, as the reactor does with its own buffer.
func (r *rig) feed(p []byte) { r.s.Data(r.sock, bytes.Clone(p)) }

func (r *rig) seal(p []byte) []byte {
	q := make([]byte, len(p))
	r.up.XOR(q, p)
	return q
}

func (r *rig) opened(p []byte) []byte {
	q := make([]byte, len(p))
	r.down.XOR(q, p)
	return q
}

func wantState(t *testing.T, r *rig, want State) {
	t.Helper()
	if r.s.State() != want {
		t.Fatalf("state is %v, want %v", r.s.State(), want)
	}
}

func wantCount(t *testing.T, what string, got, want uint64) {
	t.Helper()
	if got != want {
		t.Fatalf("%s: %d, want %d", what, got, want)
	}
}

func TestSize(t *testing.T) {
	if n := unsafe.Sizeof(Session{}); n > 256 {
		t.Fatalf("a session takes %d bytes, more than 256", n)
	}
}

// A bare client of each tag reaches its DC, and bytes flow both ways at every cut of the opening.
func TestBareClients(t *testing.T) {
	for _, tag := range []codec.Transport{codec.Abridged, codec.Intermediate, codec.Padded} {
		for cut := 1; cut < 80; cut += 7 {
			t.Run(fmt.Sprintf("%v cut at %d", tag, cut), func(t *testing.T) {
				r := newRig(allAllowed)
				wire := r.init(testKey, tag, -4)
				wire = append(wire, r.seal([]byte("hello, telegram"))...)
				cut := min(cut, len(wire)-1)
				r.feed(wire[:cut])
				r.feed(wire[cut:])
				wantState(t, r, Relay)
				if r.tg.req.DC != -4 || r.tg.req.Transport != tag {
					t.Fatalf("the stream was asked for %v %v", r.tg.req.DC, r.tg.req.Transport)
				}
				if string(r.tg.up) != "hello, telegram" {
					t.Fatalf("Telegram got %q", r.tg.up)
				}
				r.tg.sink.Deliver([]byte("hello, client"))
				if got := r.opened(r.sock.Take()); string(got) != "hello, client" {
					t.Fatalf("the client got %q", got)
				}
			})
		}
	}
}

// A03 A04 B10: a fake-TLS client of today's size is answered with one flight in one write and carried in
// records, with its opening cut at any byte.
func TestTLSClient(t *testing.T) {
	for _, cut := range []int{1, 2, 3, 5, 11, 43, 500, 1448} {
		r := newRig(allAllowed)
		hello, random := r.hello(t, testKey, testTime-5)
		r.feed(hello[:cut])
		if len(r.sock.Out) != 0 {
			t.Fatal("something was answered to half a hello")
		}
		r.feed(hello[cut:])
		wantState(t, r, Opening)
		flight := r.sock.Take()
		if used, err := faketls.CheckFlight(flight, &testKey, random); err != nil || used != len(flight) {
			t.Fatalf("the flight of %d bytes: used %d, %v", len(flight), used, err)
		}
		if r.sock.Writes != 1 {
			t.Fatalf("the flight took %d writes", r.sock.Writes)
		}
		stream := append(r.init(testKey, codec.Padded, 2), r.seal(bytes.Repeat([]byte("up"), 5000))...)
		wire := append([]byte{0x14, 3, 3, 0, 1, 1}, faketls.AppendRecords(nil, stream, 2878)...)
		for len(wire) > 0 {
			n := min(cut, len(wire))
			r.feed(wire[:n])
			wire = wire[n:]
		}
		wantState(t, r, Relay)
		if !bytes.Equal(r.tg.up, bytes.Repeat([]byte("up"), 5000)) {
			t.Fatalf("cut %d: Telegram got %d bytes, not the 10000 sent", cut, len(r.tg.up))
		}
		down := bytes.Repeat([]byte("down"), 50_000)
		r.tg.sink.Deliver(bytes.Clone(down))
		if got := r.opened(stripAll(t, r.sock.Take())); !bytes.Equal(got, down) {
			t.Fatalf("the client got %d bytes, not the %d sent", len(got), len(down))
		}
		wantCount(t, "tls handshakes", r.env.Count.Handshakes[codec.TLS], 1)
	}
}

// stripAll checks that p is whole records of 1..16384 bytes and returns their payload.
func stripAll(t *testing.T, p []byte) []byte {
	t.Helper()
	var out []byte
	for len(p) > 0 {
		if len(p) < 5 || p[0] != 0x17 || p[1] != 3 || p[2] != 3 {
			t.Fatalf("no application record at % x", p[:min(len(p), 5)])
		}
		n := int(p[3])<<8 | int(p[4])
		if n == 0 || n > 16384 || len(p) < 5+n {
			t.Fatalf("a record of %d bytes with %d left", n, len(p)-5)
		}
		out = append(out, p[5:5+n]...)
		p = p[5+n:]
	}
	return out
}
