package lists

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// Why a text is not taken as a list.
var (
	errHTML     = errors.New("lists: it is a web page, not a list")
	errBinary   = errors.New("lists: it is not text")
	errTooMany  = fmt.Errorf("lists: more than %d entries; split the list", maxEntries)
	errBadLines = errors.New("lists: more bad lines than good ones; a list has an address, a prefix or a range a line")
)

// content is a list as it was read: what it covers, and what of it made no sense.
type content struct {
	table    *table
	entries  int // good lines
	bad      int // lines
	firstBad int // number of the first
}

// parse reads the netset format: an address, a prefix or a range FIRST-LAST a line, with comments from # or
// ; to the end of a line. Bits behind a prefix do not count. An IPv4-mapped IPv6 address is the IPv4
// address. Bad lines are counted and skipped, as long as they are not the most.
func parse(text string) (content, error) {
	text = strings.TrimPrefix(text, "\ufeff")
	if strings.HasPrefix(strings.TrimSpace(text), "<") {
		return content{}, errHTML
	}
	c := content{table: new(table)}
	n := 0
	for line := range strings.Lines(text) {
		n++
		if at := strings.IndexAny(line, "#;"); at >= 0 {
			line = line[:at]
		}
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		first, last, ok := entry(line)
		switch {
		case ok:
			if c.entries++; c.entries > maxEntries {
				return content{}, errTooMany
			}
			c.table.add(first, last)
		case strings.IndexByte(line, 0) >= 0:
			return content{}, errBinary
		default:
			if c.bad++; c.bad == 1 {
				c.firstBad = n
			}
		}
	}
	if c.bad > c.entries {
		return content{}, fmt.Errorf("%w (first in line %d)", errBadLines, c.firstBad)
	}
	c.table.build()
	return c, nil
}

// entry reads one line: the first and the last address that it covers, of one family and in order.
func entry(line string) (first, last netip.Addr, ok bool) {
	if a, b, isRange := strings.Cut(line, "-"); isRange {
		first, okA := address(strings.TrimSpace(a))
		last, okB := address(strings.TrimSpace(b))
		return first, last, okA && okB && first.BitLen() == last.BitLen() && !last.Less(first)
	}
	if strings.IndexByte(line, '/') < 0 {
		a, ok := address(line)
		return a, a, ok
	}
	p, err := netip.ParsePrefix(line)
	if err != nil {
		return netip.Addr{}, netip.Addr{}, false
	}
	first, last = ends(p)
	if f, l := first.Unmap(), last.Unmap(); f.BitLen() == l.BitLen() { // else it is wider than all mapped addresses
		first, last = f, l
	}
	return first, last, true
}

func address(s string) (netip.Addr, bool) {
	a, err := netip.ParseAddr(s)
	return a.Unmap(), err == nil && a.Zone() == ""
}

// ends returns the first and the last address of p.
func ends(p netip.Prefix) (first, last netip.Addr) {
	first = p.Masked().Addr()
	ip := first.AsSlice()
	for i := p.Bits(); i < 8*len(ip); i++ {
		ip[i/8] |= 0x80 >> (i % 8)
	}
	last, _ = netip.AddrFromSlice(ip) // the length is right
	return first, last
}
