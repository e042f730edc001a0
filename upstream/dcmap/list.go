package dcmap

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"epoxy/codec"
)

// Family is an IP version. Telegram publishes one list for each.
type Family uint8

// The families.
const (
	V4 Family = iota
	V6
)

// String returns the metric label.
func (f Family) String() string {
	if f == V6 {
		return "v6"
	}
	return "v4"
}

// Of reports whether a is of the family; IPv4 in IPv6 is IPv4.
func (f Family) Of(a netip.Addr) bool {
	a = a.Unmap()
	return a.IsValid() && a.Is6() == (f == V6)
}

// List is one parsed configuration text: the middle proxies of each datacenter, all of one family. It
// is never changed once parsed. A nil *List is an empty one.
type List struct {
	Default codec.DC // serves ids that the list lacks
	Skipped int      // statements that were passed over: unknown, damaged, a host name, the other family

	dcs map[codec.DC][]netip.AddrPort // no empty slices
}

// Target is one middle proxy of one datacenter.
type Target struct {
	DC   codec.DC
	Addr netip.AddrPort
}

// Lookup returns the addresses for a client's dc, and the id that they belong to: the exact id, then
// the id without its media sign, then the list's default, then DC 2 (spec upstream-protocols 4.7). An
// id other than dc counts as a fallback. No addresses means that nobody serves dc. The slice belongs
// to the list and is not to be changed.
func (l *List) Lookup(dc codec.DC) (codec.DC, []netip.AddrPort) {
	if l == nil {
		return 0, nil
	}
	if a := l.dcs[dc]; a != nil {
		return dc, a
	}
	if dc < 0 && dc >= -maxID {
		if a := l.dcs[-dc]; a != nil {
			return -dc, a
		}
	}
	if a := l.dcs[l.Default]; a != nil {
		return l.Default, a
	}
	if a := l.dcs[DefaultDC]; a != nil {
		return DefaultDC, a
	}
	return 0, nil
}

// Has reports whether the list names t.
func (l *List) Has(t Target) bool { return l != nil && slices.Contains(l.dcs[t.DC], t.Addr) }

// Len returns how many datacenter ids the list knows.
func (l *List) Len() int {
	if l == nil {
		return 0
	}
	return len(l.dcs)
}

// DCs returns the known ids in rising order, in a slice of the caller's.
func (l *List) DCs() []codec.DC {
	if l == nil {
		return nil
	}
	return slices.Sorted(maps.Keys(l.dcs))
}

// Targets returns every address of every id: ids in rising order, addresses in the text's.
func (l *List) Targets() []Target {
	var all []Target
	for _, dc := range l.DCs() {
		for _, a := range l.dcs[dc] {
			all = append(all, Target{DC: dc, Addr: a})
		}
	}
	return all
}

// Equal reports whether both say the same: default, ids, and addresses in their order.
func (l *List) Equal(o *List) bool {
	if l == nil || o == nil {
		return l == o
	}
	return l.Default == o.Default && maps.EqualFunc(l.dcs, o.dcs, slices.Equal)
}

// AppendText appends the list as Telegram writes it; Parse of it gives an equal list.
func (l *List) AppendText(dst []byte) []byte {
	if l == nil {
		return dst
	}
	dst = fmt.Appendf(dst, "default %d;\n", l.Default)
	for _, t := range l.Targets() {
		dst = fmt.Appendf(dst, "proxy_for %d %v;\n", t.DC, t.Addr)
	}
	return dst
}

// missing returns the targets of l that o lacks.
func (l *List) missing(o *List) []Target {
	return slices.DeleteFunc(l.Targets(), o.Has)
}
