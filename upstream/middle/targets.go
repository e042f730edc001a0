package middle

import "net/netip"

// Ready appends the addresses of the links that take streams now, an address once per link.
func (r *Router) Ready(dst []netip.AddrPort) []netip.AddrPort {
	for _, p := range r.order {
		for _, l := range p.ready {
			dst = append(dst, l.host.addr)
		}
	}
	return dst
}
