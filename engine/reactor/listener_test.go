package reactor_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"epoxy/engine/reactor"
	"epoxy/upstream"
)

const childEnv = "EPOXY_REACTOR_LIMITED"

// limitedChild is an echo server in a process with 64 descriptors. It prints its address, and when its
// input ends, what it counted.
func limitedChild() {
	fail := func(err error) {
		if err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
	}
	fail(unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 64, Max: 64}))
	r, err := reactor.New(reactor.Options{CPU: -1, Poller: poller})
	fail(err)
	l, err := reactor.Listen("127.0.0.1:0", reactor.ListenOptions{}, nil)
	fail(err)
	fail(r.AddListener(l, accept(echo())))
	done := make(chan error, 1)
	go func() { done <- r.Run() }()
	fmt.Println(l.Addr())
	_, _ = io.Copy(io.Discard, os.Stdin)
	var s reactor.Stats
	fail(r.Call(func() { s = r.Stats() }))
	fmt.Println("errors", s.AcceptErrors[reactor.AcceptDescriptors], "masked", s.Masked, "panics", s.Panics)
	r.Stop()
	fail(<-done)
}

// B24: at the descriptor limit live clients are untouched, new ones wait, and it recovers.
func TestDescriptorLimit(t *testing.T) {
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childEnv+"="+poller)
	child.Stderr = os.Stderr
	in, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	pipe, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = in.Close(); _ = child.Wait() })
	out := bufio.NewReader(pipe)
	addr, err := out.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	clients := make([]net.Conn, 60)
	for i := range clients {
		clients[i] = dial(t, "tcp", strings.TrimSpace(addr))
		if _, err := clients[i].Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
	}
	hear := func(c net.Conn) {
		t.Helper()
		var got [5]byte
		if _, err := io.ReadFull(c, got[:]); err != nil || string(got[:]) != "hello" {
			t.Fatalf("got %q, %v", got, err)
		}
	}
	for _, c := range clients[:40] {
		hear(c)
		ask(t, c, "still here")
	}
	for _, c := range clients[:25] {
		_ = c.Close()
	}
	for _, c := range clients[40:] {
		hear(c)
	}
	for _, c := range clients[25:] {
		ask(t, c, "and after")
	}
	_ = in.Close()
	line, err := out.ReadString('\n')
	if err != nil || strings.HasPrefix(line, "errors 0 ") || !strings.HasSuffix(line, "masked 0 panics 0\n") {
		t.Errorf("the child counted %q, %v", line, err)
	}
}

