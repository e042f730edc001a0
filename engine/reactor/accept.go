package reactor

import (
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"epoxy/codec"
	"epoxy/upstream"
)

// Acceptor is asked about each connection of a listener, on the loop.
type Acceptor interface {
	// Accept returns the handler of s, or nil to close it at once. peer is the client's address,
	// IPv4-mapped ones as IPv4; the zero AddrPort for a unix socket.
	Accept(s upstream.Socket, peer netip.AddrPort) upstream.Handler
}

// bound is a listener in a reactor.
type bound struct {
	l      *Listener
	a      Acceptor
	idle   int  // seconds of silence before the first keep-alive probe, as the listener says; 0 is no probes
	masked bool // out of the poller for want of descriptors or memory
}

// AddListener lets r accept from l, which is the reactor's from then on: Stop closes it. On the loop, or
// before Run.
func (r *Reactor) AddListener(l *Listener, a Acceptor) error {
	if r.quit {
		return ErrStopped
	}
	if l.fd < 0 {
		return fmt.Errorf("reactor: listener %s is closed", l.addr)
	}
	if l.fd < len(r.byFD) && r.byFD[l.fd] != 0 {
		return fmt.Errorf("reactor: listener %s is in use", l.addr)
	}
	if err := r.poller.listen(l.fd); err != nil {
		return fmt.Errorf("reactor: add listener %s: %w", l.addr, err)
	}
	at := 0
	for at < len(r.listeners) && r.listeners[at] != nil {
		at++
	}
	if at == len(r.listeners) {
		r.listeners = append(r.listeners, nil)
	}
	r.listeners[at] = &bound{l: l, a: a, idle: keepIdle(l.fd)}
	r.enter(l.fd, listenerBit|uint32(at))
	r.stats.Listeners++
	return nil
}

// RemoveListener stops accepting from l and closes it; connections that it brought stay. On the loop.
func (r *Reactor) RemoveListener(l *Listener) error {
	for _, b := range r.listeners {
		if b != nil && b.l == l {
			r.detach(b)
			return nil
		}
	}
	return fmt.Errorf("reactor: no listener %s", l.addr)
}

// detach takes a listener out; its descriptor is closed with the batch.
func (r *Reactor) detach(b *bound) {
	if b.masked {
		r.stats.Masked--
	} else {
		_ = r.poller.remove(b.l.fd)
	}
	r.listeners[r.byFD[b.l.fd]&^listenerBit] = nil
	r.byFD[b.l.fd] = 0
	r.stats.Listeners--
	r.deadFDs = append(r.deadFDs, b.l.release())
	r.endLater()
}

// acceptAll takes what waits at a listener, up to acceptBurst; level-triggering brings the rest.
func (r *Reactor) acceptAll(b *bound) {
	for range acceptBurst {
		fd, e := r.addr.accept(b.l.fd)
		switch e {
		case 0:
			r.accepted(b, fd)
		case unix.EAGAIN:
			return
		case unix.EINTR:
		case unix.EMFILE, unix.ENFILE, unix.ENOBUFS, unix.ENOMEM, unix.EBADF, unix.EINVAL, unix.ENOTSOCK, unix.EOPNOTSUPP:
			r.acceptFailed(b, e)
			r.mask(b)
			return
		default: // ECONNABORTED, EPROTO, EPERM and the network errors that Linux hands on: the next one may be good
			r.acceptFailed(b, e)
		}
		if b.l.fd < 0 { // the acceptor took it out
			return
		}
	}
}

// accepted makes a socket of a new descriptor and asks the acceptor for its handler.
func (r *Reactor) accepted(b *bound, fd int) {
	r.stats.Accepts++
	peer := r.addr.addr()
	c := r.open(fd, nil)
	r.ask(b.a, c, peer)
	switch {
	case c.is(dead): // by the acceptor, or its panic
	case c.h == nil:
		r.stats.Refused++
		c.kill(codec.ReasonDenied)
	default:
		if err := r.poller.add(fd); err != nil {
			c.kill(codec.ReasonLimit) // fs.epoll.max_user_watches, or no memory
		} else if b.idle > 0 {
			_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, r.spread(b.idle))
		}
	}
}

// keepIdle returns the seconds of silence after which sockets of a listener are probed, 0 when they are not.
func keepIdle(fd int) int {
	if on, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE); err != nil || on == 0 {
		return 0
	}
	idle, err := unix.GetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE)
	if err != nil { // a unix socket
		return 0
	}
	return idle
}

// spread returns idle and up to half of it more, another time for each socket. Clients who came in one moment would all be
// probed in one, too: queues on the way hold a thousand packets, and whose probes are lost again and again is ended
// though he is there.
func (r *Reactor) spread(idle int) int {
	r.probes++
	return idle + int(r.probes%uint32(idle/2+1))
}

// ask calls the acceptor; its panic costs the connection.
func (r *Reactor) ask(a Acceptor, c *Conn, peer netip.AddrPort) {
	defer r.guard(c)
	c.h = a.Accept(c, peer)
}

func (r *Reactor) acceptFailed(b *bound, e unix.Errno) {
	kind := acceptErrorOf(e)
	r.stats.AcceptErrors[kind]++
	if kind != AcceptAborted && r.mayLog(&r.acceptLog) {
		r.log.Warn("reactor: accept", "loop", r.opts.Index, "listener", b.l.addr, "err", e,
			"failures", r.stats.AcceptErrors[kind])
	}
}

// mask takes a listener out of the poller until the tick; level-triggered it would spin.
func (r *Reactor) mask(b *bound) {
	_ = r.poller.remove(b.l.fd)
	b.masked = true
	r.stats.Masked++
	r.stats.Rests++
	r.wake(tickSlot, r.now+acceptRetry)
}

// retryListeners puts the resting listeners back.
func (r *Reactor) retryListeners() {
	for _, b := range r.listeners {
		if b == nil || !b.masked {
			continue
		}
		if err := r.poller.listen(b.l.fd); err != nil {
			r.wake(tickSlot, r.now+acceptRetry)
			continue
		}
		b.masked = false
		r.stats.Masked--
	}
}
