package reactor

import (
	"net/netip"

	"golang.org/x/sys/unix"

	"epoxy/codec"
	"epoxy/upstream"
)

// Dial starts a connect; see upstream.Loop. Bytes written before Opened wait in the queue.
func (r *Reactor) Dial(to upstream.Target, h upstream.Handler) (upstream.Socket, codec.Reason) {
	if r.quit {
		return nil, codec.ReasonShutdown
	}
	r.stats.Dials++
	fd, why := r.connect(to)
	if why != codec.ReasonNone {
		r.stats.DialErrors++
		return nil, why
	}
	c := r.open(fd, h)
	c.flags = dialing
	if to.Patient {
		c.flags |= patient
	}
	if o := to.Opts; o != nil && o.RecvBuffer > 0 && o.RecvBufferWide > o.RecvBuffer {
		c.wide = uint16(min(o.RecvBufferWide>>10, 1<<16-1))
	}
	timeout := to.Timeout
	if timeout <= 0 {
		timeout = dialTime
	}
	c.keep(timeout)
	return c, codec.ReasonNone
}

// Task returns a Socket without a descriptor; see upstream.Loop.
func (r *Reactor) Task(h upstream.Handler) upstream.Socket {
	c := r.seat(-1, h)
	c.flags = dialing | shut | paused
	r.tasks++
	return c
}

// connect returns a descriptor that is connecting or connected and that the poller knows.
func (r *Reactor) connect(to upstream.Target) (int, codec.Reason) {
	family := unix.AF_INET
	switch {
	case to.Path != "":
		family = unix.AF_UNIX
	case !to.Addr.IsValid():
		return -1, codec.ReasonDialError
	case !to.Addr.Addr().Unmap().Is4():
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, codec.ReasonDialError
	}
	var ok bool
	if family != unix.AF_UNIX {
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
		ok = to.Opts == nil || r.dialOptions(fd, family, to.Opts)
		r.addr.set(to.Addr)
	} else {
		ok = r.addr.setPath(to.Path)
	}
	why := codec.ReasonDialError
	if ok {
		switch e := r.addr.connect(fd); e {
		case 0, unix.EINPROGRESS:
			if r.poller.add(fd) == nil {
				return fd, codec.ReasonNone
			}
		default:
			why = dialReason(e)
		}
	}
	_ = unix.Close(fd)
	return -1, why
}

// dialOptions sets what must be set before connect and says whether all of it took.
func (r *Reactor) dialOptions(fd, family int, o *upstream.DialOptions) bool {
	ok := true
	set := func(level, name, value int) {
		if value != 0 && unix.SetsockoptInt(fd, level, name, value) != nil {
			ok = false
		}
	}
	set(unix.SOL_SOCKET, unix.SO_RCVBUF, o.RecvBuffer)
	set(unix.SOL_SOCKET, unix.SO_MARK, int(o.Mark))
	set(unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, o.NotSentLowat)
	set(unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, o.UserTimeout)
	set(unix.SOL_SOCKET, unix.SO_KEEPALIVE, min(o.KeepIdle, 1))
	if o.KeepIdle > 0 {
		set(unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, r.spread(o.KeepIdle))
	}
	set(unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, o.KeepInterval)
	set(unix.IPPROTO_TCP, unix.TCP_KEEPCNT, o.KeepCount)
	if o.Interface != "" && unix.BindToDevice(fd, o.Interface) != nil {
		ok = false
	}
	source := o.BindV4
	if family == unix.AF_INET6 {
		source = o.BindV6
	}
	if source.IsValid() {
		// The port is chosen by connect then, so that one source address has 64k ports per target.
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
		r.addr.set(netip.AddrPortFrom(source, 0))
		if r.addr.bind(fd) != 0 {
			ok = false
		}
	}
	return ok
}

// connected finishes a dial upon an event and says whether the socket is open.
func (r *Reactor) connected(c *Conn) bool {
	if e := socketError(c.fd); e != 0 {
		r.stats.DialErrors++
		c.kill(dialReason(e))
		return false
	}
	c.flags = c.flags&^dialing | writable
	c.limit = 0
	c.h.Opened(c)
	if c.is(dead) {
		return false
	}
	switch {
	case c.is(closing): // by Opened, finish has been called or the queue waits
	case c.out.size > 0:
		c.keep(c.stall())
	case c.is(shut):
		c.sendFIN()
	}
	return !c.is(dead)
}

// dialReason names what connect failed of.
func dialReason(e unix.Errno) codec.Reason {
	switch e {
	case unix.ECONNREFUSED, unix.ENOENT: // ENOENT: no such unix socket
		return codec.ReasonDialRefused
	case unix.ETIMEDOUT:
		return codec.ReasonDialTime
	case unix.ECONNRESET, unix.EPIPE: // accepted, then reset before we looked
		return codec.ReasonPeerReset
	default:
		return codec.ReasonDialError
	}
}
