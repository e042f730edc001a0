// Package replay remembers recent handshakes in fixed memory, shared by all loops.
//
// A handshake is remembered for 48 h by a keyed hash of the bytes that a replay cannot change (spec
// client-protocols 5). The table starts small and doubles as handshakes come, up to its limit; when more come
// than it holds, the oldest go first. A journal in a directory carries it over a restart and a kill: a
// handshake is on disk after the next Flush, which the engine calls every second, off the loops.
//
// Of a hash 8 bits choose the shard and 48 are stored, so a new handshake is taken for a copy with a
// probability of entries/2^56: 1 in 10^10 when 64 MiB are full.
package replay

import (
	"crypto/rand"
	"sync"
	"sync/atomic"
)

// Kind separates the domains of keys, so that bytes of one kind never match another.
type Kind uint8

// The kinds. Their numbers are in the journal's hashes: never reuse one.
const (
	Opening Kind = iota + 1 // the 48 bytes 8..55 of an obfuscated2 init on bare TCP
	Hello                   // the first 16 bytes of a ClientHello's random: the rest is the time, which anybody can shift
)

// Store is the memory of handshakes. All methods may be called from any goroutine; Seen is called once per
// handshake, never per packet.
type Store struct {
	key   sipKey // fixed after New or Open
	saved bool   // whether there is a journal, likewise
	parts [shards]part

	onDisk atomic.Int64  // bytes of all segments
	errors atomic.Uint64 // flushes that failed

	flushing sync.Mutex // one Flush or Close at a time; owns what follows
	cursor   uint8      // the next part to sweep
	journal  journal
}

// New returns a store in memory only, that takes at most about memory bytes, rounded down to a power of two;
// 0 is DefaultMemory. An empty one takes some 300 KiB.
func New(memory int) *Store {
	var key [16]byte
	_, _ = rand.Read(key[:]) // never fails
	return newStore(memory, key)
}

func newStore(memory int, key [16]byte) *Store {
	if memory <= 0 {
		memory = DefaultMemory
	}
	buckets := uint32(minBuckets)
	for buckets < 1<<indexBits && int(buckets)*2*slots*slotSize*shards <= memory {
		buckets *= 2
	}
	s := &Store{key: newSipKey(key)}
	first := make([]bucket, shards*minBuckets)
	for i := range s.parts {
		p := &s.parts[i]
		p.chunks[0], first = first[:minBuckets:minBuckets], first[minBuckets:]
		p.size, p.max = minBuckets, buckets
	}
	return s
}

// Seen reports whether key of this kind was given in the last 48 h, and remembers it if not: of two
// simultaneous copies exactly one hears false. now is unix seconds.
func (s *Store) Seen(kind Kind, key []byte, now int64) bool {
	hash := s.key.sum(uint64(kind), key)
	p := &s.parts[hash>>shardShift]
	p.mu.Lock()
	p.checks++
	seen := p.seen(tagOf(hash), now)
	switch {
	case seen:
		p.hits++
	case !s.saved:
	case len(p.pending) < maxPending:
		p.pending = append(p.pending, hash)
	default:
		p.unsaved++
	}
	p.mu.Unlock()
	return seen
}

// tagOf returns the part of a hash that is stored; zero is an empty slot's.
func tagOf(hash uint64) uint64 { return max(hash&(1<<tagBits-1), 1) }

// restore remembers a hash of the time then, as a journal has it.
func (s *Store) restore(hash uint64, then, now int64) {
	then = min(then, now) // a clock that was ahead
	if now-then > Keep {
		return
	}
	p := &s.parts[hash>>shardShift]
	p.mu.Lock()
	p.restore(tagOf(hash), unitOf(then), unitOf(now))
	p.last, p.swept = now, now
	p.mu.Unlock()
}

// sweep takes what is too old out of one shard: all of them in four minutes of Flush every second.
func (s *Store) sweep(now int64) {
	p := &s.parts[s.cursor]
	s.cursor++
	for from, more := uint32(0), true; more; more = from != 0 {
		p.mu.Lock()
		if p.due(now) {
			p.sweepAll(now)
			from = 0
		} else if from = p.sweep(from, unitOf(now)); from == 0 {
			p.swept = now
		}
		p.mu.Unlock()
	}
}

// Stats are a store's numbers for metrics. All but Entries and Bytes only grow, or stand still.
type Stats struct {
	Entries      uint64 // handshakes in memory, some minutes of too old ones included
	Capacity     uint64 // handshakes that fit for sure before the oldest are forgotten
	Bytes        uint64 // memory that the table takes now
	Checks       uint64 // calls of Seen
	Hits         uint64 // those that said true
	Evicted      uint64 // handshakes that were forgotten before their 48 h, for want of memory
	Unsaved      uint64 // handshakes that are in memory only, because Flush came too late
	JournalBytes uint64 // size of all segments on disk; goes down, too
	FlushErrors  uint64 // calls of Flush that failed
}

// Stats returns the numbers. It takes each shard's lock once.
func (s *Store) Stats() Stats {
	var t Stats
	for i := range s.parts {
		p := &s.parts[i]
		p.mu.Lock()
		t.Entries += uint64(p.entries)
		t.Capacity += uint64(p.max) * slots * 3 / 4
		t.Bytes += uint64(p.size) * slots * slotSize
		t.Checks += p.checks
		t.Hits += p.hits
		t.Evicted += p.evicted
		t.Unsaved += p.unsaved
		p.mu.Unlock()
	}
	t.JournalBytes, t.FlushErrors = uint64(s.onDisk.Load()), s.errors.Load()
	return t
}

// Len returns how many handshakes are remembered, and how many fit for sure before the oldest are forgotten.
func (s *Store) Len() (entries, capacity uint64) {
	t := s.Stats()
	return t.Entries, t.Capacity
}
