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

// Find returns the id of the entry that serves a DC id: the exact one, else the one without the media sign, else
// the default DC, which known tells. (The rule of spec upstream-protocols 5.1 that takes 200+n for n never applies:
// the table always lists CDN 203.)
func (t *Table) Find(dc codec.DC) (id int, known bool) {
	if _, ok := t.byID[int(dc)]; ok {
		return int(dc), true
	}
	if _, ok := t.byID[dc.Abs()]; ok {
		return dc.Abs(), true
	}
	return t.unknown, false
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

// Addrs returns the addresses of the entry id in the order of preference, in a slice of the caller's; none when it is
// not in the table.
func (t *Table) Addrs(id int) []netip.AddrPort {
	var list []netip.AddrPort
	for _, n := range t.byID[id] {
		list = append(list, t.addrs[n])
	}
	return list
}
