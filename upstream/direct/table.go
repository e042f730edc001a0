package direct

import (
	"net/netip"
	"slices"

	"epoxy/codec"
)

// Family says which address family is tried first, or at all.
type Family uint8

// The families.
const (
	PreferV4 Family = iota
	PreferV6
	OnlyV4
	OnlyV6
)

// Table maps DC ids to addresses; immutable, shared by all loops.
type Table struct {
	byID    map[int][]int32 // numbers of addresses, in the order of preference
	addrs   []netip.AddrPort
	unknown int // the default DC
}

// NewTable returns Telegram's own addresses with overrides in their place. A DC whose addresses are all of an
// excluded family has none left and counts as down, not as unknown. The default DC must be in the table.
func NewTable(overrides map[int][]netip.AddrPort, family Family, defaultDC int) *Table {
	t := &Table{byID: make(map[int][]int32), unknown: defaultDC}
	for _, dc := range builtin {
		var list []netip.AddrPort
		for _, a := range dc.addrs {
			list = append(list, netip.AddrPortFrom(netip.MustParseAddr(a), port))
		}
		t.set(int(dc.id), list, family)
	}
	ids := make([]int, 0, len(overrides))
	for id := range overrides {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		t.set(id, overrides[id], family)
	}
	return t
}

// set gives a DC its addresses, sorted by the family's preference; the order within a family stays.
func (t *Table) set(id int, list []netip.AddrPort, family Family) {
	var first, second []netip.AddrPort
	v6first := family == PreferV6 || family == OnlyV6
	for _, a := range list {
		if a.Addr().Unmap().Is6() == v6first {
			first = append(first, a)
		} else {
			second = append(second, a)
		}
	}
	if family == OnlyV4 || family == OnlyV6 {
		second = nil
	}
	var at []int32
	for _, a := range append(first, second...) {
		at = append(at, t.number(a))
	}
	t.byID[id] = at
}

func (t *Table) number(a netip.AddrPort) int32 {
	if i := slices.Index(t.addrs, a); i >= 0 {
		return int32(i)
	}
	t.addrs = append(t.addrs, a)
	return int32(len(t.addrs) - 1)
}

// Find returns the addresses of a DC id and the id of the entry that serves it: the exact id, else without
// the media sign, else 200+n as n when no CDN is listed at all, else the default DC, which known tells
// (spec upstream-protocols 5.1).
func (t *Table) Find(dc codec.DC) (at []int32, id int, known bool) {
	if at, ok := t.byID[int(dc)]; ok {
		return at, int(dc), true
	}
	abs := dc.Abs()
	if at, ok := t.byID[abs]; ok {
		return at, abs, true
	}
	if n := abs - 200; n >= 1 && n <= 5 && !t.listsCDN() {
		if at, ok := t.byID[n]; ok {
			return at, n, true
		}
	}
	return t.byID[t.unknown], t.unknown, false
}

func (t *Table) listsCDN() bool {
	for id := range t.byID {
		if id >= 200 && id < 210 {
			return true
		}
	}
	return false
}

// IDs returns the DC ids in ascending order.
func (t *Table) IDs() []int {
	ids := make([]int, 0, len(t.byID))
	for id := range t.byID {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}
