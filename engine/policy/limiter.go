package policy

import (
	"hash/maphash"
	"math/bits"
	"sync"
	"sync/atomic"
)

// Limiter counts connections and asks the tables, for all loops. A counter lives while it is above zero.
type Limiter struct {
	// fixed by NewLimiter
	tables *Tables
	seed   maphash.Seed

	shards [shards]shard // shared, each by its lock; more than one is locked in the order of their places
}

type shard struct {
	mu       sync.Mutex
	counters map[combo]*counter
	most     int      // counters since the map was made
	_        [40]byte // a cache line of its own
}

// counter is guarded by its shard's lock.
type counter struct {
	combo combo
	shard *shard
	n     int32
}

// NewLimiter returns a Limiter whose rules look into tables.
func NewLimiter(tables *Tables) *Limiter {
	l := &Limiter{tables: tables, seed: maphash.MakeSeed()}
	for i := range l.shards {
		l.shards[i].counters = make(map[combo]*counter)
	}
	return l
}

// Ticket is what an admitted connection holds. The zero Ticket holds nothing. A Ticket is a pointer; its
// copies are one ticket.
type Ticket struct{ hold *hold }

type hold struct {
	released atomic.Bool
	counters []*counter
	few      [few]*counter
}

// Release gives back what was taken, once: a second call does nothing. It may come from any goroutine, and
// long after the rules that admitted were replaced.
func (t Ticket) Release() {
	if t.hold == nil || t.hold.released.Swap(true) {
		return
	}
	for _, c := range t.hold.counters {
		s := c.shard
		s.mu.Lock()
		if c.n--; c.n == 0 {
			s.drop(c)
		}
		s.mu.Unlock()
	}
	t.hold.counters, t.hold.few = nil, [few]*counter{}
}

// drop forgets a counter. A map keeps the room of its best days, so an empty one is made anew.
func (s *shard) drop(c *counter) {
	delete(s.counters, c.combo)
	if len(s.counters) == 0 && s.most > roomy {
		s.counters, s.most = make(map[combo]*counter), 0
	}
}

// Admit asks all rules about c. Only when all agree it takes one of each counter, in one step that all
// loops see at once; Release of the Ticket gives them back. Otherwise it takes nothing and returns which
// rule refused, the first in their order among the tables' rules, else among the limits. Refusing allocates
// nothing unless the domain has upper case.
//
// A limit that is new or lower after a reload counts those who came under the same keys before, and cuts
// nobody.
func (l *Limiter) Admit(rules *Rules, c *Client) (Ticket, *Refusal) {
	if rules == nil {
		return Ticket{}, nil
	}
	for i := range rules.refusals {
		if r := &rules.refusals[i]; r.Rule.verb != MaxConnections {
			key, ok := c.key(r.Rule.keys[0])
			if in := ok && l.tables.Has(r.Rule.table, key); in != (r.Rule.verb == InTable) {
				return Ticket{}, r
			}
		}
	}
	if rules.counts == 0 {
		return Ticket{}, nil
	}
	return l.count(rules, c)
}

// wanted is a counter that a rule asks for.
type wanted struct {
	rule  *Refusal
	combo combo
	shard uint8
}

// count takes one of each counter of rules, or nothing.
func (l *Limiter) count(rules *Rules, c *Client) (Ticket, *Refusal) {
	var room [stacked]wanted
	want := room[:0]
	var places uint64 // of the shards
	for i := range rules.refusals {
		if r := &rules.refusals[i]; r.Rule.verb == MaxConnections {
			w := wanted{rule: r, combo: c.combo(&r.Rule)}
			w.shard = uint8(maphash.Comparable(l.seed, w.combo) % shards)
			places |= 1 << w.shard
			want = append(want, w)
		}
	}
	for p := places; p != 0; p &= p - 1 {
		l.shards[bits.TrailingZeros64(p)].mu.Lock()
	}
	t, refusal := l.take(want)
	for p := places; p != 0; p &= p - 1 {
		l.shards[bits.TrailingZeros64(p)].mu.Unlock()
	}
	return t, refusal
}

// take is count's work under the locks.
func (l *Limiter) take(want []wanted) (Ticket, *Refusal) {
	for i := range want {
		w := &want[i]
		var n int32
		if c := l.shards[w.shard].counters[w.combo]; c != nil {
			n = c.n
		}
		if n >= w.rule.Rule.max {
			return Ticket{}, w.rule
		}
	}
	h := &hold{}
	h.counters = h.few[:0]
	for i := range want {
		w := &want[i]
		s := &l.shards[w.shard]
		c := s.counters[w.combo]
		if c == nil {
			c = &counter{combo: w.combo, shard: s}
			s.counters[w.combo] = c
			s.most = max(s.most, len(s.counters))
		}
		c.n++
		h.counters = append(h.counters, c)
	}
	return Ticket{h}, nil
}

// Count returns how many connections are counted under rule for a client like c.
func (l *Limiter) Count(rule Rule, c *Client) int {
	x := c.combo(&rule)
	s := &l.shards[maphash.Comparable(l.seed, x)%shards]
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.counters[x]; c != nil {
		return int(c.n)
	}
	return 0
}

// Len returns how many counters there are.
func (l *Limiter) Len() int {
	n := 0
	for i := range l.shards {
		l.shards[i].mu.Lock()
		n += len(l.shards[i].counters)
		l.shards[i].mu.Unlock()
	}
	return n
}
