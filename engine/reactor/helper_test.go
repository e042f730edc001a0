package reactor_test

import (
	"cmp"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"epoxy/codec"
	"epoxy/engine/reactor"
	"epoxy/upstream"
)

// poller is the wait strategy under test.
var poller = cmp.Or(os.Getenv(childEnv), "gnet")

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		limitedChild()
		return
	}
	goleak.VerifyTestMain(pollers{m})
}

// pollers runs all tests and benchmarks with each wait strategy.
type pollers struct{ m *testing.M }

func (p pollers) Run() (code int) {
	for _, poller = range []string{"gnet", "hybrid"} {
		fmt.Println("poller:", poller) // a line of configuration to benchstat
		code = max(code, p.m.Run())
	}
	return code
}

// patience is how long a test waits for what must come.
const patience = 20 * time.Second

// funcs is a Handler of functions; nil ones do nothing.
type funcs struct {
	opened, eof, drained, timer, again func(s upstream.Socket)
	data                               func(s upstream.Socket, p []byte)
	closed                             func(s upstream.Socket, why codec.Reason)
}

func call(f func(upstream.Socket), s upstream.Socket) {
	if f != nil {
		f(s)
	}
}

func (f *funcs) Opened(s upstream.Socket)  { call(f.opened, s) }
func (f *funcs) EOF(s upstream.Socket)     { call(f.eof, s) }
func (f *funcs) Drained(s upstream.Socket) { call(f.drained, s) }
func (f *funcs) Timer(s upstream.Socket)   { call(f.timer, s) }
func (f *funcs) Again(s upstream.Socket)   { call(f.again, s) }
func (f *funcs) Data(s upstream.Socket, p []byte) {
	if f.data != nil {
		f.data(s, p)
	}
}
func (f *funcs) Closed(s upstream.Socket, why codec.Reason) {
	if f.closed != nil {
		f.closed(s, why)
	}
}

// echo answers with what it hears and closes after FIN.
func echo() *funcs {
	return &funcs{
		data: func(s upstream.Socket, p []byte) { s.Write(p) },
		eof:  func(s upstream.Socket) { s.CloseWrite() },
	}
}

type acceptFunc func(s upstream.Socket, peer netip.AddrPort) upstream.Handler

func (f acceptFunc) Accept(s upstream.Socket, peer netip.AddrPort) upstream.Handler {
	return f(s, peer)
}

func accept(h upstream.Handler) acceptFunc {
	return func(upstream.Socket, netip.AddrPort) upstream.Handler { return h }
}

// start runs a reactor until the test ends.
func start(t testing.TB, o reactor.Options) *reactor.Reactor {
	t.Helper()
	o.CPU, o.Poller = -1, poller
	r, err := reactor.New(o)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- r.Run() }()
	t.Cleanup(func() {
		r.Stop()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return r
}

// on runs fn on the loop.
func on(t testing.TB, r *reactor.Reactor, fn func()) {
	t.Helper()
	if err := r.Call(fn); err != nil {
		t.Fatal(err)
	}
}

// stats returns the counters.
func stats(t testing.TB, r *reactor.Reactor) (s reactor.Stats) {
	t.Helper()
	on(t, r, func() { s = r.Stats() })
	return s
}

// until asks the loop again and again, each time behind a batch of events.
func until(t testing.TB, r *reactor.Reactor, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); ; {
		ok := false
		on(t, r, func() { ok = cond() })
		if ok {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("never came: %s", what)
		}
	}
}

// adopt gives one end of a socket pair to the reactor and returns it and the other end.
func adopt(t testing.TB, r *reactor.Reactor, h upstream.Handler) (upstream.Socket, net.Conn) {
	t.Helper()
	a, b, err := reactor.SocketPair()
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(b), "peer")
	peer, err := net.FileConn(f)
	if err != nil {
		t.Fatal(err)
	}
	_ = f.Close()
	_ = peer.SetDeadline(time.Now().Add(patience))
	t.Cleanup(func() { _ = peer.Close() })
	var s upstream.Socket
	on(t, r, func() { s, err = r.Adopt(a, h) })
	if err != nil {
		t.Fatal(err)
	}
	return s, peer
}

// listen lets the reactor accept on a free port of 127.0.0.1.
func listen(t testing.TB, r *reactor.Reactor, a reactor.Acceptor) *reactor.Listener {
	t.Helper()
	l, err := reactor.Listen("127.0.0.1:0", reactor.ListenOptions{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	on(t, r, func() { err = r.AddListener(l, a) })
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// dial connects to a TCP address or a unix path.
func dial(t testing.TB, network, addr string) net.Conn {
	t.Helper()
	c, err := net.DialTimeout(network, addr, patience)
	if err != nil {
		t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(patience))
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// server runs fn for each connection to a plain TCP listener.
func server(t testing.TB, fn func(c *net.TCPConn)) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.SetDeadline(time.Now().Add(patience))
			fn(c.(*net.TCPConn))
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return l.Addr().(*net.TCPAddr).AddrPort()
}

// recv waits for a value.
func recv[T any](t testing.TB, ch <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-ch:
	case <-time.After(patience):
		t.Fatal("nothing came")
	}
	return v
}

// ask sends a line and wants it back.
func ask(t testing.TB, c net.Conn, line string) {
	t.Helper()
	if _, err := c.Write([]byte(line)); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(line))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != line {
		t.Fatalf("echo %q: got %q, %v", line, got, err)
	}
}

// pattern fills p with bytes that tell their place in a stream.
func pattern(p []byte, at int) {
	for i := range p {
		n := at + i
		p[i] = byte(n ^ n>>8 ^ n>>16)
	}
}

// wantPattern checks a stream's bytes from place at on.
func wantPattern(t testing.TB, p []byte, at int) {
	t.Helper()
	for i := range p {
		n := at + i
		if p[i] != byte(n^n>>8^n>>16) {
			t.Fatalf("wrong byte at %d", n)
		}
	}
}