func TestListenerComesAndGoes(t *testing.T) {
	r := start(t, reactor.Options{})
	l := listen(t, r, accept(echo()))
	addr := l.Addr()
	old := dial(t, "tcp", addr)
	ask(t, old, "one")
	on(t, r, func() {
		if err := r.RemoveListener(l); err != nil {
			t.Error(err)
		}
		if err := r.RemoveListener(l); err == nil {
			t.Error("removed twice")
		}
	})
	on(t, r, func() {}) // the descriptor is closed behind the batch
	if c, err := net.Dial("tcp", addr); err == nil {
		_ = c.Close()
		t.Error("the port still answers")
	}
	ask(t, old, "two")
	again, err := reactor.Listen(addr, reactor.ListenOptions{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	on(t, r, func() { err = r.AddListener(again, accept(echo())) })
	if err != nil {
		t.Fatal(err)
	}
	ask(t, dial(t, "tcp", addr), "three")
	ask(t, old, "four")
}

func TestInheritedListener(t *testing.T) {
	first, err := reactor.Listen("127.0.0.1:0", reactor.ListenOptions{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	f, err := first.Dup()
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Dup(int(f.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	_ = f.Close()
	_ = first.Close()
	l, err := reactor.Inherit(fd, reactor.ListenOptions{NotSentLowat: 128 << 10}, nil)
	if err != nil {
		t.Fatal(err)
	}
	r := start(t, reactor.Options{})
	on(t, r, func() { err = r.AddListener(l, accept(echo())) })
	if err != nil {
		t.Fatal(err)
	}
	ask(t, dial(t, "tcp", l.Addr()), "inherited")
	if _, err := reactor.Inherit(0, reactor.ListenOptions{}, nil); err == nil {
		t.Error("standard input was taken for a listener")
	}
}

func TestUnixListener(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	r := start(t, reactor.Options{})
	for range 2 { // the second opens over the path of the first
		l, err := reactor.Listen("unix:"+path, reactor.ListenOptions{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := reactor.Probe("unix:" + path); err == nil {
			t.Error("Probe found the path free")
		}
		on(t, r, func() {
			err = r.AddListener(l, acceptFunc(func(s upstream.Socket, peer netip.AddrPort) upstream.Handler {
				if peer.IsValid() || s.Peer().IsValid() || s.Local().IsValid() {
					t.Error("a unix socket has an IP address")
				}
				return echo()
			}))
		})
		if err != nil {
			t.Fatal(err)
		}
		ask(t, dial(t, "unix", path), "hello")
		on(t, r, func() { _ = r.RemoveListener(l) })
	}
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("the path was left: %v", err)
	}
	stale, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	stale.(*net.UnixListener).SetUnlinkOnClose(false)
	_ = stale.Close()
	l, err := reactor.Listen("unix:"+path, reactor.ListenOptions{}, nil)
	if err != nil {
		t.Fatalf("over a stale path: %v", err)
	}
	_ = l.Close()
}

func TestProbeAndAddresses(t *testing.T) {
	l, err := reactor.Listen("127.0.0.1:0", reactor.ListenOptions{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	if err := reactor.Probe(l.Addr()); err == nil || !strings.Contains(err.Error(), "address in use") {
		t.Errorf("Probe of a port in use: %v", err)
	}
	twin, err := reactor.Listen(l.Addr(), reactor.ListenOptions{}, nil)
	if err != nil {
		t.Fatalf("a second listener for a second reactor: %v", err)
	}
	_ = twin.Close()
	_ = l.Close()
	if err := reactor.Probe(l.Addr()); err != nil {
		t.Errorf("Probe of a free port: %v", err)
	}
	for _, bad := range []string{"", "443", "localhost:443", "127.0.0.1", ":99999", "unix:"} {
		if _, err := reactor.Listen(bad, reactor.ListenOptions{}, nil); err == nil {
			t.Errorf("listens on %q", bad)
		}
	}
}

// B01: an IPv4 client of a dual-stack listener is an IPv4 client.
func TestDualStackPeer(t *testing.T) {
	l, err := reactor.Listen(":0", reactor.ListenOptions{
		NotSentLowat: 128 << 10, UserTimeout: 30_000, KeepIdle: 60, KeepInterval: 10, KeepCount: 3,
		MSS: 1400, RecvBuffer: 1 << 16, SendBuffer: 1 << 16, FreeBind: true, DeferAccept: 1,
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	r := start(t, reactor.Options{})
	peers := make(chan [3]netip.AddrPort, 1)
	on(t, r, func() {
		err = r.AddListener(l, acceptFunc(func(s upstream.Socket, peer netip.AddrPort) upstream.Handler {
			peers <- [3]netip.AddrPort{peer, s.Peer(), s.Local()}
			return nil
		}))
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"127.0.0.1", "::1"} {
		if host == "::1" && l.AddrPort().Addr().Is4() {
			continue // a kernel without IPv6
		}
		c := dial(t, "tcp", net.JoinHostPort(host, fmt.Sprint(l.AddrPort().Port())))
		_, _ = c.Write([]byte("x"))
		got := recv(t, peers)
		want := c.LocalAddr().(*net.TCPAddr).AddrPort()
		if got[0] != want || got[1] != want || got[2] != c.RemoteAddr().(*net.TCPAddr).AddrPort() {
			t.Errorf("peer %v %v local %v, want %v", got[0], got[1], got[2], want)
		}
		if _, err := c.Read(make([]byte, 1)); err == nil {
			t.Error("a refused client heard something")
		}
	}
	if s := stats(t, r); s.Refused == 0 || s.Refused != s.Accepts {
		t.Errorf("refused %d of %d", s.Refused, s.Accepts)
	}
}
