package middle

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"testing"

	"epoxy/codec"
	"epoxy/codec/frame"
	"epoxy/codec/full"
	"epoxy/codec/rpc"
	"epoxy/upstream"
	"epoxy/upstream/dcmap"
	"epoxy/upstream/upstreamtest"
)

// wall is the wall clock of the tests.
const wall = 1_795_000_000

// testSecret is the secret that router and middle proxies share.
var testSecret = dcmap.Secret(bytes.Repeat([]byte("0123456789abcdef"), 8))

// peer is a middle proxy on the other end of a dialled socket, by the book; tests make it do wrong.
type peer struct {
	t       testing.TB
	socket  *upstreamtest.Socket
	secret  dcmap.Secret
	enc     full.Encoder
	dec     full.Decoder
	crc32c  bool // accept the offer
	nonce   rpc.Nonce
	theirs  rpc.Nonce
	hello   rpc.Handshake
	ready   bool
	queries []rpc.Query // copies
	closes  []uint64
	pings   []uint64
	pongs   []uint64
}

// world is a loop, its router, and the middle proxies that it dialled.
type world struct {
	t     testing.TB
	loop  *upstreamtest.Loop
	r     *Router
	peers []*peer // of loop.Dialed, in order
}

// book returns an address book from the text of a configuration.
func book(t testing.TB, text string) *dcmap.Snapshot {
	t.Helper()
	list, err := dcmap.Parse([]byte(text), dcmap.V4)
	if err != nil {
		t.Fatal(err)
	}
	return &dcmap.Snapshot{Generation: 1, Secret: testSecret, Selector: testSecret.Selector(), V4: list}
}

const (
	oneAddr = "default 2;\nproxy_for 2 192.0.2.1:8888;\n"
	twoAddr = "default 2;\nproxy_for 2 192.0.2.1:8888;\nproxy_for 2 192.0.2.2:8888;\n"
)

func newWorld(t testing.TB, text string, o Options) *world {
	w := &world{t: t, loop: upstreamtest.NewLoop(wall)}
	w.r = NewRouter(w.loop, o)
	if text != "" {
		w.r.Use(book(t, text))
	}
	return w
}

// task returns the router's own socket.
func (w *world) task() *upstreamtest.Socket { return w.loop.Tasks[len(w.loop.Tasks)-1] }

// meet makes peers for what was dialled since.
func (w *world) meet() {
	for i := len(w.peers); i < len(w.loop.Dialed); i++ {
		s := w.loop.Dialed[i]
		s.Own = netip.AddrPortFrom(netip.MustParseAddr("192.0.2.200"), uint16(40000+i))
		w.peers = append(w.peers, &peer{t: w.t, socket: s, secret: testSecret, crc32c: true})
	}
}

// up opens the newest links to readiness, until no more are dialled, and returns all peers that live.
func (w *world) up() []*peer {
	w.t.Helper()
	for {
		n := len(w.loop.Dialed)
		w.meet()
		for _, p := range w.peers {
			if !p.ready && !p.socket.Dead() && p.socket.Closing == codec.ReasonNone {
				p.open()
			}
		}
		w.turn()
		if n == len(w.loop.Dialed) {
			return w.alive()
		}
	}
}

func (w *world) alive() (list []*peer) {
	for _, p := range w.peers {
		if p.ready && !p.socket.Dead() && p.socket.Closing == codec.ReasonNone {
			list = append(list, p)
		}
	}
	return list
}

// turn runs the router's turns until it asks for none, and lets the peers read.
func (w *world) turn() {
	w.t.Helper()
	for range 10_000 {
		if !w.task().Turn() {
			for _, p := range w.peers {
				p.read()
			}
			return
		}
	}
	w.t.Fatal("the router asks for turns without end")
}

// pass lets time go by in steps, with the timers of the router and of its links.
func (w *world) pass(ms int64) {
	w.t.Helper()
	for end := w.loop.Clock + ms; w.loop.Clock < end; {
		w.loop.Clock = min(w.loop.Clock+16, end)
		for _, s := range append([]*upstreamtest.Socket{w.task()}, w.loop.Dialed...) {
			if s.TimerAt != 0 && s.TimerAt <= w.loop.Clock && !s.Dead() {
				s.Fire(w.loop)
			}
		}
		for _, s := range w.loop.Dialed {
			if s.Closing != codec.ReasonNone {
				s.Finish(s.Closing)
			}
		}
		w.turn()
	}
}

