package reactor

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// ListenOptions are the options of a listening socket; accepted sockets inherit them. Zero leaves the
// kernel's value. TCP_NODELAY, SO_REUSEADDR and SO_REUSEPORT are always on.
type ListenOptions struct {
	Backlog      int  // accept queue; 4096, the kernel caps it at net.core.somaxconn
	DeferAccept  int  // seconds that a silent client is kept from us
	NotSentLowat int  // bytes of unsent data in the kernel
	UserTimeout  int  // ms without acknowledgement until a connection is given up
	KeepIdle     int  // seconds of silence before the first keep-alive probe; turns probes on
	KeepInterval int  // seconds between probes
	KeepCount    int  // probes
	MSS          int  // TCP_MAXSEG, bytes, 88 at least: all segments both ways, for good; see window.go
	HandshakeMSS int  // bytes of the client's first segments, 576 at least, and only of those; see window.go
	RecvBuffer   int  // SO_RCVBUF, bytes; not with HandshakeMSS
	SendBuffer   int  // SO_SNDBUF, bytes
	V6Only       bool // an IPv6 listener leaves IPv4 alone
	FreeBind     bool // an address that the host does not have yet is fine
}

// Listener is one listening socket. It belongs to its maker until AddListener.
type Listener struct {
	fd     int // -1 when closed
	addr   string
	ip     netip.AddrPort
	unlink string // path to remove on close
}

const unixPrefix = "unix:"

// Listen opens a listening socket; call it once per reactor and port, the kernel spreads clients over
// them. addr is "0.0.0.0:443", "127.0.0.1:0", "[::1]:443", or for both families ":443" and "[::]:443"
// (":443" is IPv4 only where the kernel has no IPv6), or "unix:/path". A path can have one listener only;
// other reactors share it by Dup and Inherit. Options that the kernel refuses are logged, not fatal; log
// may be nil.
func Listen(addr string, o ListenOptions, log *slog.Logger) (*Listener, error) {
	if path, ok := strings.CutPrefix(addr, unixPrefix); ok {
		return listenUnix(path, o)
	}
	at, both, err := parseAddr(addr)
	if err != nil {
		return nil, err
	}
	fd, err := bindTCP(at, o, true)
	if both && (errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EADDRNOTAVAIL)) {
		at = netip.AddrPortFrom(netip.IPv4Unspecified(), at.Port())
		fd, err = bindTCP(at, o, true)
	}
	if err != nil {
		return nil, fmt.Errorf("reactor: listen on %s: %w", addr, err)
	}
	setOptions(fd, addr, o, log)
	if err := unix.Listen(fd, o.backlog()); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("reactor: listen on %s: %w", addr, err)
	}
	return newListener(fd), nil
}

// Inherit makes a listener of a listening descriptor from socket activation or a hot upgrade, which it
// owns on success. Options are set as by Listen, but what only bind can take.
func Inherit(fd int, o ListenOptions, log *slog.Logger) (*Listener, error) {
	if on, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN); err != nil || on == 0 {
		return nil, fmt.Errorf("reactor: inherited descriptor %d does not listen", fd)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, fmt.Errorf("reactor: inherited descriptor %d: %w", fd, err)
	}
	unix.CloseOnExec(fd)
	l := newListener(fd)
	if l.ip.IsValid() {
		setOptions(fd, l.addr, o, log)
	}
	return l, nil
}

// Probe says whether a second process holds addr: it binds without SO_REUSEPORT, by which two processes
// of ours could share a port in silence. Call it once, before the first Listen.
func Probe(addr string) error {
	if path, ok := strings.CutPrefix(addr, unixPrefix); ok {
		if unixAlive(path) {
			return fmt.Errorf("reactor: %s: address in use", addr)
		}
		return nil
	}
	at, both, err := parseAddr(addr)
	if err != nil {
		return err
	}
	fd, err := bindTCP(at, ListenOptions{FreeBind: true}, false)
	if both && (errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EADDRNOTAVAIL)) {
		fd, err = bindTCP(netip.AddrPortFrom(netip.IPv4Unspecified(), at.Port()), ListenOptions{}, false)
	}
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		return fmt.Errorf("reactor: %s: address in use", addr)
	case err != nil:
		return fmt.Errorf("reactor: %s: %w", addr, err)
	}
	return unix.Close(fd)
}

// Addr returns the address as Listen takes it, with the port that the kernel chose.
func (l *Listener) Addr() string { return l.addr }

// AddrPort returns the IP address and port, or the zero AddrPort for a unix socket.
func (l *Listener) AddrPort() netip.AddrPort { return l.ip }

// FD returns the descriptor, -1 when closed. It stays the listener's.
func (l *Listener) FD() int { return l.fd }

// Set changes the options that accepted sockets inherit, for sockets yet to come. Options that are zero now stay as they were set
// before. From any goroutine.
func (l *Listener) Set(o ListenOptions, log *slog.Logger) {
	if l.fd < 0 {
		return
	}
	if l.ip.IsValid() {
		setOptions(l.fd, l.addr, o, log)
	}
	_ = unix.Listen(l.fd, o.backlog()) // on a listening socket it changes the length of the queue
}

