// Package front splices a stranger's raw bytes to the front.
package front

import "net/netip"

// Target is one web site as it was resolved last. It is shared by all loops and not changed.
type Target struct {
	Addrs []netip.AddrPort // tried in turn; or
	Path  string           // a unix socket
	Off   bool             // strangers who ask for this domain are not fronted
	Proxy byte             // version of the PROXY protocol header sent ahead of the stranger's bytes, 1 or 2; 0 is none
}

// Targets says where strangers go. It is immutable: a change is a new one, handed to every loop.
type Targets struct {
	Default  *Target            // for every domain that is not listed; nil is none
	ByDomain map[string]*Target // by domain in lower case, no trailing dot; only what the operator listed
}