// open plays the whole opening.
func (p *peer) open() {
	p.t.Helper()
	p.socket.H.Opened(p.socket)
	p.takeNonce()
	p.sendNonce()
	p.takeHello()
	p.sendHello(0)
}

// next reads one frame of the opening.
func (p *peer) next() []byte {
	p.t.Helper()
	p.dec.Feed(p.socket.Take())
	body, err := p.dec.Next()
	if err != nil {
		p.t.Fatalf("no frame of the opening: %v", err)
	}
	return bytes.Clone(body)
}

func (p *peer) takeNonce() {
	p.t.Helper()
	var err error
	if p.theirs, err = rpc.ParseNonce(p.next()); err != nil {
		p.t.Fatal(err)
	}
	p.nonce = rpc.Nonce{Selector: p.secret.Selector(), Schema: rpc.SchemaAES, Time: wall, Random: [16]byte{7, 7, 7}}
}

// sendNonce sends the nonce in clear and starts the ciphers.
func (p *peer) sendNonce() {
	wire := p.enc.Append(nil, p.nonce.Append(nil))
	p.start(p.socket.Own)
	p.data(wire)
}

// start derives the keys for a proxy at an address.
func (p *peer) start(proxy netip.AddrPort) {
	n := full.Nonces{
		ProxyAddr: proxy, MiddleAddr: p.socket.To.Addr,
		ProxyNonce: p.theirs.Random, MiddleNonce: p.nonce.Random, Time: p.theirs.Time,
	}
	up, down, err := n.Derive(p.secret)
	if err != nil {
		p.t.Fatal(err)
	}
	p.enc.Start(&down)
	p.dec.Start(&up)
}

func (p *peer) takeHello() {
	p.t.Helper()
	var err error
	if p.hello, err = rpc.ParseHandshake(p.next()); err != nil {
		p.t.Fatal(err)
	}
}

// sendHello answers the handshake, with flags on top.
func (p *peer) sendHello(flags uint32) {
	answer := rpc.Handshake{Flags: flags, Sender: rpc.ProcessID{PID: 9}, Peer: p.hello.Sender}
	if p.crc32c {
		answer.Flags |= p.hello.Flags & rpc.HandshakeCRC32C
	}
	wire := p.frames(answer.Append(nil))
	if answer.Flags&rpc.HandshakeCRC32C != 0 {
		p.enc.UseCRC32C()
		p.dec.UseCRC32C()
	}
	p.ready = true
	p.data(wire)
}

// data brings bytes to the link.
func (p *peer) data(wire []byte) { p.socket.H.Data(p.socket, wire) }

// frames returns messages as one flush.
func (p *peer) frames(bodies ...[]byte) (wire []byte) {
	for _, b := range bodies {
		wire = p.enc.Append(wire, b)
	}
	return p.enc.Flush(wire, 0)
}

// send brings messages in one read.
func (p *peer) send(bodies ...[]byte) { p.data(p.frames(bodies...)) }

// answer sends an answer to a stream.
func (p *peer) answer(id uint64, data []byte) { p.send(rpc.AppendAnswer(nil, 0, id, data)) }

// read takes what the link wrote since.
func (p *peer) read() {
	p.t.Helper()
	if !p.ready || len(p.socket.Out) == 0 {
		return
	}
	p.dec.Feed(p.socket.Take())
	for {
		body, err := p.dec.Next()
		if err == codec.ErrShort {
			return
		}
		if err != nil {
			p.t.Fatalf("the link wrote a bad frame: %v", err)
		}
		m, err := rpc.Parse(body)
		if err != nil {
			p.t.Fatal(err)
		}
		switch m.Kind {
		case rpc.Request:
			q, err := rpc.ParseRequest(bytes.Clone(body))
			if err != nil {
				p.t.Fatal(err)
			}
			p.queries = append(p.queries, q)
		case rpc.CloseConn:
			p.closes = append(p.closes, m.ID)
		case rpc.Ping:
			p.pings = append(p.pings, m.ID)
		case rpc.Pong:
			p.pongs = append(p.pongs, m.ID)
		default:
			p.t.Fatalf("the link sent a %v", m.Kind)
		}
	}
}

