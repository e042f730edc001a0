package reactor_test

import (
	"net"
	"net/netip"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"epoxy/codec"
	"epoxy/engine/reactor"
	"epoxy/upstream"
)

// outcome dials and returns what the handler heard, or what Dial said at once.
func outcome(t *testing.T, r *reactor.Reactor, to upstream.Target) codec.Reason {
	t.Helper()
	heard := make(chan codec.Reason, 3)
	h := &funcs{
		opened: func(upstream.Socket) { heard <- codec.ReasonNone },
		closed: func(_ upstream.Socket, why codec.Reason) { heard <- why },
	}
	on(t, r, func() {
		s, why := r.Dial(to, h)
		if (s == nil) != (why != codec.ReasonNone) {
			t.Errorf("Dial: %v, %v", s, why)
		}
		if why != codec.ReasonNone {
			heard <- why
		}
	})
	why := recv(t, heard)
	on(t, r, func() {})
	if why != codec.ReasonNone && len(heard) > 0 {
		t.Errorf("heard %v and %v", why, <-heard)
	}
	return why
}

// deafPort returns the address of a listener whose queue is full: connects hang.
func deafPort(t *testing.T) netip.AddrPort {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(name.(*unix.SockaddrInet4).Port))
	dial(t, "tcp", addr.String()) // fills the queue
	return addr
}

func TestRefusedDial(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().(*net.TCPAddr).AddrPort()
	_ = l.Close()
	r := start(t, reactor.Options{})
	for _, to := range []upstream.Target{
		{Addr: addr},
		{Path: filepath.Join(t.TempDir(), "none")},
	} {
		if why := outcome(t, r, to); why != codec.ReasonDialRefused {
			t.Errorf("%+v: %v", to, why)
		}
	}
	for _, to := range []upstream.Target{
		{},
		{Path: string(make([]byte, 200))},
		{Addr: addr, Opts: &upstream.DialOptions{Interface: "no such thing"}},
		{Addr: addr, Opts: &upstream.DialOptions{BindV4: netip.MustParseAddr("192.0.2.1")}},
	} {
		if why := outcome(t, r, to); why != codec.ReasonDialError {
			t.Errorf("%+v: %v", to, why)
		}
	}
	if s := stats(t, r); s.Dials != 6 || s.DialErrors != 6 || s.Open != 0 {
		t.Errorf("%d dials, %d errors, %d open", s.Dials, s.DialErrors, s.Open)
	}
}

func TestHangingDial(t *testing.T) {
	addr := deafPort(t)
	r := start(t, reactor.Options{})
	var begun, ended int64
	on(t, r, func() { begun = r.Now() })
	if why := outcome(t, r, upstream.Target{Addr: addr, Timeout: 150}); why != codec.ReasonDialTime {
		t.Errorf("hanging dial: %v", why)
	}
	on(t, r, func() { ended = r.Now() })
	if ended-begun < 150 {
		t.Errorf("gave up after %d ms of 150", ended-begun)
	}
}

// What is written, shut and asked for before the connect finished takes effect after it.
func TestWriteBeforeOpened(t *testing.T) {
	r := start(t, reactor.Options{})
	l := listen(t, r, accept(echo()))
	got := make(chan string, 1)
	why := make(chan codec.Reason, 1)
	var all []byte
	h := &funcs{
		opened: func(s upstream.Socket) { s.Write([]byte("two ")) },
		data:   func(_ upstream.Socket, p []byte) { all = append(all, p...) },
		eof:    func(upstream.Socket) { got <- string(all) },
		closed: func(_ upstream.Socket, w codec.Reason) { why <- w },
	}
	opts := &upstream.DialOptions{
		BindV4: netip.MustParseAddr("127.0.0.2"), RecvBuffer: 1 << 16, NotSentLowat: 1 << 14, Mark: 7,
		Interface: "lo",
	}
	on(t, r, func() {
		s, w := r.Dial(upstream.Target{Addr: l.AddrPort(), Opts: opts}, h)
		if w != codec.ReasonNone {
			t.Fatal(w)
		}
		if s.Write([]byte("one ")); s.Queued() != 4 {
			t.Errorf("queued %d", s.Queued())
		}
		if ip := s.Local().Addr(); ip != opts.BindV4 {
			t.Errorf("bound to %v", ip)
		}
		s.CloseWrite()
		s.Write([]byte("dropped"))
	})
	if g := recv(t, got); g != "one " { // CloseWrite came before "two "
		t.Errorf("heard %q", g)
	}
	if w := recv(t, why); w != codec.ReasonPeerClosed {
		t.Errorf("closed: %v", w)
	}
}

func TestDialUnixAndIPv6(t *testing.T) {
	r := start(t, reactor.Options{})
	path := filepath.Join(t.TempDir(), "s")
	for addr, to := range map[string]upstream.Target{"unix:" + path: {Path: path}, "[::1]:0": {}} {
		l, err := reactor.Listen(addr, reactor.ListenOptions{}, nil)
		if err != nil {
			t.Log(err) // a kernel without IPv6
			continue
		}
		on(t, r, func() { err = r.AddListener(l, accept(echo())) })
		if err != nil {
			t.Fatal(err)
		}
		if to.Path == "" {
			to.Addr = l.AddrPort()
		}
		if why := outcome(t, r, to); why != codec.ReasonNone {
			t.Errorf("%s: %v", addr, why)
		}
	}
}

// A dial that is given up before it finished ends once, with the reason given.
func TestCloseWhileDialling(t *testing.T) {
	addr := deafPort(t)
	r := start(t, reactor.Options{})
	for _, end := range []func(s upstream.Socket){
		func(s upstream.Socket) { s.Close(codec.ReasonIdle) },
		func(s upstream.Socket) { s.Write([]byte("x")); s.Abort(codec.ReasonIdle) },
		func(s upstream.Socket) {
			s.Close(codec.ReasonIdle)
			s.Abort(codec.ReasonLimit)
			s.Close(codec.ReasonLimit)
		},
	} {
		why := make(chan codec.Reason, 2)
		on(t, r, func() {
			s, _ := r.Dial(upstream.Target{Addr: addr}, &funcs{
				opened: func(upstream.Socket) { t.Error("opened") },
				closed: func(_ upstream.Socket, w codec.Reason) { why <- w },
			})
			end(s)
			if len(why) > 0 {
				t.Error("Closed was called from inside")
			}
		})
		if w := recv(t, why); w != codec.ReasonIdle {
			t.Errorf("closed: %v", w)
		}
	}
	until(t, r, "nothing open", func() bool { return r.Stats().Open == 0 && r.Stats().Queued == 0 })
}

// Again and the timer work while a dial hangs.
func TestAgainWhileDialling(t *testing.T) {
	addr := deafPort(t)
	r := start(t, reactor.Options{})
	heard := make(chan string, 2)
	on(t, r, func() {
		s, _ := r.Dial(upstream.Target{Addr: addr}, &funcs{
			again: func(s upstream.Socket) { heard <- "again"; s.SetTimer(r.Now() + 20) },
			timer: func(upstream.Socket) { heard <- "timer" },
		})
		s.Again()
	})
	if a, b := recv(t, heard), recv(t, heard); a != "again" || b != "timer" {
		t.Errorf("heard %s, %s", a, b)
	}
}
