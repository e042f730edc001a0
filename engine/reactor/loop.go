package reactor

import (
	"log/slog"
	"runtime/debug"
	"time"

	"golang.org/x/sys/unix"

	"epoxy/codec"
	"epoxy/upstream"
)

// tickSlot is the wheel's timer of the reactor itself; sockets have the slots above it.
const tickSlot = 0

// listenerBit marks an entry of the descriptor table that is a listener.
const listenerBit = 1 << 31

// event is the poller's call for one ready descriptor.
func (r *Reactor) event(fd int, events uint32) {
	r.refresh()
	switch {
	case fd == r.timerFD:
		r.timers()
		return
	case fd == r.readyFD:
		r.runReady()
		return
	case fd >= len(r.byFD):
		return
	}
	switch at := r.byFD[fd]; {
	case at == 0: // closed earlier in this batch
	case at&listenerBit != 0:
		r.acceptAll(r.listeners[at&^listenerBit])
	default:
		r.turn(r.slots[at], events)
	}
}

// refresh reads the clock. The poller does not tell where a batch begins, and the read costs 20 ns.
func (r *Reactor) refresh() {
	now := r.base + int64(time.Since(r.start)/time.Millisecond)
	if now == r.now {
		return
	}
	r.now = now
	r.wheel.Clock(now)
	if now >= r.nextUnix {
		r.readWall()
	}
}

// readWall sets Unix, and when to look again: at the turn of the second, or soon after when the wall
// clock is being moved.
func (r *Reactor) readWall() {
	wall := time.Now()
	r.unix = wall.Unix()
	r.nextUnix = r.now + 1000 - int64(wall.Nanosecond()/1e6)
}

// enlist puts a socket on the ready list: it has a turn with the next batch.
func (r *Reactor) enlist(c *Conn) {
	if c.is(listed) {
		return
	}
	c.flags |= listed
	r.ready = append(r.ready, c)
	if len(r.ready) == 1 {
		r.signal()
	}
}

// signal makes the ready list's descriptor ready. It is edge-triggered, so it is never read.
func (r *Reactor) signal() {
	_, _ = sysWrite(int32(r.readyFD), r.one[:])
}

// runReady gives each listed socket a turn. Who joins meanwhile waits for the next batch.
func (r *Reactor) runReady() {
	r.ready, r.turns = r.turns[:0], r.ready
	for i, c := range r.turns {
		r.turns[i] = nil
		c.flags &^= listed
		r.turn(c, 0)
	}
}

// wake makes the wheel call expire for a slot at time at or earlier.
func (r *Reactor) wake(slot uint32, at int64) {
	if set := r.wheel.At(slot); set != 0 && set <= at {
		return
	}
	r.wheel.Set(slot, at)
	if !r.advancing {
		if at := r.wheel.At(slot); at < r.armed {
			r.arm(at)
		}
	}
}

// arm sets the timerfd to a time of the wheel.
func (r *Reactor) arm(at int64) {
	delay := max(at-r.now, 1)
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(delay * int64(time.Millisecond))}
	if err := unix.TimerfdSettime(r.timerFD, 0, &spec, nil); err != nil {
		r.log.Error("reactor: arm timer", "loop", r.opts.Index, "err", err)
		return
	}
	r.armed = at
}

// timers fires what is due and arms the timerfd for what follows. An idle reactor has none armed.
func (r *Reactor) timers() {
	r.advancing = true
	r.wheel.Advance(r.now, r.expireFn)
	r.advancing = false
	r.armed = never
	if at, ok := r.wheel.Next(); ok {
		r.arm(at)
	}
}

// tick is the reactor's own timer: resting listeners are tried again.
func (r *Reactor) tick() { r.retryListeners() }

// bury lists a dead socket for the end of the batch.
func (r *Reactor) bury(c *Conn) {
	r.dead = append(r.dead, c)
	r.endLater()
}

// endLater asks for endBatch behind the events of this batch: no event of it can then meet a descriptor
// whose number was given away again.
func (r *Reactor) endLater() {
	if r.ending {
		return
	}
	r.ending = true
	if err := r.poller.post(r.endFn, nil); err != nil {
		r.log.Error("reactor: end of batch", "loop", r.opts.Index, "err", err)
	}
}

// endBatch closes what died in this batch and tells the handlers. A handler may end other sockets; they
// are served in the same pass.
func (r *Reactor) endBatch(any) error {
	r.refresh()
	r.stats.Batches++
	for _, fd := range r.deadFDs {
		_ = unix.Close(fd)
	}
	r.deadFDs = r.deadFDs[:0]
	for i := 0; i < len(r.dead); i++ {
		c := r.dead[i]
		r.dead[i] = nil
		r.release(c)
		r.closed(c)
	}
	r.dead = r.dead[:0]
	r.ending = false
	return nil
}

// closed tells the handler, for the last time.
func (r *Reactor) closed(c *Conn) {
	h := c.h
	c.h = nil
	if h == nil {
		return
	}
	defer r.guard(nil)
	h.Closed(c, c.why)
}

// release closes a dead socket's descriptor and frees its slot.
func (r *Reactor) release(c *Conn) {
	r.slots[c.slot] = nil
	r.freeSlots = append(r.freeSlots, c.slot)
	if c.fd < 0 {
		r.tasks--
		return
	}
	if c.is(resetting) {
		_ = unix.SetsockoptLinger(int(c.fd), unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	}
	r.byFD[c.fd] = 0
	_ = unix.Close(int(c.fd))
	c.fd = -1
	r.stats.Closes[c.why]++
	r.stats.Open--
}

// open makes a Conn for a descriptor and enters it into the tables. The poller does not know it yet.
func (r *Reactor) open(fd int, h upstream.Handler) *Conn {
	c := r.seat(fd, h)
	r.enter(fd, c.slot)
	r.stats.Open++
	return c
}

// seat makes a Conn and gives it a slot.
func (r *Reactor) seat(fd int, h upstream.Handler) *Conn {
	var slot uint32
	if n := len(r.freeSlots); n > 0 {
		slot = r.freeSlots[n-1]
		r.freeSlots = r.freeSlots[:n-1]
	} else {
		slot = uint32(len(r.slots))
		r.slots = append(r.slots, nil)
		r.wheel.Grow(len(r.slots))
	}
	c := &Conn{r: r, h: h, fd: int32(fd), slot: slot, flags: writable}
	r.slots[slot] = c
	return c
}

// enter writes the table from descriptors to slots, making it longer when needed.
func (r *Reactor) enter(fd int, at uint32) {
	if fd >= len(r.byFD) {
		grown := make([]uint32, max(fd+1, 2*len(r.byFD)))
		copy(grown, r.byFD)
		r.byFD = grown
	}
	r.byFD[fd] = at
}

// guard is deferred around calls of foreign code: a panic costs the socket c, when there is one, and is
// logged with its stack.
func (r *Reactor) guard(c *Conn) {
	fault := recover()
	if fault == nil {
		return
	}
	r.stats.Panics++
	if r.mayLog(&r.panicLog) {
		r.log.Error("reactor: panic in a handler", "loop", r.opts.Index, "panic", fault,
			slog.String("stack", string(debug.Stack())), "panics", r.stats.Panics)
	}
	if c != nil {
		c.flags |= resetting
		c.kill(codec.ReasonPanic)
	}
}

// mayLog allows one line per logEvery of a kind of fault.
func (r *Reactor) mayLog(next *int64) bool {
	if r.now < *next {
		return false
	}
	*next = r.now + logEvery
	return true
}
