package lists

import (
	"cmp"
	"encoding/binary"
	"math"
	"net/netip"
	"slices"
	"sort"
)

// table is a set of addresses, fixed once it is built: sorted spans that do not touch. A million IPv4
// prefixes take 8 MB, and a look costs two cache misses where a trie's costs one for each level.
type table struct {
	v4    []span4
	index []uint32 // for each head of an IPv4 address the first span that starts there or above; nil for few
	v6    []span6
}

// span4 and span6 are ranges, first and last address included.
type span4 struct{ first, last uint32 }

type span6 struct{ first, last wide }

// wide is an IPv6 address as a number.
type wide struct{ hi, lo uint64 }

func (a wide) compare(b wide) int { return cmp.Or(cmp.Compare(a.hi, b.hi), cmp.Compare(a.lo, b.lo)) }

// next returns a+1; the highest address has none.
func (a wide) next() (wide, bool) {
	a.lo++
	if a.lo == 0 {
		a.hi++
	}
	return a, a != wide{}
}

func number4(a netip.Addr) uint32 {
	ip := a.As4()
	return binary.BigEndian.Uint32(ip[:])
}

func number6(a netip.Addr) wide {
	ip := a.As16()
	return wide{binary.BigEndian.Uint64(ip[:8]), binary.BigEndian.Uint64(ip[8:])}
}

// add puts first to last, of one family and in order, into a table that is not built yet.
func (t *table) add(first, last netip.Addr) {
	if first.Is4() {
		t.v4 = append(t.v4, span4{number4(first), number4(last)})
		return
	}
	t.v6 = append(t.v6, span6{number6(first), number6(last)})
}

// build sorts and joins what was added.
func (t *table) build() {
	slices.SortFunc(t.v4, func(a, b span4) int { return cmp.Compare(a.first, b.first) })
	n := 0
	for _, s := range t.v4 {
		if n > 0 && (t.v4[n-1].last == math.MaxUint32 || s.first <= t.v4[n-1].last+1) {
			t.v4[n-1].last = max(t.v4[n-1].last, s.last)
			continue
		}
		t.v4[n] = s
		n++
	}
	t.v4 = slices.Clip(slices.Clone(t.v4[:n]))

	slices.SortFunc(t.v6, func(a, b span6) int { return a.first.compare(b.first) })
	n = 0
	for _, s := range t.v6 {
		if n > 0 {
			last := &t.v6[n-1].last
			if next, ok := last.next(); !ok || s.first.compare(next) <= 0 {
				if s.last.compare(*last) > 0 {
					*last = s.last
				}
				continue
			}
		}
		t.v6[n] = s
		n++
	}
	t.v6 = slices.Clip(slices.Clone(t.v6[:n]))

	if len(t.v4) < indexFrom {
		return
	}
	t.index = make([]uint32, 1<<(32-tail)+1)
	at := 0
	for head := range t.index {
		for at < len(t.v4) && int(t.v4[at].first>>tail) < head {
			at++
		}
		t.index[head] = uint32(at)
	}
}

// contains reports whether a, not IPv4-mapped, is in a built table.
func (t *table) contains(a netip.Addr) bool {
	if a.Is4() {
		return t.contains4(number4(a))
	}
	x := number6(a)
	n := sort.Search(len(t.v6), func(i int) bool { return t.v6[i].first.compare(x) > 0 })
	return n > 0 && x.compare(t.v6[n-1].last) <= 0
}

func (t *table) contains4(x uint32) bool {
	low, high := 0, len(t.v4)
	if t.index != nil {
		low, high = int(t.index[x>>tail]), int(t.index[x>>tail+1])
	}
	for low < high { // the spans before low start at x or below, those from high on above
		if middle := (low + high) / 2; t.v4[middle].first <= x {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low > 0 && x <= t.v4[low-1].last
}

// everybody reports whether the table holds a whole address family.
func (t *table) everybody() bool {
	return slices.Contains(t.v4, span4{0, math.MaxUint32}) ||
		slices.Contains(t.v6, span6{wide{}, wide{math.MaxUint64, math.MaxUint64}})
}
