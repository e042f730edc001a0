package engine_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"testing"
	"time"

	"epoxy/codec"
	"epoxy/codec/faketls"
	"epoxy/codec/frame"
	"epoxy/codec/obfs2"
	"epoxy/codec/secret"
	"epoxy/engine"
	"epoxy/engine/config"
	"epoxy/engine/reactor"
	"epoxy/engine/stats"
	"epoxy/upstream/faketg"
)

// patience is how long a test waits for what must come; nothing waits for it to pass.
const patience = 20 * time.Second

var key = codec.Key{0xd0, 0xd6, 0xe1, 0x11, 0xba, 0xda, 0x55, 0x11, 0xfc, 0xce, 0x95, 0x84, 0xde, 0xad, 0xbe, 0xef}

// house is a proxy in front of a fake datacenter, both on loopback.
type house struct {
	*engine.Engine
	tg   *faketg.Server
	addr string
}

// telegram runs a fake datacenter on a reactor of its own.
func telegram(t testing.TB, faults faketg.Faults) (*faketg.Server, netip.AddrPort) {
	t.Helper()
	r, err := reactor.New(reactor.Options{CPU: -1, StallTime: 4 * patience.Milliseconds()}) // the tests are about the proxy's
	if err != nil {
		t.Fatal(err)
	}
	srv := faketg.NewServer(faults)
	ln, err := reactor.Listen("127.0.0.1:0", reactor.ListenOptions{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.AddrPort()
	if err := r.AddListener(ln, srv.On(r)); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- r.Run() }()
	t.Cleanup(func() {
		r.Stop()
		if err := <-ended; err != nil {
			t.Errorf("the fake datacenter's loop: %v", err)
		}
	})
	return srv, addr
}

// settings are those of a test: all protocols, one secret, DC 2 at dc.
func settings(dc ...netip.AddrPort) *config.Settings {
	s := config.Default()
	s.Listen = []config.Listen{listen("port1", "127.0.0.1:0")}
	s.Secrets = []config.NamedSecret{{Name: "a", Secret: secret.Secret{Key: key}}}
	s.Domain = "example.com"
	s.Allow = config.AllowOf(codec.Classic, codec.Secure, codec.TLS)
	s.Upstream = config.UpstreamDirect
	if len(dc) == 0 {
		dc = []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:1")} // nobody is there
	}
	s.DC = map[codec.DC][]netip.AddrPort{2: dc}
	s.Loops = 2
	return s
}

func listen(name, addr string) config.Listen {
	e, err := config.ParseEndpoint(addr)
	if err != nil {
		panic(err)
	}
	return config.Listen{Name: name, Endpoint: e}
}

// start runs a proxy of these settings until the test ends.
func start(t testing.TB, set *config.Settings) *house {
	t.Helper()
	h := &house{}
	if err := set.Validate(); err != nil {
		t.Fatal(err)
	}
	e, err := engine.New(set, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Stop)
	h.Engine, h.addr = e, e.Addrs()[0]
	return h
}

// proxy runs a proxy with its own good datacenter.
func proxy(t testing.TB) *house {
	t.Helper()
	srv, dc := telegram(t, faketg.Faults{})
	h := start(t, settings(dc))
	h.tg = srv
	return h
}

// client speaks to a proxy as an app does, on a blocking socket.
type client struct {
	net.Conn
	proto    codec.Protocol
	tag      codec.Transport
	up, down obfs2.Stream
	records  faketls.Reader
	plain    []byte // deciphered and not yet read
	buf      []byte
}

// way is a protocol and the tag a client uses in it.
type way struct {
	proto codec.Protocol
	tag   codec.Transport
}

var ways = []way{
	{codec.Classic, codec.Abridged}, {codec.Classic, codec.Intermediate},
	{codec.Secure, codec.Padded}, {codec.TLS, codec.Padded},
}

func (w way) String() string { return fmt.Sprint(w.proto, " ", w.tag) }

func random(p []byte) { _, _ = rand.Read(p) }

// dial connects and opens; it fails the test when the proxy does not play along.
func dial(t testing.TB, addr string, w way, dc codec.DC) *client {
	t.Helper()
	c, err := open(addr, w, dc, key)
	if err != nil {
		t.Fatalf("%v: %v", w, err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func open(addr string, w way, dc codec.DC, key codec.Key) (*client, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var d net.Dialer
	network := "tcp"
	if addr[0] == '/' {
		network = "unix"
	}
	conn, err := d.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	c := &client{Conn: conn, proto: w.proto, tag: w.tag, buf: make([]byte, 64<<10)}
	_ = conn.SetDeadline(time.Now().Add(patience))
	if err := c.open(dc, key); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return c, nil
}

func (c *client) open(dc codec.DC, key codec.Key) error {
	if c.proto == codec.TLS {
		if err := c.hello(key, uint32(time.Now().Unix())); err != nil {
			return err
		}
	}
	for {
		var seed [obfs2.InitSize]byte
		random(seed[:])
		wire, up, down, ok := obfs2.ClientInit(&seed, &key, c.tag, dc)
		if ok {
			c.up, c.down = up, down
			return c.raw(wire[:])
		}
	}
}

var shares, sharesErr = faketls.NewShares(random)

// hello sends a ClientHello and checks the answer.
func (c *client) hello(key codec.Key, unix uint32) error {
	if sharesErr != nil {
		return sharesErr
	}
	spec := faketls.ClientHello{Domain: "example.com", Secret: key, Unix: unix, Shares: shares}
	hello, err := spec.Append(nil, random)
	if err != nil {
		return err
	}
	if _, err := c.Write(hello); err != nil {
		return err
	}
	var flight []byte
	for {
		n, err := c.Read(c.buf)
		flight = append(flight, c.buf[:n]...)
		used, bad := faketls.CheckFlight(flight, &key, hello[11:43])
		switch {
		case bad == nil && used == len(flight):
			_, err := c.Write([]byte{0x14, 3, 3, 0, 1, 1})
			return err
		case bad == nil:
			return fmt.Errorf("%d bytes behind the flight", len(flight)-used)
		case bad != codec.ErrShort:
			return bad
		case err != nil:
			return err
		}
	}
}

// raw sends p in records when the client has them.
func (c *client) raw(p []byte) error {
	if c.proto == codec.TLS {
		p = faketls.AppendRecords(nil, p, faketls.ClientPayload)
	}
	_, err := c.Write(p)
	return err
}

// send sends one packet.
func (c *client) send(body []byte) error {
	p := frame.Append(nil, c.tag, body, nil)
	c.up.XOR(p, p)
	return c.raw(p)
}

// fill reads once from the socket into plain.
func (c *client) fill() error {
	n, err := c.Read(c.buf)
	p := c.buf[:n]
	if c.proto == codec.TLS {
		m, bad := c.records.Strip(p)
		if bad != nil {
			return bad
		}
		p = p[:m]
	}
	c.down.XOR(p, p)
	c.plain = append(c.plain, p...)
	if len(p) > 0 {
		return nil
	}
	return err
}

// receive returns the next packet.
func (c *client) receive() ([]byte, error) {
	for {
		p, used, err := frame.Next(c.tag, c.plain)
		if err == nil {
			body := bytes.Clone(p.Body)
			c.plain = c.plain[used:]
			return body, nil
		}
		if err != codec.ErrShort {
			return nil, err
		}
		if err := c.fill(); err != nil {
			return nil, err
		}
	}
}

// ping sends size random bytes and wants them back.
func (c *client) ping(size int) error {
	body := make([]byte, size)
	random(body)
	body[0] |= 1 // no unencrypted message by chance
	if err := c.send(body); err != nil {
		return err
	}
	got, err := c.receive()
	if err != nil {
		return err
	}
	if !bytes.Equal(got, body) {
		return fmt.Errorf("%d bytes came back, and not the %d sent", len(got), len(body))
	}
	return nil
}

func mustPing(t testing.TB, c *client, size int) {
	t.Helper()
	if err := c.ping(size); err != nil {
		t.Fatalf("%v %v: ping of %d bytes: %v", c.proto, c.tag, size, err)
	}
}

// wantEnd reads until the peer ends the connection and returns how many bytes came before that.
func wantEnd(t testing.TB, c net.Conn) int {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(patience))
	n, err := io.Copy(io.Discard, c)
	if e, ok := err.(net.Error); ok && e.Timeout() {
		t.Fatal("the connection stays open")
	}
	return int(n)
}

// snapshot asks every loop for its counters.
func (h *house) snapshot() *stats.Snapshot {
	var s stats.Snapshot
	h.Collect(&s)
	return &s
}

// wait polls the counters until ok, and fails the test when that never comes.
func (h *house) wait(t testing.TB, ok func(stats.Loop) bool) {
	t.Helper()
	eventually(t, func() bool { return ok(h.snapshot().Sum()) }, func() string {
		return fmt.Sprintf("the counters never fit: %+v", h.snapshot().Sum())
	})
}

// eventually polls ok; what says what is wrong when it never comes.
func eventually(t testing.TB, ok func() bool, what func() string) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal(what())
		}
	}
}
