package floor

import (
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// accept takes the connections that wait and dials the target for each.
func (r *Relay) accept() {
	for range batch {
		fd, _, err := unix.Accept4(r.listen, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		if err != nil {
			return // none, or no descriptors: the listener is level-triggered, a client that leaves makes room
		}
		out, err := unix.Socket(r.family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			_ = unix.Close(fd)
			continue
		}
		for _, s := range []int{fd, out} {
			_ = unix.SetsockoptInt(s, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1) // slower without it, not wrong
		}
		if err := unix.Connect(out, r.target); err != nil && err != unix.EINPROGRESS {
			_ = unix.Close(fd)
			_ = unix.Close(out)
			continue
		}
		client, server := &end{fd: fd, opened: true}, &end{fd: out}
		client.peer, server.peer = server, client
		for need := max(fd, out); len(r.ends) <= need; {
			r.ends = append(r.ends, nil)
		}
		r.ends[fd], r.ends[out] = client, server
		const both = unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET
		if r.add(fd, both) != nil || r.add(out, both) != nil {
			r.close(client)
		}
	}
}

func (r *Relay) add(fd int, events uint32) error {
	return unix.EpollCtl(r.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: events, Fd: int32(fd)})
}

// close ends a pair.
func (r *Relay) close(e *end) {
	for _, one := range []*end{e, e.peer} {
		r.ends[one.fd] = nil
		_ = unix.Close(one.fd)
	}
}

// release closes every descriptor.
func (r *Relay) release() {
	for _, e := range r.ends {
		if e != nil {
			_ = unix.Close(e.fd)
		}
	}
	r.ends = nil
	for _, fd := range []int{r.listen, r.wake, r.epoll} {
		if fd >= 0 {
			_ = unix.Close(fd)
		}
	}
}

// The three calls of the path go to the kernel without telling Go's scheduler: the thread does nothing else. The
// signal by which the scheduler asks for it ends a wait.

func wait(epoll int, events []unix.EpollEvent) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(epoll), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), ^uintptr(0), 0, 0)
	return int(n), errno
}

func read(fd int, p []byte) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)))
	return int(n), errno
}

// write needs MSG_NOSIGNAL no more than Go does, whose runtime ignores SIGPIPE of sockets.
func write(fd int, p []byte) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)))
	return int(n), errno
}

func sockaddr(a netip.AddrPort) (unix.Sockaddr, int) {
	if ip := a.Addr().Unmap(); ip.Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: ip.As4()}, unix.AF_INET
	}
	return &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}, unix.AF_INET6
}

func addrPort(s unix.Sockaddr) netip.AddrPort {
	switch s := s.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(s.Addr), uint16(s.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(s.Addr), uint16(s.Port))
	}
	return netip.AddrPort{}
}