// client is a session: a Sink that checks what it may expect.
type client struct {
	t         testing.TB
	s         upstream.Stream
	transport codec.Transport
	raw       []byte // delivered and not yet parsed
	got       [][]byte
	acks      []uint32
	delivers  int
	drained   int
	pauseAt   int // delivers after which it pauses; 0 is never
	ends      int
	why       codec.Reason
}

func (c *client) Deliver(p []byte) {
	c.delivers++
	if c.ends > 0 {
		c.t.Error("Deliver after Ended")
	}
	c.raw = append(c.raw, p...)
	for {
		a, n, err := frame.NextAnswer(c.transport, c.raw)
		if err != nil {
			if err != codec.ErrShort {
				c.t.Errorf("the client reads: %v", err)
			}
			break
		}
		if a.Body == nil {
			c.acks = append(c.acks, a.Confirm)
		} else {
			c.got = append(c.got, bytes.Clone(a.Body))
		}
		c.raw = c.raw[n:]
	}
	if c.pauseAt > 0 && c.delivers >= c.pauseAt {
		c.s.Pause()
	}
	clear(p) // the sink may do with p what it wants
}

func (c *client) SendDrained()           { c.drained++ }
func (c *client) EndOfStream()           { c.t.Error("EndOfStream") }
func (c *client) Ended(why codec.Reason) { c.ends++; c.why = why }

// open starts a client's stream.
func (w *world) open(dc codec.DC, transport codec.Transport) *client {
	w.t.Helper()
	c := &client{t: w.t, transport: transport}
	s, why := w.r.Open(upstream.Request{
		DC: dc, Transport: transport, Client: netip.MustParseAddrPort("198.51.100.7:50000"),
		Local: netip.MustParseAddrPort("192.0.2.200:443"),
	}, c)
	if why != codec.ReasonNone {
		w.t.Fatalf("open: %v", why)
	}
	c.s = s
	return c
}

// opened starts n clients with links that are ready.
func (w *world) opened(n int) (list []*client) {
	for range n {
		list = append(list, w.open(2, codec.Intermediate))
	}
	w.up()
	return list
}

// packet returns an encrypted packet with a mark, of size bytes.
func packet(mark, size int) []byte {
	p := make([]byte, size)
	for i := range p {
		p[i] = byte(i*7 + mark)
	}
	if size >= 8 {
		binary.LittleEndian.PutUint64(p, 0xabcdef00+uint64(mark)+1)
	}
	return p
}

// send sends a packet of the client up.
func (c *client) send(body []byte) { c.s.Send(frame.Append(nil, c.transport, body, nil)) }

// id returns the stream's id on its link.
func (c *client) id() uint64 { return c.s.(*Stream).id }

// peerOf returns the peer on which a client's stream is.
func (w *world) peerOf(c *client) *peer {
	w.t.Helper()
	l := c.s.(*Stream).link
	if l == nil {
		w.t.Fatal("the client has no link")
	}
	for _, p := range w.peers {
		if p.socket == l.socket {
			return p
		}
	}
	w.t.Fatal("nobody is at the other end")
	return nil
}

// ping sends a packet up and its echo down.
func (w *world) ping(c *client, mark int) error {
	p := w.peerOf(c)
	body := packet(mark, 64)
	before, had := len(p.queries), len(c.got)
	c.send(bytes.Clone(body))
	w.turn()
	if len(p.queries) != before+1 || !bytes.Equal(p.queries[before].Packet, body) {
		return fmt.Errorf("the middle proxy has %d queries, had %d", len(p.queries), before)
	}
	if p.queries[before].ID != c.id() {
		return fmt.Errorf("the query is of stream %x, not %x", p.queries[before].ID, c.id())
	}
	p.answer(p.queries[before].ID, body)
	if len(c.got) != had+1 || !bytes.Equal(c.got[had], body) {
		return fmt.Errorf("the client has %d answers, had %d", len(c.got), had)
	}
	return nil
}
