package dcmap

import "net/netip"

// Own is what is known of our own public address of one family. Either may be invalid.
type Own struct {
	Given netip.Addr // by the operator
	Found netip.Addr // by a lookup service
}

// PublicAddr returns the address that a middle proxy sees us under, which is key material: what the
// operator gave, else the connection's local address if that is public, else what a lookup service
// said, else local (spec upstream-protocols 1.5). The family is local's.
func (s *Snapshot) PublicAddr(local netip.Addr) netip.Addr {
	local = local.Unmap()
	own := s.Own[V4]
	if local.Is6() {
		own = s.Own[V6]
	}
	switch {
	case own.Given.IsValid():
		return own.Given
	case !IsPublic(local) && own.Found.IsValid():
		return own.Found
	}
	return local
}

// shared is the carriers' address space behind their NAT (RFC 6598).
var shared = netip.PrefixFrom(netip.AddrFrom4([4]byte{100, 64, 0, 0}), 10)

// IsPublic reports whether a can be an address on the Internet: global unicast, neither private nor
// behind a carrier's NAT.
func IsPublic(a netip.Addr) bool {
	a = a.Unmap()
	return a.IsValid() && a.Zone() == "" && a.IsGlobalUnicast() && !a.IsPrivate() && !shared.Contains(a)
}
