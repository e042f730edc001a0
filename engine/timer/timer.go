// Package timer is a hashed timing wheel for one loop: no goroutine, no allocation.
//
// A timer is a number, the slot that its owner has in the loop's tables, so setting one touches sixteen
// bytes and no heap. Two rings of lists share the nodes:
//
//	near   512 slots of 16 ms     up to 8 s ahead, at most 16 ms late
//	far   1024 slots of 1.024 s   beyond, rounded up to the slot, so that any number of idle
//	                              timers wakes the loop at most once a second
//
// A far timer fires from its own slot, there is no cascade; one that lies more than a turn of the ring
// (17.5 minutes) ahead is passed over once a turn. A Wheel belongs to one goroutine.
package timer

import "math/bits"

const (
	tickBits  = 4  // log2 of a near slot in ms
	farBits   = 10 // log2 of a far slot in ms
	nearSlots = 512
	farSlots  = 1024
	dueList   = nearSlots + farSlots // the list of timers about to be fired

	farthest = 1 << 62 // keeps the rounding from overflowing

	none = 1<<32 - 1 // no node
	head = 1 << 31   // set in prev: the rest is the list that begins here
)

// Tick is the grain of the wheel in milliseconds.
const Tick = 1 << tickBits

// Horizon is how far ahead in milliseconds a time is kept to a Tick; beyond it to FarTick.
const Horizon = 8000

// FarTick is the grain beyond Horizon in milliseconds.
const FarTick = 1 << farBits

// node is one timer. when is the time it fires at, already rounded; 0 is unset.
type node struct {
	next, prev uint32
	when       int64
}

// Wheel holds timers by number. The zero Wheel is not ready; use New.
type Wheel struct {
	nodes []node
	now   int64 // as told by Clock and Advance; near and far are judged by it
	near  int64 // last near slot visited, in ticks
	far   int64 // last far slot visited, in far ticks
	count int
	used  [(nearSlots + farSlots) / 64]uint64 // a bit for each list that is not empty
	heads [dueList + 1]uint32
}

// New returns a wheel with room for timers 0 to n-1.
func New(n int) *Wheel {
	w := &Wheel{}
	for i := range w.heads {
		w.heads[i] = none
	}
	w.Grow(n)
	return w
}

// Grow makes room for timers 0 to n-1. It never shrinks.
func (w *Wheel) Grow(n int) {
	if n <= len(w.nodes) {
		return
	}
	if n > cap(w.nodes) {
		grown := make([]node, len(w.nodes), max(n, 2*cap(w.nodes)))
		copy(grown, w.nodes)
		w.nodes = grown
	}
	w.nodes = w.nodes[:n]
}

// Len returns how many timers are set.
func (w *Wheel) Len() int { return w.count }

// At returns the time timer i fires at, rounded as it is kept, or 0 when it is unset.
func (w *Wheel) At(i uint32) int64 { return w.nodes[i].when }

// Clock tells the time in milliseconds without firing anything. The owner calls it before Set whenever
// its clock moved; it is one store.
func (w *Wheel) Clock(now int64) {
	w.now = now
	if w.count == 0 {
		w.near, w.far = now>>tickBits, now>>farBits
	}
}

// Set lets timer i fire at time at, in milliseconds; an earlier setting is forgotten. A time that has
// passed fires with the next tick, never from inside the running Advance.
func (w *Wheel) Set(i uint32, at int64) {
	n := &w.nodes[i]
	if n.when != 0 {
		w.unlink(n)
	}
	w.count++
	if at = min(at, farthest); at-w.now > Horizon {
		slot := max((at+FarTick-1)>>farBits, w.far+1)
		n.when = slot << farBits
		w.link(i, nearSlots+uint32(slot)&(farSlots-1))
		return
	}
	slot := max((at+Tick-1)>>tickBits, w.near+1)
	n.when = slot << tickBits
	w.link(i, uint32(slot)&(nearSlots-1))
}

// Cancel takes timer i back. It may be unset.
func (w *Wheel) Cancel(i uint32) {
	if n := &w.nodes[i]; n.when != 0 {
		w.unlink(n)
		n.when = 0
	}
}

// Next returns a time in milliseconds at which the owner should call Advance, and false when no timer is
// set. No timer is due before it; it may be early, by whole turns of a ring.
func (w *Wheel) Next() (at int64, ok bool) {
	if w.count == 0 {
		return 0, false
	}
	at = 1<<63 - 1
	if slot, ok := w.scan(0, nearSlots, w.near+1, nearSlots); ok {
		at = slot << tickBits
	}
	if slot, ok := w.scan(nearSlots, farSlots, w.far+1, farSlots); ok {
		at = min(at, slot<<farBits)
	}
	return at, true
}

// Advance moves the clock to now and calls fire for each timer that is due; the timer is then unset.
// fire may Set and Cancel any timer, its own and those about to fire in this call too.
func (w *Wheel) Advance(now int64, fire func(i uint32)) {
	w.now = now
	w.near = w.collect(0, nearSlots, w.near, now>>tickBits)
	w.far = w.collect(nearSlots, farSlots, w.far, now>>farBits)
	for {
		i := w.heads[dueList]
		if i == none {
			return
		}
		n := &w.nodes[i]
		w.unlink(n)
		n.when = 0
		fire(i)
	}
}

// collect moves what is due of the ring's slots behind from, up to and with to, to the due list, and
// returns where the ring then stands.
func (w *Wheel) collect(base, size uint32, from, to int64) int64 {
	if to <= from {
		return from
	}
	left := min(to-from, int64(size))
	next := to - left + 1
	for left > 0 {
		slot, ok := w.scan(base, size, next, left)
		if !ok {
			break
		}
		for i := w.heads[base+uint32(slot)&(size-1)]; i != none; {
			n := &w.nodes[i]
			following := n.next
			if n.when <= w.now {
				w.unlink(n)
				w.count++ // it stays set, in another list
				w.link(i, dueList)
			}
			i = following
		}
		left -= slot + 1 - next
		next = slot + 1
	}
	return to
}

// scan returns the first slot in use of n slots of a ring, from slot on.
func (w *Wheel) scan(base, size uint32, slot, n int64) (int64, bool) {
	for n > 0 {
		list := base + uint32(slot)&(size-1)
		word := w.used[list/64] >> (list % 64)
		if word != 0 {
			skip := int64(bits.TrailingZeros64(word))
			return slot + skip, skip < n
		}
		skip := int64(64 - list%64)
		slot += skip
		n -= skip
	}
	return 0, false
}

// link puts node i at the front of a list.
func (w *Wheel) link(i, list uint32) {
	n := &w.nodes[i]
	n.next, n.prev = w.heads[list], head|list
	if n.next != none {
		w.nodes[n.next].prev = i
	}
	w.heads[list] = i
	if list != dueList {
		w.used[list/64] |= 1 << (list % 64)
	}
}

// unlink takes a node out of its list; its time is left as it was.
func (w *Wheel) unlink(n *node) {
	w.count--
	if n.next != none {
		w.nodes[n.next].prev = n.prev
	}
	if n.prev&head == 0 {
		w.nodes[n.prev].next = n.next
		return
	}
	list := n.prev &^ head
	w.heads[list] = n.next
	if n.next == none && list != dueList {
		w.used[list/64] &^= 1 << (list % 64)
	}
}
