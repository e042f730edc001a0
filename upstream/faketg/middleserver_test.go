package faketg

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"epoxy/codec"
	"epoxy/codec/rpc"
	"epoxy/engine/reactor"
)

// serveMiddle puts a middle server for datacenter dc on a loop and returns its address.
func serveMiddle(t *testing.T, o MiddleSettings, f MiddleFaults, dc codec.DC) (*MiddleServer, string) {
	t.Helper()
	o.Secret = testSecret
	s := NewMiddleServer(o, f)
	addr := run(t, func(r *reactor.Reactor) reactor.Acceptor { return s.On(r, dc) })
	return s, addr
}

// run puts an acceptor on a loop of its own.
func run(t *testing.T, on func(*reactor.Reactor) reactor.Acceptor) string {
	t.Helper()
	r, err := reactor.New(reactor.Options{CPU: -1})
	if err != nil {
		t.Fatal(err)
	}
	l, err := reactor.Listen("127.0.0.1:0", reactor.ListenOptions{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.AddListener(l, on(r)); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- r.Run() }()
	t.Cleanup(func() {
		r.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return l.Addr()
}

// conn is a proxyEnd over TCP.
type conn struct {
	*proxyEnd
	*net.TCPConn
	t   *testing.T
	buf []byte
}

// connect dials addr, and says nothing yet.
func connect(t *testing.T, addr string) *conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	p := newProxyEnd(rpc.HandshakeCRC32C)
	p.addrs.ProxyAddr = c.LocalAddr().(*net.TCPAddr).AddrPort()
	p.addrs.MiddleAddr = c.RemoteAddr().(*net.TCPAddr).AddrPort()
	p.addrs.Time = uint32(time.Now().Unix())
	p.nonce.Time = p.addrs.Time
	return &conn{proxyEnd: p, TCPConn: c.(*net.TCPConn), t: t, buf: make([]byte, 64<<10)}
}

// dialLink dials addr and opens a link.
func dialLink(t *testing.T, addr string) *conn {
	t.Helper()
	c := connect(t, addr)
	if err := c.open(); err != nil {
		t.Fatal(err)
	}
	return c
}

// open goes through nonce and handshake.
func (c *conn) open() error {
	c.put(c.hello())
	nonce, err := c.take(44)
	if err != nil {
		return err
	}
	var n rpc.Nonce // the test's clock stands still, this one not
	if n, err = rpc.ParseNonce(nonce[8:40]); err != nil {
		return err
	}
	if err := c.nonce.Accept(&n, time.Now().Unix()); err != nil {
		return err
	}
	hello, err := c.greetAt(nonce, &n)
	if err != nil {
		return err
	}
	c.put(hello)
	answer, err := c.take(48)
	if err != nil {
		return err
	}
	_, err = c.ready(answer)
	return err
}

// greetAt is greet for a nonce that was accepted.
func (p *proxyEnd) greetAt(wire []byte, n *rpc.Nonce) ([]byte, error) {
	p.dec.Feed(wire)
	if _, err := p.dec.Next(); err != nil {
		return nil, err
	}
	return p.start(n)
}

func (c *conn) put(p []byte) {
	c.t.Helper()
	if _, err := c.Write(p); err != nil && !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
		c.t.Fatal(err)
	}
}

func (c *conn) take(n int) ([]byte, error) {
	p := make([]byte, n)
	_, err := io.ReadFull(c, p)
	return p, err
}

// next returns at least n messages, or what ended the link before.
func (c *conn) next(n int) (all []rpc.Message, err error) {
	for len(all) < n {
		k, err := c.Read(c.buf)
		if err != nil {
			return all, err
		}
		c.dec.Feed(c.buf[:k])
		some, err := c.messages()
		all = append(all, some...)
		if err != nil {
			return all, err
		}
	}
	return all, nil
}

func TestMiddleServerServesStreams(t *testing.T) {
	s, addr := serveMiddle(t, MiddleSettings{}, MiddleFaults{}, -4)
	c := dialLink(t, addr)
	c.put(c.request(1, Command{Op: OpSource, ID: 4, Value: 3_000_000}.Append(nil), false))
	c.put(c.request(2, Command{Op: OpEcho, Size: 4}.Append(nil), true))
	var data uint64
	var acks, echoes int
	for data < 3_000_000 || echoes == 0 {
		all, err := c.next(1)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range all {
			switch {
			case m.Kind == rpc.SimpleAck && m.ID == 2:
				acks++
			case m.Kind == rpc.Answer && m.ID == 2:
				echoes++
			case m.Kind != rpc.Answer || m.ID != 1 || !CheckPattern(m.Data[HeadSize:], 4, data):
				t.Fatalf("at %d: %v of %d", data, m.Kind, m.ID)
			default:
				data += uint64(len(m.Data) - HeadSize)
			}
		}
	}
	seen := s.Seen()
	if acks != 1 || echoes != 1 || seen.OpenLinks != 1 || seen.OpenStreams != 2 || seen.LinkDCs[-4] != 1 || seen.Tags[testTag] != 2 {
		t.Errorf("%d acks, %d echoes, seen %+v", acks, echoes, seen)
	}
	if l := seen.LinkList[0]; l.Proxy.String() != c.LocalAddr().String() || l.Here.String() != addr || !l.CRC32C {
		t.Errorf("link %+v", l)
	}
	s.CloseStream(2)
	if all, err := c.next(1); err != nil || all[0].Kind != rpc.CloseExt || all[0].ID != 2 {
		t.Errorf("closed: %+v, %v", all, err)
	}
	_ = c.CloseWrite()
	if p, err := io.ReadAll(c); len(p) > 0 || err != nil {
		t.Errorf("at the end %x, %v", p, err)
	}
	if seen := s.Seen(); seen.Open != 0 || seen.OpenLinks != 0 || seen.OpenStreams != 0 || seen.Cut != 1 || seen.ClosedByUs != 1 {
		t.Errorf("in the end %+v", seen)
	}
}

// TestMiddleServerResets checks the faults that may come inside a client's connect.
func TestMiddleServerResets(t *testing.T) {
	for _, f := range []MiddleFaults{{Refuse: true}, {LifeMin: time.Millisecond, LifeMax: 2 * time.Millisecond}} {
		s, addr := serveMiddle(t, MiddleSettings{}, f, 0)
		c, err := net.Dial("tcp", addr)
		if err == nil {
			_, err = io.ReadAll(c)
			_ = c.Close()
		}
		if seen := s.Seen(); !errors.Is(err, syscall.ECONNRESET) || seen.Accepted != 1 || (seen.Refused == 1) != f.Refuse {
			t.Errorf("%v, seen %+v", err, seen)
		}
	}
}

func TestMiddleServerHangsUp(t *testing.T) {
	s, addr := serveMiddle(t, MiddleSettings{}, MiddleFaults{HangUp: true}, 0)
	if p, err := io.ReadAll(connect(t, addr)); len(p) > 0 || err != nil || s.Seen().Refused != 1 {
		t.Errorf("%x, %v", p, err)
	}
}

// TestMiddleServerEndsLives checks that an open link ends in its time, in the way that is ordered.
func TestMiddleServerEndsLives(t *testing.T) {
	for end, want := range map[Fault]error{FaultNone: io.EOF, FaultReset: syscall.ECONNRESET} {
		f := MiddleFaults{LifeMin: 200 * time.Millisecond, LifeMax: 300 * time.Millisecond, Then: end}
		_, addr := serveMiddle(t, MiddleSettings{}, f, 0)
		c := connect(t, addr)
		if c.open() != nil {
			continue // a machine that slow has not seen an open link
		}
		if all, err := c.next(1); len(all) > 0 || !errors.Is(err, want) {
			t.Errorf("%v: %d messages, %v", end, len(all), err)
		}
	}
}

func TestMiddleServerSeesOtherAddresses(t *testing.T) {
	_, addr := serveMiddle(t, MiddleSettings{ProxyIP: netip.MustParseAddr("203.0.113.1")}, MiddleFaults{}, 0)
	if err := connect(t, addr).open(); err == nil {
		t.Error("a proxy that does not know its public address has a link")
	}
	c := connect(t, addr)
	c.addrs.ProxyAddr = netip.AddrPortFrom(netip.MustParseAddr("203.0.113.1"), c.addrs.ProxyAddr.Port())
	if err := c.open(); err != nil {
		t.Error(err)
	}
}

// TestMiddleServerFaults checks what the faults of the socket look like, and that they can be taken back.
func TestMiddleServerFaults(t *testing.T) {
	for name, c := range map[string]struct {
		faults MiddleFaults
		bytes  int // before the end
	}{
		"trickle":  {MiddleFaults{Trickle: time.Millisecond}, 44},
		"no nonce": {MiddleFaults{NoNonce: true}, 0},
	} {
		s, addr := serveMiddle(t, MiddleSettings{}, c.faults, 0)
		conn := connect(t, addr)
		conn.put(conn.hello())
		_ = conn.CloseWrite()
		if p, err := io.ReadAll(conn); err != nil || len(p) != c.bytes {
			t.Errorf("%s: %d bytes, %v", name, len(p), err)
		}
		s.SetFaults(MiddleFaults{})
		if err := connect(t, addr).open(); err != nil {
			t.Errorf("%s: without faults: %v", name, err)
		}
	}
}

// TestMiddleServerStrikes checks that live links can be struck, one or all.
func TestMiddleServerStrikes(t *testing.T) {
	s, addr := serveMiddle(t, MiddleSettings{}, MiddleFaults{}, 0)
	links := []*conn{dialLink(t, addr), dialLink(t, addr), dialLink(t, addr)}
	if n := s.Strike(FaultFIN, 1); n != 1 {
		t.Fatalf("%d links struck", n)
	}
	if p, err := io.ReadAll(links[0]); len(p) > 0 || err != nil {
		t.Errorf("FIN: %x, %v", p, err)
	}
	if n := s.Strike(FaultPing, 0); n != 2 {
		t.Fatalf("%d links struck", n)
	}
	for _, c := range links[1:] {
		if all, err := c.next(1); err != nil || all[0].Kind != rpc.Ping {
			t.Errorf("ping: %+v, %v", all, err)
		}
		c.put(c.say(rpc.AppendPong(nil, 1)))
		c.put(c.request(1, []byte("twenty-eight bytes of a msg."), false))
		if all, err := c.next(1); err != nil || all[0].Kind != rpc.Answer {
			t.Errorf("then: %+v, %v", all, err)
		}
	}
	if seen := s.Seen(); seen.Pongs != 2 || seen.Struck != 3 {
		t.Errorf("seen %+v", seen)
	}
	s.Strike(FaultTorn, 1)
	s.Strike(FaultSum, 0)
	if _, err := links[1].next(1); !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, io.EOF) {
		t.Errorf("torn: %v", err)
	}
	if _, err := links[2].next(1); codec.ReasonOf(err, 0) != codec.ReasonFrameSum {
		t.Errorf("sum: %v", err)
	}
}

