// Package floor is the least a relay can do: one thread, one epoll, read here, write there. It is the floor under every
// proxy that is measured beside it, without ciphers, limits or timers; nobody should serve clients with it.
package floor

import (
	"context"
	"fmt"
	"net/netip"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"
)

const (
	bufferSize = 64 << 10 // bytes of one read
	batch      = 256      // events of one wait
	backlog    = 4096
)

// Relay forwards TCP connections from one address to another.
type Relay struct {
	Addr netip.AddrPort // where it listens

	target unix.Sockaddr
	family int
	epoll  int
	listen int
	wake   int // eventfd that ends Run
	ends   []*end
	buffer []byte
}

// end is one socket of a pair. A pair is freed when both ends are finished.
type end struct {
	fd       int
	peer     *end
	rest     []byte // read from peer, not yet written here
	readable bool
	opened   bool // the connect is done
	ending   bool // its end was announced: read up to it, no event comes any more
	eof      bool // nothing more comes
	shut     bool // nothing more is written
}

// New listens on addr, where port 0 takes a free one, for connections to target. Run serves them.
func New(addr, target netip.AddrPort) (r *Relay, err error) {
	r = &Relay{epoll: -1, listen: -1, wake: -1, buffer: make([]byte, bufferSize)}
	defer func() {
		if err != nil {
			r.release()
			err = fmt.Errorf("floor: %w", err)
		}
	}()
	r.target, r.family = sockaddr(target)
	at, family := sockaddr(addr)
	if r.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return r, err
	}
	if r.wake, err = unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC); err != nil {
		return r, err
	}
	if r.listen, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0); err != nil {
		return r, err
	}
	for _, try := range []func() error{
		func() error { return unix.SetsockoptInt(r.listen, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1) },
		func() error { return unix.Bind(r.listen, at) },
		func() error { return unix.Listen(r.listen, backlog) },
		func() error { return r.add(r.listen, unix.EPOLLIN) },
		func() error { return r.add(r.wake, unix.EPOLLIN) },
	} {
		if err = try(); err != nil {
			return r, err
		}
	}
	name, err := unix.Getsockname(r.listen)
	if err == nil {
		r.Addr = addrPort(name)
	}
	return r, err
}

// Run relays until ctx ends, and closes everything. It is called once.
func (r *Relay) Run(ctx context.Context) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var watch sync.WaitGroup
	done := make(chan struct{})
	watch.Go(func() {
		select {
		case <-ctx.Done():
			_, _ = unix.Write(r.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0}) // to an eventfd: cannot fail
		case <-done:
		}
	})
	err := r.serve()
	close(done)
	watch.Wait()
	r.release()
	return err
}

func (r *Relay) serve() error {
	events := make([]unix.EpollEvent, batch)
	for {
		n, errno := wait(r.epoll, events)
		if errno == unix.EINTR {
			continue
		}
		if errno != 0 {
			return fmt.Errorf("floor: wait: %w", errno)
		}
		for _, e := range events[:n] {
			switch fd := int(e.Fd); fd {
			case r.wake:
				return nil
			case r.listen:
				r.accept()
			default:
				r.event(fd, e.Events)
			}
		}
	}
}

// event moves what can be moved. An event of a descriptor that was closed earlier in the batch may reach its next owner,
// who then finds nothing to do.
func (r *Relay) event(fd int, events uint32) {
	if fd >= len(r.ends) || r.ends[fd] == nil {
		return
	}
	e := r.ends[fd]
	if events&(unix.EPOLLERR|unix.EPOLLHUP) != 0 && events&unix.EPOLLIN == 0 {
		r.close(e)
		return
	}
	if events&unix.EPOLLOUT != 0 {
		e.opened = true
		if len(e.rest) > 0 && !r.flush(e) {
			return
		}
		if len(e.rest) == 0 && e.peer.readable && !r.move(e.peer) {
			return
		}
	}
	if events&(unix.EPOLLIN|unix.EPOLLRDHUP) != 0 {
		e.readable = true
		e.ending = e.ending || events&unix.EPOLLRDHUP != 0
		r.move(e)
	}
}

// move reads from e and writes to its peer until one of them has to wait. False: the pair is gone.
func (r *Relay) move(e *end) bool {
	for e.readable && !e.eof && e.peer.opened && len(e.peer.rest) == 0 {
		n, errno := read(e.fd, r.buffer)
		switch {
		case errno == unix.EAGAIN:
			e.readable = false
			return true
		case errno != 0:
			r.close(e)
			return false
		case n == 0:
			e.eof = true
			return r.shut(e.peer)
		}
		sent, errno := write(e.peer.fd, r.buffer[:n])
		if errno != 0 && errno != unix.EAGAIN {
			r.close(e)
			return false
		}
		if errno == unix.EAGAIN {
			sent = 0
		}
		if sent < n {
			e.peer.rest = append([]byte(nil), r.buffer[sent:n]...)
		}
		if n < len(r.buffer) && !e.ending {
			e.readable = false // the next byte makes an event
		}
	}
	return true
}

// flush writes what waits for e. False: the pair is gone.
func (r *Relay) flush(e *end) bool {
	n, errno := write(e.fd, e.rest)
	switch {
	case errno == unix.EAGAIN:
		return true
	case errno != 0:
		r.close(e)
		return false
	}
	if e.rest = e.rest[n:]; len(e.rest) > 0 {
		return true
	}
	e.rest = nil
	return !e.peer.eof || r.shut(e)
}

// shut says to e's peer on the network that nothing more comes. False: the pair is gone.
func (r *Relay) shut(e *end) bool {
	if len(e.rest) > 0 || e.shut {
		return true
	}
	e.shut = true
	if e.eof {
		r.close(e)
		return false
	}
	_ = unix.Shutdown(e.fd, unix.SHUT_WR) // a socket that is gone has its own event
	return true
}
