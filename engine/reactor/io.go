package reactor

import (
	"golang.org/x/sys/unix"

	"epoxy/codec"
)

const (
	inEvents   = unix.EPOLLIN | unix.EPOLLPRI | unix.EPOLLRDHUP | unix.EPOLLHUP | unix.EPOLLERR
	moreEvents = unix.EPOLLPRI | unix.EPOLLRDHUP | unix.EPOLLHUP | unix.EPOLLERR
)

// turn gives a socket its share of the loop: what the poller saw, or 0 from the ready list. The guard
// contains a panic of the handler.
func (r *Reactor) turn(c *Conn, events uint32) {
	if c.is(dead) {
		return
	}
	defer r.guard(c)
	r.stats.Turns++
	if events == 0 && c.flags&(again|closing) == again {
		c.flags &^= again
		c.h.Again(c)
	}
	if c.is(dialing) {
		if events == 0 || !r.connected(c) {
			return
		}
		events |= unix.EPOLLOUT
	}
	if events&inEvents != 0 {
		c.flags |= readable
		if events&moreEvents != 0 {
			c.flags |= more
		}
	}
	if events&unix.EPOLLERR != 0 && c.flags&(paused|eof|closing) != 0 && socketError(c.fd) != 0 {
		c.fail()
	}
	if events&unix.EPOLLOUT != 0 {
		c.flags |= writable
	}
	if c.out.size > 0 && c.is(writable) {
		r.flush(c)
	}
	if c.is(lingering) {
		r.discard(c)
	} else {
		r.read(c)
	}
}

// read hands what the peer sent to the handler, up to turnRead reads or one full buffer.
func (r *Reactor) read(c *Conn) {
	budget := r.opts.ReadMax
	for range turnRead {
		if c.flags&(readable|paused|eof|closing|dead) != readable {
			return
		}
		size := min(r.opts.ReadMin<<c.growth, r.opts.ReadMax)
		n, e := sysRead(c.fd, r.buffer[:size])
		switch {
		case e == unix.EAGAIN:
			c.flags &^= readable
			if c.is(broken) {
				c.kill(codec.ReasonPeerReset)
			}
			return
		case e != 0:
			c.kill(codec.ReasonPeerReset)
			return
		case n == 0:
			r.end(c)
			return
		}
		r.stats.Reads++
		r.stats.BytesIn += uint64(n)
		if n < size && !c.is(more) {
			c.flags &^= readable
		}
		if c.is(finSent) && c.out.size == 0 {
			c.keep(r.opts.HalfTime)
		}
		partial := r.stats.Partial
		c.h.Data(c, r.buffer[:n])
		switch {
		case r.stats.Partial != partial:
			c.growth = 0
		case n == size && size < r.opts.ReadMax:
			c.widen()
		}
		if budget -= n; budget <= 0 {
			break
		}
	}
	if c.flags&(readable|paused|eof|closing|dead) == readable {
		r.enlist(c)
	}
}

// widen doubles the read size of a socket whose bytes are taken as they come, and gives it the larger receive buffer
// when there is one: fewer and longer reads for who is fast, little kernel memory for who never was. There is no way
// back: from a buffer that shrinks the kernel drops what the peer was allowed to send, which costs seconds.
func (c *Conn) widen() {
	if c.growth++; c.growth == wideAt && c.wide != 0 && !c.is(dead) {
		_ = unix.SetsockoptInt(int(c.fd), unix.SOL_SOCKET, unix.SO_RCVBUF, int(c.wide)<<10)
		c.wide = 0
	}
}

// end tells the handler of the peer's FIN.
func (r *Reactor) end(c *Conn) {
	c.flags = c.flags&^readable | eof
	if c.is(broken) {
		c.kill(codec.ReasonPeerReset)
		return
	}
	if !c.is(finSent) && c.out.size == 0 {
		c.keep(r.opts.HalfTime)
	}
	c.h.EOF(c)
	if c.is(finSent) && !c.is(closing) {
		c.kill(codec.ReasonPeerClosed)
	}
}

// flush sends what the queue holds, one writev a turn.
func (r *Reactor) flush(c *Conn) {
	entries, size := c.out.vector(r.iov[:])
	n, e := sysWritev(c.fd, r.iov[:entries])
	clear(r.iov[:entries])
	switch {
	case e == unix.EAGAIN:
		c.flags &^= writable
		return
	case e != 0:
		c.fail()
		return
	}
	r.stats.Writes++
	r.stats.BytesOut += uint64(n)
	r.stats.Queued -= n
	c.out.drop(&r.chunks, n)
	if n < size {
		c.flags &^= writable
	} else if c.out.size > 0 {
		r.enlist(c)
	}
	switch {
	case c.out.size > 0 && c.is(closing):
		c.keep(r.opts.DrainTime)
	case c.out.size > 0:
		c.keep(c.stall())
	case c.is(closing):
		c.finish()
	case c.is(shut):
		c.sendFIN()
	case c.is(eof):
		c.keep(r.opts.HalfTime)
	default:
		c.limit = 0
	}
	if c.out.size <= lowWater && !c.is(closing|dead) {
		c.h.Drained(c)
	}
}

// discard reads a lingering socket into silence until the peer's FIN, an error or the bound.
func (r *Reactor) discard(c *Conn) {
	for range turnRead {
		if c.flags&(readable|dead) != readable {
			return
		}
		n, e := sysRead(c.fd, r.buffer)
		switch {
		case e == unix.EAGAIN:
			c.flags &^= readable
			return
		case e != 0 || n == 0:
			c.kill(c.why)
			return
		}
	}
	if c.growth++; c.growth >= lingerTurns {
		c.kill(c.why)
		return
	}
	r.enlist(c)
}

// expire is the wheel's call for a socket: its own timer, the reactor's deadline, or neither when they
// were moved after the wheel was set.
func (r *Reactor) expire(slot uint32) {
	if slot == tickSlot {
		r.tick()
		return
	}
	c := r.slots[slot]
	if c == nil || c.is(dead) {
		return
	}
	defer r.guard(c)
	if c.limit != 0 && c.limit <= r.now {
		c.limit = 0
		r.overdue(c)
	}
	if c.timer != 0 && c.timer <= r.now {
		c.timer = 0
		r.stats.Timers++
		c.h.Timer(c)
	}
	c.rearm()
}

// rearm sets the wheel to the earlier of the socket's two times.
func (c *Conn) rearm() {
	if c.is(dead) {
		return
	}
	if c.timer != 0 {
		c.r.wake(c.slot, c.timer)
	}
	if c.limit != 0 {
		c.r.wake(c.slot, c.limit)
	}
}

// overdue ends a socket whose deadline has passed. What the deadline was for follows from the state.
func (r *Reactor) overdue(c *Conn) {
	switch {
	case c.is(dialing):
		r.stats.DialErrors++
		c.kill(codec.ReasonDialTime)
	case c.is(lingering):
		if c.growth++; c.growth < lingerTurns && unsent(c.fd) > 0 {
			c.keep(lingerTime)
			return
		}
		c.kill(c.why)
	case c.is(closing):
		c.flags |= resetting
		c.kill(codec.ReasonDrainTime)
	case c.out.size > 0:
		r.stats.Stalls++
		c.flags |= resetting
		c.kill(codec.ReasonWriteStall)
	case c.is(paused) && !c.is(eof):
		c.keep(r.opts.HalfTime) // its source waits for others, whose deadlines count
	case c.flags&(eof|finSent) != 0:
		c.kill(codec.ReasonDrainTime)
	}
}
