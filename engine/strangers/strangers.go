// Package strangers remembers what strangers sent, in fixed memory: outcomes by JA4 and kind, the most frequent ones.
//
// A Table belongs to one loop. It keeps no address, no SNI and none of the bytes: only what kind of thing came, the
// fingerprint of a TLS client, and the codec.Reason why it was turned away. Totals by kind and by reason are exact.
// The list of pairs is kept by the Space-Saving algorithm (Metwally, Agrawal, El Abbadi 2005): with m entries and n
// notes, a pair that came more than n/m times is in the list, and a count is too high by its Over at most, which is
// n/m at most, and never too low.
package strangers

import (
	"epoxy/codec"
	"epoxy/codec/faketls"
)

// JA4 is a fingerprint as faketls.AppendJA4 writes it; all zero is none.
type JA4 [faketls.JA4Size]byte

// String returns the fingerprint, or "" for none.
func (j JA4) String() string {
	if j == (JA4{}) {
		return ""
	}
	return string(j[:])
}

// pair is what is counted in the list.
type pair struct {
	ja4  JA4 // of a TLS kind within the rate
	kind Kind
	why  codec.Reason
}

// slot is an entry of the list.
type slot struct {
	pair
	count, over uint64
	first, last int64 // loop time in ms; first is since the pair is in the list
}

// Table is one loop's memory of its strangers.
type Table struct {
	// Fixed by New.
	join []byte // empty, with room for a torn hello

	// Owned by the loop.
	slots   []slot // at most its capacity
	kinds   [kinds]uint64
	reasons [codec.Reasons]uint64
	skipped uint64 // hellos whose fingerprint was not taken
	window  int64  // loop time in seconds for which left counts
	left    int
}

// New returns a table of size entries, at most 1024; 0 is 64. It takes about 16 KiB and 80 bytes an entry, all of it
// now.
func New(size int) *Table {
	if size <= 0 {
		size = defaultSize
	}
	return &Table{join: make([]byte, 0, joinSize), slots: make([]slot, 0, min(size, maxSize)), window: -1}
}

// Note counts a stranger that was turned away for why after sending p, which is neither kept nor changed; now is
// the loop's clock in ms. It returns what p looks like and does not allocate.
func (t *Table) Note(why codec.Reason, p []byte, now int64) Kind {
	if int(why) >= len(t.reasons) {
		why = codec.ReasonNone
	}
	kind, hello := classify(p, t.join)
	t.kinds[kind]++
	t.reasons[why]++
	at := pair{kind: kind, why: why}
	if kind == TLS {
		if t.mayHash(now) {
			faketls.AppendJA4(at.ja4[:0], &hello)
		} else {
			t.skipped++
		}
	}
	t.add(at, now)
	return kind
}

// mayHash takes one fingerprint of this second's share.
func (t *Table) mayHash(now int64) bool {
	if s := now / second; s != t.window {
		t.window, t.left = s, ja4Rate
	}
	if t.left == 0 {
		return false
	}
	t.left--
	return true
}

// add counts a pair. When the list is full, a new one takes the place, and the count, of a least frequent one.
func (t *Table) add(p pair, now int64) {
	least := 0
	for i := range t.slots {
		s := &t.slots[i]
		if s.pair == p {
			s.count++
			s.last = now
			return
		}
		if s.count < t.slots[least].count {
			least = i
		}
	}
	if len(t.slots) < cap(t.slots) {
		t.slots = append(t.slots, slot{pair: p, count: 1, first: now, last: now})
		return
	}
	s := &t.slots[least]
	*s = slot{pair: p, count: s.count + 1, over: s.count, first: now, last: now}
}

// Copy makes dst a picture of the table; it reuses dst.Top. now is the loop's clock in ms and unix the wall clock in
// seconds at the same moment. On the loop.
func (t *Table) Copy(dst *Report, now, unix int64) {
	top := dst.Top[:0]
	*dst = Report{Kinds: t.kinds, Reasons: t.reasons, Skipped: t.skipped, size: cap(t.slots)}
	for _, n := range t.kinds {
		dst.Total += n
	}
	for i := range t.slots {
		s := &t.slots[i]
		if len(t.slots) == cap(t.slots) && (i == 0 || s.count < dst.Floor) {
			dst.Floor = s.count
		}
		top = append(top, Entry{Kind: s.kind, JA4: s.ja4, Why: s.why, Count: s.count, Over: s.over,
			First: unix - (now-s.first)/second, Last: unix - (now-s.last)/second})
	}
	dst.Top = top
	dst.sort()
}
