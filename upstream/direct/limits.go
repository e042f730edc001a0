package direct

import "epoxy/codec"

// Our limits and timings (spec upstream-protocols 5.4).
const (
	dialTime  = 5_000  // ms for one address
	totalTime = 10_000 // ms for all addresses of a DC together
	badTime   = 30_000 // ms that an address is passed over after a failure
)

// DefaultDC serves ids that nobody knows (spec client-protocols 1.5).
const DefaultDC = 2

// port is Telegram's port for obfuscated2 (spec upstream-protocols 5.1).
const port = 443

// builtin lists Telegram's production datacenters (spec upstream-protocols 5.1).
var builtin = []struct {
	id    codec.DC
	addrs []string
}{
	{1, []string{"149.154.175.50", "2001:b28:f23d:f001::a"}},
	{2, []string{"149.154.167.51", "95.161.76.100", "2001:67c:4e8:f002::a"}},
	{3, []string{"149.154.175.100", "2001:b28:f23d:f003::a"}},
	{4, []string{"149.154.167.91", "2001:67c:4e8:f004::a"}},
	{5, []string{"149.154.171.5", "2001:b28:f23f:f005::a"}},
	{203, []string{"91.105.192.100", "2a0a:f280:203:a:5000::100"}},
}