// Dup returns a copy of the descriptor to hand to another process. The path of a unix socket is not
// removed on Close any more.
func (l *Listener) Dup() (*os.File, error) {
	fd, err := unix.FcntlInt(uintptr(l.fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("reactor: dup listener %s: %w", l.addr, err)
	}
	l.unlink = ""
	return os.NewFile(uintptr(fd), l.addr), nil
}

// Close closes a listener that no reactor has; RemoveListener is for the others.
func (l *Listener) Close() error {
	fd := l.release()
	if fd < 0 {
		return nil
	}
	return unix.Close(fd)
}

// release gives up the descriptor, which the caller closes.
func (l *Listener) release() int {
	fd := l.fd
	l.fd = -1
	if l.unlink != "" {
		_ = os.Remove(l.unlink)
		l.unlink = ""
	}
	return fd
}

// newListener describes a listening descriptor.
func newListener(fd int) *Listener {
	l := &Listener{fd: fd}
	name, err := unix.Getsockname(fd)
	if err != nil {
		return l
	}
	switch sa := name.(type) {
	case *unix.SockaddrInet4:
		l.ip = netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		l.ip = netip.AddrPortFrom(netip.AddrFrom16(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrUnix:
		l.addr = unixPrefix + sa.Name
		return l
	}
	l.addr = l.ip.String()
	return l
}

// parseAddr reads "host:port"; both says that the host was left out.
func parseAddr(addr string) (at netip.AddrPort, both bool, err error) {
	full := addr
	if strings.HasPrefix(addr, ":") {
		full, both = "[::]"+addr, true
	}
	at, err = netip.ParseAddrPort(full)
	at = netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
	if err != nil {
		return at, both, fmt.Errorf("reactor: listen address %q is not IP:port, :port or unix:/path", addr)
	}
	return at, both, nil
}

// bindTCP returns a bound socket; shared turns SO_REUSEPORT on.
func bindTCP(at netip.AddrPort, o ListenOptions, shared bool) (int, error) {
	family := unix.AF_INET6
	if at.Addr().Is4() {
		family = unix.AF_INET
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	if err == nil && shared {
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
	}
	if err == nil && family == unix.AF_INET6 {
		only := 0
		if o.V6Only {
			only = 1
		}
		err = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, only)
	}
	if err == nil && o.FreeBind {
		err = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_FREEBIND, 1)
	}
	if err == nil {
		var s sockaddr
		s.set(at)
		if e := s.bind(fd); e != 0 {
			err = e
		}
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// setOptions sets what accepted sockets inherit and logs what the kernel refuses.
func setOptions(fd int, addr string, o ListenOptions, log *slog.Logger) {
	keep := min(o.KeepIdle, 1)
	for _, opt := range []struct {
		word               string
		level, name, value int
	}{
		{"TCP_NODELAY", unix.IPPROTO_TCP, unix.TCP_NODELAY, 1},
		{"TCP_DEFER_ACCEPT", unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, o.DeferAccept},
		{"TCP_NOTSENT_LOWAT", unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, o.NotSentLowat},
		{"TCP_USER_TIMEOUT", unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, o.UserTimeout},
		{"SO_KEEPALIVE", unix.SOL_SOCKET, unix.SO_KEEPALIVE, keep},
		{"TCP_KEEPIDLE", unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, o.KeepIdle},
		{"TCP_KEEPINTVL", unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, o.KeepInterval},
		{"TCP_KEEPCNT", unix.IPPROTO_TCP, unix.TCP_KEEPCNT, o.KeepCount},
		{"TCP_MAXSEG", unix.IPPROTO_TCP, unix.TCP_MAXSEG, o.MSS},
		{"SO_RCVBUF", unix.SOL_SOCKET, unix.SO_RCVBUF, o.RecvBuffer},
		{"SO_SNDBUF", unix.SOL_SOCKET, unix.SO_SNDBUF, o.SendBuffer},
	} {
		if opt.value == 0 {
			continue
		}
		if err := unix.SetsockoptInt(fd, opt.level, opt.name, opt.value); err != nil && log != nil {
			log.Warn("reactor: socket option refused", "listener", addr, "option", opt.word, "value", opt.value, "err", err)
		}
	}
	if o.HandshakeMSS > 0 {
		if err := setFirstWindow(fd, 2*o.HandshakeMSS); err != nil && log != nil {
			log.Warn("reactor: socket option refused", "listener", addr, "option", "SO_BUF_LOCK", "value", 0, "err", err)
		}
	}
}

// listenUnix opens a unix listener, over a path that a dead process left too.
func listenUnix(path string, o ListenOptions) (*Listener, error) {
	fail := func(err error) (*Listener, error) {
		return nil, fmt.Errorf("reactor: listen on %s%s: %w", unixPrefix, path, err)
	}
	if path == "" {
		return fail(unix.EINVAL)
	}
	named := !strings.HasPrefix(path, "@")
	if named && !unixAlive(path) {
		if s, err := os.Lstat(path); err == nil && s.Mode().Type() == os.ModeSocket {
			_ = os.Remove(path)
		}
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fail(err)
	}
	if err = unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err == nil {
		err = unix.Listen(fd, o.backlog())
	}
	if err != nil {
		_ = unix.Close(fd)
		return fail(err)
	}
	l := newListener(fd)
	if named {
		l.unlink = path
	}
	return l, nil
}

// unixAlive says whether somebody listens at path.
func unixAlive(path string) bool {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer func() { _ = unix.Close(fd) }()
	err = unix.Connect(fd, &unix.SockaddrUnix{Name: path})
	return err == nil || errors.Is(err, unix.EAGAIN)
}

func (o ListenOptions) backlog() int {
	if o.Backlog > 0 {
		return o.Backlog
	}
	return backlog
}
