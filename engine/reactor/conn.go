package reactor

import (
	"net/netip"

	"golang.org/x/sys/unix"

	"epoxy/codec"
	"epoxy/upstream"
)

// flags are the state of a Conn.
//
//	dialing -> open -> (shut | eof)* -> closing -> lingering -> dead
//
// Any state may go to dead at once. A dead Conn lies in the reactor's list until the end of the batch.
type flags uint16

const (
	readable  flags = 1 << iota // the kernel may have bytes, FIN or an error for us
	writable                    // the last write found room
	more                        // FIN, error or urgent data is near: a short read does not mean empty
	paused                      // by Pause
	listed                      // stands in the ready list
	again                       // Again was asked for
	dialing                     // connect has not finished
	eof                         // the peer's FIN was read
	shut                        // CloseWrite was called
	finSent                     // our FIN left
	broken                      // a write failed: read what is there, then end
	closing                     // Close was called
	lingering                   // FIN sent, unread bytes are read into silence
	resetting                   // end with RST
	dead                        // Closed is about to be called, or was
	patient                     // a full queue may stand still for longer
)

// mute are the states in which Write drops its bytes.
const mute = shut | broken | closing | dead

// Conn is one socket. It implements upstream.Socket.
//
// It is an object of its own, not a recycled one: a handler that holds a dead Conn can never write into
// another client's socket. What a reactor needs to find it (by slot, by descriptor) is in its tables.
type Conn struct {
	r      *Reactor
	h      upstream.Handler
	out    outQueue
	timer  int64 // time given to SetTimer; 0 is unset
	limit  int64 // the reactor's own deadline, see Conn.expire; 0 is unset
	fd     int32
	slot   uint32 // in the reactor's table, and its timer's number
	flags  flags
	why    codec.Reason // what Closed will say
	growth uint8        // doublings of the read size; turns so far when lingering
	wide   uint16       // SO_RCVBUF in KiB at growth wideAt; 0 is that it stays
}

var _ upstream.Socket = (*Conn)(nil)

func (c *Conn) is(f flags) bool { return c.flags&f != 0 }

// Write sends p or queues what the kernel does not take; see upstream.Socket.
func (c *Conn) Write(p []byte) {
	if c.is(mute) || len(p) == 0 {
		return
	}
	r := c.r
	if c.out.size == 0 && c.is(writable) {
		n, e := sysWrite(c.fd, p)
		switch {
		case e == 0:
			r.stats.Writes++
			r.stats.BytesOut += uint64(n)
			if n == len(p) {
				if c.is(eof) {
					c.keep(r.opts.HalfTime)
				}
				return
			}
			p = p[n:]
		case e != unix.EAGAIN:
			c.fail()
			return
		}
		c.flags &^= writable
	}
	if c.out.size == 0 && !c.is(dialing) {
		c.keep(c.stall())
	}
	r.stats.Partial++
	r.stats.Queued += len(p)
	c.out.push(&r.chunks, p)
}

// Queued returns how many bytes wait in user memory.
func (c *Conn) Queued() int { return c.out.size }

// Pause stops Data and EOF.
func (c *Conn) Pause() { c.flags |= paused }

// Resume undoes Pause; what came meanwhile follows from the loop.
func (c *Conn) Resume() {
	if c.flags&(paused|dead) != paused {
		return
	}
	c.flags &^= paused
	if c.is(readable) && !c.is(eof) {
		c.r.enlist(c)
	}
}

// CloseWrite sends FIN when the queue is empty.
func (c *Conn) CloseWrite() {
	if c.is(mute) {
		return
	}
	c.flags |= shut
	if c.out.size == 0 && !c.is(dialing) {
		c.sendFIN()
	}
}

// Close sends what is queued, then FIN, then closes.
func (c *Conn) Close(why codec.Reason) {
	if c.is(closing | dead) {
		return
	}
	c.why = why
	c.flags |= closing
	c.timer = 0
	switch {
	case c.is(dialing | broken):
		c.kill(why)
	case c.out.size == 0:
		c.finish()
	default:
		c.keep(c.r.opts.DrainTime)
	}
}

