package replay

import (
	"math/bits"
	"sync"
)

// unit is a time of an entry: 8 s, modulo 145 h.
type unit uint16

func unitOf(unix int64) unit { return unit(unix >> unitShift) }

// since returns how many units then is before now; negative when the clock was set back.
func (now unit) since(then unit) int { return int(now-then+backUnits) - backUnits }

func (now unit) keeps(then unit) bool { return now.since(then) <= keepUnits }

// A bucket is one cache line of entries in the order of their coming, the newest first, zero where empty.
//
//	tag, 48 bits | time, 16 bits
//
// A tag is the low 48 bits of a handshake's hash, not zero. Its halves are the handshake's two places, so a
// table can grow by what it holds.
type bucket [slots]uint64

func entry(tag uint64, at unit) uint64 { return tag<<timeBits | uint64(at) }

// has reports whether tag is there and still remembered.
func (b *bucket) has(tag uint64, now unit) bool {
	for _, e := range b {
		if e>>timeBits == tag {
			return now.keeps(unit(e))
		}
	}
	return false
}

func (b *bucket) len() int {
	n := 0
	for n < slots && b[n] != 0 {
		n++
	}
	return n
}

// expire takes out what is older than Keep and returns how many are left and how many went.
func (b *bucket) expire(now unit) (left, gone int) {
	for _, e := range b {
		switch {
		case e == 0:
		case now.keeps(unit(e)):
			b[left] = e
			left++
		default:
			gone++
		}
	}
	clear(b[left:])
	return left, gone
}

// insert puts an entry at a place and moves what is there and behind; the last of a full bucket falls out.
func (b *bucket) insert(at int, e uint64) {
	copy(b[at+1:], b[at:])
	b[at] = e
}

// part is one shard: buckets in chunks, the first of minBuckets, each further one as large as all before it.
// So it grows without copying and never takes more than it was given.
type part struct {
	mu      sync.Mutex
	size    uint32 // buckets, a power of two
	max     uint32
	entries int
	pending []uint64 // hashes that no Flush has taken yet
	last    int64    // unix seconds of the last insertion
	swept   int64    // unix seconds of the last sweep

	checks, hits, evicted, unsaved uint64

	chunks [indexBits - 1][]bucket
	_      [40]byte // keep neighbours off the cache line
}

// pair returns the two places of a tag; they may be the same.
func (p *part) pair(tag uint64) (a, b *bucket) {
	return p.bucket(uint32(tag)), p.bucket(uint32(tag >> indexBits))
}

// bucket returns the bucket of index i modulo the size.
func (p *part) bucket(i uint32) *bucket {
	i &= p.size - 1
	chunk := p.chunks[bits.Len32(i/minBuckets)]
	return &chunk[i&uint32(len(chunk)-1)]
}

// seen reports whether tag is remembered, and inserts it if not.
func (p *part) seen(tag uint64, unix int64) bool {
	if p.due(unix) {
		p.sweepAll(unix)
	}
	now := unitOf(unix)
	a, b := p.pair(tag)
	if a.has(tag, now) || b.has(tag, now) {
		return true
	}
	p.room(tag, now).insert(0, entry(tag, now))
	p.last = unix
	return false
}

// restore inserts a tag of the past among its like, unless it is there or older than all in a full table.
func (p *part) restore(tag uint64, then, now unit) {
	a, b := p.pair(tag)
	if a.has(tag, now) || b.has(tag, now) {
		return
	}
	to := p.room(tag, now)
	at := 0
	for at < slots-1 && to[at] != 0 && now.since(unit(to[at])) < now.since(then) {
		at++
	}
	to.insert(at, entry(tag, then))
}

// room returns a bucket of tag with an empty slot, or when there is none one whose last entry may go: it
// counts the new entry and the lost one. The emptier of both places is taken. When both are full the table
// doubles; at its limit an entry of either moves to its other place; when there is hardly an empty slot to
// find, the older of the two last ones goes.
func (p *part) room(tag uint64, now unit) *bucket {
	for {
		a, b := p.pair(tag)
		inA, gone := a.expire(now)
		p.entries -= gone
		inB, gone := b.expire(now)
		p.entries -= gone
		if inB < inA {
			a, inA = b, inB
		}
		if inA < slots {
			p.entries++
			return a
		}
		if p.size < p.max {
			p.grow()
			continue
		}
		if p.entries < int(p.size)*slots*movesBelow/64 && (p.move(a, now) || p.move(b, now)) {
			continue
		}
		p.evicted++
		if now.since(unit(b[slots-1])) > now.since(unit(a[slots-1])) {
			return b
		}
		return a
	}
}

// move makes room in a full bucket by moving one of its entries, the oldest first, to its other place.
func (p *part) move(from *bucket, now unit) bool {
	for i := slots - 1; i >= 0; i-- {
		e := from[i]
		to, other := p.pair(e >> timeBits)
		if to == from {
			to = other
		}
		n := to.len()
		if n == slots || to == from {
			continue
		}
		at := 0
		for at < n && now.since(unit(to[at])) < now.since(unit(e)) {
			at++
		}
		to.insert(at, e)
		copy(from[i:], from[i+1:])
		from[slots-1] = 0
		return true
	}
	return false
}

// grow doubles the buckets. An entry of bucket i belongs to i or i+size then, so none overflows.
func (p *part) grow() {
	was := p.size
	upper := make([]bucket, was)
	for i := range upper {
		var low bucket
		n, m := 0, 0
		from := p.bucket(uint32(i))
		for _, e := range from {
			if e == 0 {
				break
			}
			x := uint32(e >> timeBits)
			if x&(was-1) != uint32(i) {
				x = uint32(e >> (timeBits + indexBits))
			}
			if x&was == 0 {
				low[n] = e
				n++
			} else {
				upper[i][m] = e
				m++
			}
		}
		*from = low
	}
	p.chunks[bits.Len32(was/minBuckets)] = upper
	p.size = 2 * was
}

// sweep takes what is too old out of up to sweepStep buckets, and returns where to go on, 0 at the end.
func (p *part) sweep(from uint32, now unit) uint32 {
	to := min(from+sweepStep, p.size)
	for ; from < to; from++ {
		_, gone := p.bucket(from).expire(now)
		p.entries -= gone
	}
	if to == p.size {
		return 0
	}
	return to
}

// due reports whether nobody swept for too long, or the clock was set back by as much. Loops and Flush may
// differ by seconds.
func (p *part) due(unix int64) bool {
	return unix-p.swept >= sweepWait || p.swept-unix >= sweepWait
}

// sweepAll sweeps the whole shard, before the time of an entry can come round.
func (p *part) sweepAll(unix int64) {
	if unix-p.last > Keep+1<<unitShift {
		for i := range p.size {
			*p.bucket(i) = bucket{}
		}
		p.entries = 0
	}
	for from := p.sweep(0, unitOf(unix)); from != 0; {
		from = p.sweep(from, unitOf(unix))
	}
	p.swept = unix
}
