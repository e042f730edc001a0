// Package policy says who may connect, by rules over port, address, domain and secret.
//
// A connection is admitted when all rules hold. A rule counts the connections with the same keys, or looks
// a key up in a table that changes while the proxy runs. Rules and tables are asked once per handshake, by
// all loops; nothing here does I/O or reads a clock.
package policy

import "net/netip"

// Client is what rules are asked about. Its strings are kept while the connection is counted: they must
// not point into a buffer.
type Client struct {
	Port   string     // the listener's name
	IP     netip.Addr // behind PROXY protocol the real one; the zero Addr is none
	Domain string     // the hello's name; empty is none, as with dd and classic secrets
	Secret string     // the secret's name
}

// key returns what s asks of c, and false when c has none.
func (c *Client) key(s spec) (Key, bool) {
	switch s.kind {
	case ClientIP:
		return addrKey(c.IP), c.IP.IsValid()
	case ClientSubnet:
		bits := s.bits(c.IP)
		return Key{kind: ClientSubnet, bits: bits, ip: subnet(c.IP.As16(), bits)}, c.IP.IsValid()
	case TLSDomain:
		return Key{kind: TLSDomain, text: domain(c.Domain)}, c.Domain != ""
	case Port:
		return Key{kind: Port, text: c.Port}, c.Port != ""
	case Secret:
		return Key{kind: Secret, text: c.Secret}, c.Secret != ""
	}
	return Key{}, false
}

// combo is what one counter counts: the values of some keys, and which keys these are. What a client does
// not have is a value too: all clients without a domain are counted together.
type combo struct {
	kinds          uint8 // one bit for each kind
	bits4, bits6   uint8 // as the rule has them, so that two subnets are two counters
	bits           uint8 // of ip; 0 for a client without address
	ip             [16]byte
	port           string
	domain, secret string
}

// combo returns the counter that r has for c.
func (c *Client) combo(r *Rule) combo {
	x := combo{kinds: r.kinds}
	for _, s := range r.specs() {
		switch s.kind {
		case ClientIP:
			if c.IP.IsValid() {
				x.bits, x.ip = 128, c.IP.As16()
			}
		case ClientSubnet:
			x.bits4, x.bits6 = s.bits4, s.bits6
			if c.IP.IsValid() && r.kinds&(1<<ClientIP) == 0 { // an address is narrower
				x.bits = s.bits(c.IP)
				x.ip = subnet(c.IP.As16(), x.bits)
			}
		case TLSDomain:
			x.domain = domain(c.Domain)
		case Port:
			x.port = c.Port
		case Secret:
			x.secret = c.Secret
		}
	}
	return x
}