// Abort drops the queue and closes with RST.
func (c *Conn) Abort(why codec.Reason) {
	if c.is(dead) {
		return
	}
	c.flags |= resetting
	c.kill(why)
}

// SetTimer asks for Handler.Timer at time at.
func (c *Conn) SetTimer(at int64) {
	if c.is(closing | dead) {
		return
	}
	c.timer = at
	if at != 0 {
		c.r.wake(c.slot, at)
	}
}

// Again asks for Handler.Again on the next turn.
func (c *Conn) Again() {
	if c.is(closing | dead) {
		return
	}
	c.flags |= again
	c.r.enlist(c)
}

// SetHandler hands the socket to h.
func (c *Conn) SetHandler(h upstream.Handler) {
	if !c.is(dead) {
		c.h = h
	}
}

// Local asks the kernel for the socket's own address.
func (c *Conn) Local() netip.AddrPort {
	if c.fd < 0 {
		return netip.AddrPort{}
	}
	return c.r.addr.name(unix.SYS_GETSOCKNAME, c.fd)
}

// Peer asks the kernel for the other end's address.
func (c *Conn) Peer() netip.AddrPort {
	if c.fd < 0 {
		return netip.AddrPort{}
	}
	return c.r.addr.name(unix.SYS_GETPEERNAME, c.fd)
}

// MSS asks the kernel for the bytes of one segment to the peer.
func (c *Conn) MSS() int {
	if c.fd < 0 {
		return 0
	}
	n, err := unix.GetsockoptInt(int(c.fd), unix.IPPROTO_TCP, unix.TCP_MAXSEG)
	if err != nil {
		return 0
	}
	return n
}

// stall is how long a full queue may stand still, in ms.
func (c *Conn) stall() int64 {
	if c.is(patient) {
		return max(c.r.opts.StallTime, patientTime)
	}
	return c.r.opts.StallTime
}

// keep moves the reactor's own deadline to ms from now.
func (c *Conn) keep(ms int64) {
	c.limit = c.r.now + ms
	c.r.wake(c.slot, c.limit)
}

// sendFIN shuts our direction down. The queue is empty.
func (c *Conn) sendFIN() {
	if c.is(finSent) {
		return
	}
	c.flags |= finSent
	if unix.Shutdown(int(c.fd), unix.SHUT_WR) != nil {
		c.fail()
		return
	}
	if c.is(eof) {
		c.kill(codec.ReasonPeerClosed)
		return
	}
	c.keep(c.r.opts.HalfTime)
}

// finish ends a closing socket whose queue is empty. close(2) makes the kernel answer unread and later
// bytes with RST, which destroys what the peer has not taken yet. So unless the peer has ended or has
// acknowledged everything, FIN goes first and what still comes is read into silence for a while.
func (c *Conn) finish() {
	if c.is(eof) || !c.is(readable) && unsent(c.fd) == 0 {
		c.kill(c.why)
		return
	}
	if !c.is(finSent) {
		c.flags |= finSent
		if unix.Shutdown(int(c.fd), unix.SHUT_WR) != nil {
			c.kill(c.why)
			return
		}
	}
	c.flags |= lingering
	c.growth = 0
	c.keep(lingerTime)
	if c.is(readable) {
		c.r.enlist(c)
	}
}

// fail says that writing is over. What the peer sent before is still read, unless nobody reads.
func (c *Conn) fail() {
	if c.is(closing) {
		c.kill(c.why)
		return
	}
	if c.flags&(paused|eof) != 0 {
		c.kill(codec.ReasonPeerReset)
		return
	}
	c.dropQueue()
	c.flags |= broken | readable | more
	c.r.enlist(c)
}

// dropQueue gives the queue's memory back.
func (c *Conn) dropQueue() {
	c.r.stats.Queued -= c.out.size
	c.out.drop(&c.r.chunks, c.out.size)
}

// kill ends the socket: Closed follows at the end of the batch. The first reason counts.
func (c *Conn) kill(why codec.Reason) {
	if c.is(dead) {
		return
	}
	c.flags |= dead
	c.why = why
	c.timer, c.limit = 0, 0
	c.r.wheel.Cancel(c.slot)
	c.dropQueue()
	c.r.bury(c)
}
