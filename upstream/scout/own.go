package scout

import (
	"net"
	"net/netip"
	"slices"
)

// ownAddrs knows which addresses lead to our own listeners.
type ownAddrs struct {
	listeners []netip.AddrPort
	machine   []netip.Addr // addresses of the machine's interfaces
	public    [2]netip.Addr
}

// listeners asks the machine for its addresses. Without an answer loopback is still known.
func listeners(own []netip.AddrPort, public [2]netip.Addr) ownAddrs {
	o := ownAddrs{public: public}
	for _, l := range own {
		o.listeners = append(o.listeners, netip.AddrPortFrom(l.Addr().Unmap().WithZone(""), l.Port()))
	}
	nets, err := net.InterfaceAddrs()
	if err != nil {
		return o
	}
	for _, n := range nets {
		if p, err := netip.ParsePrefix(n.String()); err == nil {
			o.machine = append(o.machine, p.Addr().Unmap())
		}
	}
	return o
}

// find returns the listener that a connection to target would reach. A listener on 0.0.0.0 takes what is
// for any IPv4 address of the machine, one on [::] for any of its addresses. Our public address is ours
// too when it is not the machine's own, for something in front of us translates it.
func (o *ownAddrs) find(target netip.AddrPort) (listener netip.AddrPort, ok bool) {
	addr := target.Addr().Unmap().WithZone("")
	local := addr.IsLoopback() || slices.Contains(o.machine, addr)
	translated := !local && addr.IsValid() && slices.Contains(o.public[:], addr)
	for _, l := range o.listeners {
		if l.Port() != target.Port() {
			continue
		}
		here := l.Addr()
		wild := here.IsUnspecified() && (here.Is6() || addr.Is4())
		switch {
		case here == addr, wild && (local || translated), translated && here.IsPrivate():
			return l, true
		}
	}
	return netip.AddrPort{}, false
}

// split parts addrs in those of others and those of ours.
func (o *ownAddrs) split(addrs []netip.AddrPort) (others, mine []netip.AddrPort) {
	for _, a := range addrs {
		if _, ok := o.find(a); ok {
			mine = append(mine, a)
		} else {
			others = append(others, a)
		}
	}
	return others, mine
}