// TestMiddleServerTurnsDeaf checks that a link reads nothing behind the answer that was told.
func TestMiddleServerTurnsDeaf(t *testing.T) {
	s, addr := serveMiddle(t, MiddleSettings{}, MiddleFaults{Then: FaultDeaf, After: 1}, 0)
	c := dialLink(t, addr)
	c.put(c.request(1, []byte("twenty-eight bytes of a msg."), false))
	if _, err := c.next(1); err != nil {
		t.Fatal(err)
	}
	before := s.Seen().Received
	c.put(c.say(rpc.AppendPing(nil, 1)))
	s.SetFaults(MiddleFaults{})
	dialLink(t, addr) // has its turns behind the ping
	if got := s.Seen().Received - before; got != 44+48 {
		t.Errorf("%d bytes received", got)
	}
}

func TestMiddleServerForwards(t *testing.T) {
	for _, transport := range []codec.Transport{codec.TransportNone, codec.Padded, codec.Abridged} {
		dc := NewServer(Faults{})
		behind := run(t, func(r *reactor.Reactor) reactor.Acceptor { return dc.On(r) })
		s, addr := serveMiddle(t, MiddleSettings{Forward: netip.MustParseAddrPort(behind), ForwardDC: 2, Transport: transport}, MiddleFaults{}, 0)
		c := dialLink(t, addr)
		echo := Command{Op: OpEcho, Size: 5000}.Append(nil)
		c.put(c.request(1, echo, true))
		all, err := c.next(2)
		if err != nil || all[0].Kind != rpc.SimpleAck || all[0].Confirm != Confirm(echo) || all[1].ID != 1 || !bytes.Equal(all[1].Data, echo) {
			t.Fatalf("%v: %d messages, %v", transport, len(all), err)
		}
		c.put(c.request(2, Command{Op: OpSource, ID: 9, Value: 3_000_000}.Append(nil), false))
		var at uint64
		for at < 3_000_000 {
			all, err := c.next(1)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range all {
				if m.ID != 2 || !CheckPattern(m.Data[HeadSize:], 9, at) {
					t.Fatalf("%v: at %d: %v of %d", transport, at, m.Kind, m.ID)
				}
				at += uint64(len(m.Data) - HeadSize)
			}
		}
		if seen := dc.Seen(); seen.DCs[2] != 2 || seen.Open != 2 {
			t.Errorf("%v: the datacenter saw %+v", transport, seen)
		}
		c.put(c.say(rpc.AppendCloseConn(nil, 1)))
		c.put(c.say(rpc.AppendPing(nil, 5)))
		if all, err := c.next(1); err != nil || all[0].Kind != rpc.Pong {
			t.Fatalf("%+v, %v", all, err)
		}
		// A datacenter that ends a connection ends the stream.
		dc.SetFaults(Faults{CloseAfter: 8})
		c.put(c.request(3, echo, false))
		if all, err := c.next(1); err != nil || all[0].Kind != rpc.CloseExt || all[0].ID != 3 {
			t.Fatalf("%+v, %v", all, err)
		}
		if seen := s.Seen(); seen.OpenStreams != 1 || seen.ClosedByProxy != 1 || seen.ClosedByUs != 1 {
			t.Errorf("%v: seen %+v", transport, seen)
		}
	}
}

// TestMiddleServerForwardsNowhere checks that a stream that leads nowhere is closed.
func TestMiddleServerForwardsNowhere(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := l.Addr().(*net.TCPAddr).AddrPort()
	_ = l.Close()
	_, addr := serveMiddle(t, MiddleSettings{Forward: closed}, MiddleFaults{}, 0)
	c := dialLink(t, addr)
	c.put(c.request(1, []byte("twenty-eight bytes of a msg."), false))
	if all, err := c.next(1); err != nil || all[0].Kind != rpc.CloseExt {
		t.Errorf("%+v, %v", all, err)
	}
}
