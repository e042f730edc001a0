// Package replay remembers recent handshakes in fixed memory, shared by all loops.
//
// A handshake is remembered by a keyed 64-bit hash of the bytes that a replay cannot change (spec
// client-protocols 5). There are two generations of tables: the young one is written, both are asked,
// and when the young one is full or a generation old, the elder is forgotten and they change places. So an
// entry lives for at least one generation unless more handshakes come than the memory holds, and then the
// oldest go first.
package replay

import (
	"hash/maphash"
	"sync"
)

// Kind separates the domains of keys, so that bytes of one kind never match another.
type Kind uint8

// The kinds.
const (
	Opening Kind = iota + 1 // the 48 bytes 8..55 of an obfuscated2 init on bare TCP
	Hello                   // the first 16 bytes of a ClientHello's random
)

const (
	shards   = 64        // locks; a handshake takes one of them once
	probes   = 16        // longest walk in a table before it counts as full
	slotSize = 8         // bytes of a fingerprint
	minSlots = 64        // slots of a shard's table at least
	fill     = 3         // a table is full at fill/4 of its slots
	hours24  = 24 * 3600 // one generation in seconds: retention is 24 to 48 h (spec client-protocols 5)
)

// DefaultMemory is the size of both generations together in bytes (about 3 million handshakes at the fill limit).
const DefaultMemory = 32 << 20

// Store is the memory of handshakes. All methods may be called from any goroutine; they are called once per
// handshake, never per packet.
type Store struct {
	seed  maphash.Seed // per process, so that nobody can aim at slots
	slots int          // of a table at most
	parts [shards]part
}

type part struct {
	mu         sync.Mutex
	young, old []uint64 // 0 is an empty slot
	used, kept int      // entries in young and old
	since      int64    // unix seconds when young was begun; 0 before the first entry
	rotations  uint64
	_          [32]byte // keep neighbours off the cache line
}

// New returns a store that takes at most about memory bytes; 0 is DefaultMemory. It starts small and doubles
// as handshakes come: fingerprints fall on random pages, so full-sized tables would be resident after few of them.
func New(memory int) *Store {
	if memory <= 0 {
		memory = DefaultMemory
	}
	slots := minSlots
	for slots*2*slotSize*2*shards <= memory {
		slots *= 2
	}
	s := &Store{seed: maphash.MakeSeed(), slots: slots}
	for i := range s.parts {
		s.parts[i].young = make([]uint64, minSlots)
		s.parts[i].old = make([]uint64, minSlots)
	}
	return s
}

// Seen reports whether key of this kind was given before, and remembers it if not: of two simultaneous
// copies exactly one hears false. now is unix seconds.
func (s *Store) Seen(kind Kind, key []byte, now int64) bool {
	var h maphash.Hash
	h.SetSeed(s.seed)
	_ = h.WriteByte(byte(kind))
	_, _ = h.Write(key)
	f := h.Sum64()
	if f == 0 {
		f = 1
	}
	p := &s.parts[f%shards]
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rotate(now)
	if find(p.old, f) {
		return true
	}
	at, seen := place(p.young, f)
	if seen {
		return true
	}
	for at < 0 || p.used >= len(p.young)*fill/4 {
		if len(p.young) < s.slots {
			p.grow()
		} else {
			p.turn(now)
		}
		at, _ = place(p.young, f)
	}
	p.young[at] = f
	p.used++
	return false
}

// Len returns how many handshakes are remembered, and how many fit before the oldest are forgotten.
func (s *Store) Len() (entries, capacity uint64) {
	for i := range s.parts {
		p := &s.parts[i]
		p.mu.Lock()
		entries += uint64(p.used + p.kept)
		capacity += uint64(2 * (s.slots * fill / 4))
		p.mu.Unlock()
	}
	return entries, capacity
}

// Rotations returns how many generations were forgotten, over all shards.
func (s *Store) Rotations() uint64 {
	var n uint64
	for i := range s.parts {
		p := &s.parts[i]
		p.mu.Lock()
		n += p.rotations
		p.mu.Unlock()
	}
	return n
}

// rotate begins a new generation when the young one is old enough.
func (p *part) rotate(now int64) {
	if p.since == 0 {
		p.since = now
	}
	for n := 0; now-p.since >= hours24 && n < 2; n++ {
		began := p.since + hours24
		p.turn(now)
		p.since = began
	}
	if now-p.since >= hours24 {
		p.since = now
	}
}

func (p *part) turn(now int64) {
	p.young, p.old = p.old, p.young
	clear(p.young)
	p.used, p.kept, p.since = 0, p.used, now
	p.rotations++
}

// grow doubles the young table. An entry that finds no place in the new one either is the price of a walk that
// is too long; with a keyed hash at this fill that is rarer than a forgotten shard.
func (p *part) grow() {
	was := p.young
	p.young = make([]uint64, 2*len(was))
	p.used = 0
	for _, f := range was {
		if f == 0 {
			continue
		}
		if at, _ := place(p.young, f); at >= 0 {
			p.young[at] = f
			p.used++
		}
	}
}

func find(table []uint64, f uint64) bool {
	_, seen := place(table, f)
	return seen
}

// place returns the slot of f and whether it is there, or the empty slot where it belongs; -1 when the walk
// is too long.
func place(table []uint64, f uint64) (int, bool) {
	mask := uint64(len(table) - 1)
	at := (f / shards) & mask
	for range probes {
		switch table[at] {
		case f:
			return int(at), true
		case 0:
			return int(at), false
		}
		at = (at + 1) & mask
	}
	return -1, false
}
