package reactor

import (
	"fmt"
	"net/netip"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The calls of the packet path are raw: a non-blocking call returns before the scheduler could use the
// processor for anything else, so there is nothing to tell it.

func sysRead(fd int32, p []byte) (int, unix.Errno) {
	n, _, e := unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
	return int(n), e
}

func sysWrite(fd int32, p []byte) (int, unix.Errno) {
	n, _, e := unix.RawSyscall(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
	return int(n), e
}

func sysWritev(fd int32, iov []unix.Iovec) (int, unix.Errno) {
	n, _, e := unix.RawSyscall(unix.SYS_WRITEV, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(iov))), uintptr(len(iov)))
	return int(n), e
}

// sockaddr is a socket address as the kernel writes it. Each reactor owns one, so that neither accept
// nor connect allocates.
type sockaddr struct {
	raw  unix.RawSockaddrAny
	size uint32
}

// accept takes one connection off fd and leaves its address in s.
func (s *sockaddr) accept(fd int) (int, unix.Errno) {
	s.size = unix.SizeofSockaddrAny
	s.raw.Addr.Family = unix.AF_UNSPEC
	n, _, e := unix.RawSyscall6(unix.SYS_ACCEPT4, uintptr(fd), uintptr(unsafe.Pointer(&s.raw)),
		uintptr(unsafe.Pointer(&s.size)), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
	return int(n), e
}

// name asks for fd's own address (SYS_GETSOCKNAME) or its peer's (SYS_GETPEERNAME).
func (s *sockaddr) name(call uintptr, fd int32) netip.AddrPort {
	s.size = unix.SizeofSockaddrAny
	_, _, e := unix.RawSyscall(call, uintptr(fd), uintptr(unsafe.Pointer(&s.raw)), uintptr(unsafe.Pointer(&s.size)))
	if e != 0 {
		return netip.AddrPort{}
	}
	return s.addr()
}

// connect starts a connect of fd to the address in s.
func (s *sockaddr) connect(fd int) unix.Errno {
	_, _, e := unix.RawSyscall(unix.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&s.raw)), uintptr(s.size))
	return e
}

// bind gives fd the address in s.
func (s *sockaddr) bind(fd int) unix.Errno {
	_, _, e := unix.RawSyscall(unix.SYS_BIND, uintptr(fd), uintptr(unsafe.Pointer(&s.raw)), uintptr(s.size))
	return e
}

// set writes an IP address and port into s.
func (s *sockaddr) set(a netip.AddrPort) {
	var port *[2]byte
	if ip := a.Addr().Unmap(); ip.Is4() {
		in := (*unix.RawSockaddrInet4)(unsafe.Pointer(&s.raw))
		*in = unix.RawSockaddrInet4{Family: unix.AF_INET, Addr: ip.As4()}
		port, s.size = (*[2]byte)(unsafe.Pointer(&in.Port)), unix.SizeofSockaddrInet4
	} else {
		in := (*unix.RawSockaddrInet6)(unsafe.Pointer(&s.raw))
		*in = unix.RawSockaddrInet6{Family: unix.AF_INET6, Addr: ip.As16()}
		port, s.size = (*[2]byte)(unsafe.Pointer(&in.Port)), unix.SizeofSockaddrInet6
	}
	port[0], port[1] = byte(a.Port()>>8), byte(a.Port())
}

// setPath writes the path of a unix socket into s and says whether it fits.
func (s *sockaddr) setPath(path string) bool {
	un := (*unix.RawSockaddrUnix)(unsafe.Pointer(&s.raw))
	*un = unix.RawSockaddrUnix{Family: unix.AF_UNIX}
	if len(path) == 0 || len(path) >= len(un.Path) {
		return false
	}
	for i := range len(path) {
		un.Path[i] = int8(path[i])
	}
	if path[0] == '@' { // the abstract name space
		un.Path[0] = 0
	}
	s.size = uint32(unsafe.Offsetof(un.Path)) + uint32(len(path))
	if path[0] != '@' {
		s.size++ // the closing zero
	}
	return true
}

// addr returns the address in s, IPv4-mapped ones as IPv4, or the zero AddrPort for a unix socket.
func (s *sockaddr) addr() netip.AddrPort {
	switch s.raw.Addr.Family {
	case unix.AF_INET:
		in := (*unix.RawSockaddrInet4)(unsafe.Pointer(&s.raw))
		return netip.AddrPortFrom(netip.AddrFrom4(in.Addr), portOf(&in.Port))
	case unix.AF_INET6:
		in := (*unix.RawSockaddrInet6)(unsafe.Pointer(&s.raw))
		return netip.AddrPortFrom(netip.AddrFrom16(in.Addr).Unmap(), portOf(&in.Port))
	}
	return netip.AddrPort{}
}

// portOf reads a port that lies in network order.
func portOf(p *uint16) uint16 {
	b := (*[2]byte)(unsafe.Pointer(p))
	return uint16(b[0])<<8 | uint16(b[1])
}

// socketError takes the pending error off a socket.
func socketError(fd int32) unix.Errno {
	v, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ERROR)
	if err != nil {
		return unix.EBADF
	}
	return unix.Errno(v)
}

// unsent returns how many bytes the kernel holds that the peer has not acknowledged.
func unsent(fd int32) int {
	n, err := unix.IoctlGetInt(int(fd), unix.SIOCOUTQ)
	if err != nil {
		return 0
	}
	return n
}

// RaiseFileLimit raises the soft limit of open descriptors to the hard one and returns it.
func RaiseFileLimit() (limit uint64, err error) {
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		return 0, fmt.Errorf("reactor: get the descriptor limit: %w", err)
	}
	if l.Cur == l.Max {
		return l.Cur, nil
	}
	soft := l.Cur
	l.Cur = l.Max
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		return soft, fmt.Errorf("reactor: raise the descriptor limit to %d: %w", l.Max, err)
	}
	return l.Cur, nil
}

// CPUs returns the numbers of the processors that this process may use, ascending; nil when the kernel
// does not tell.
func CPUs() []int {
	var set unix.CPUSet
	if unix.SchedGetaffinity(0, &set) != nil {
		return nil
	}
	cpus := make([]int, 0, set.Count())
	for i := 0; len(cpus) < cap(cpus); i++ {
		if set.IsSet(i) {
			cpus = append(cpus, i)
		}
	}
	return cpus
}

// Sleep holds the thread for d and the 50 us that Linux takes; the timers of Go wake an idle program by the
// millisecond. For load generators.
func Sleep(d time.Duration) {
	ts := unix.NsecToTimespec(int64(d))
	_ = unix.Nanosleep(&ts, nil)
}

// SocketPair returns two connected unix stream sockets, for tests; the caller closes or adopts them.
func SocketPair() (a, b int, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, -1, fmt.Errorf("reactor: socketpair: %w", err)
	}
	return fds[0], fds[1], nil
}

// LockFile takes the exclusive lock on an open file at once, or fails; it ends with the file.
func LockFile(f *os.File) error { return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) }
