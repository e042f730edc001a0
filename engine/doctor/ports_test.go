package doctor

import (
	"net/netip"
	"strings"
	"testing"
)

// TestListener reads lines of /proc/net/tcp and tcp6 as the kernel writes them.
func TestListener(t *testing.T) {
	const rest = " 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 777 1 0"
	const loop4, any4, loop6, any6, mapped = "0100007F", "00000000", "00000000000000000000000001000000", "00000000000000000000000000000000", "0000000000000000FFFF00000100007F"
	for _, c := range []struct {
		line, at string
		want     string
	}{
		{"   0: " + loop4 + ":01BB" + rest, "127.0.0.1:443", "777"},
		{"   0: " + loop4 + ":01BB" + rest, "0.0.0.0:443", "777"},
		{"   0: " + loop4 + ":01BB" + rest, "127.0.0.2:443", ""},
		{"   0: " + loop4 + ":01BB" + rest, "127.0.0.1:444", ""},
		{"   0: " + any4 + ":01BB" + rest, "203.0.113.7:443", "777"},
		{"   0: " + loop6 + ":01BB" + rest, "[::1]:443", "777"},
		{"   0: " + any6 + ":01BB" + rest, "[::]:443", "777"},
		{"   0: " + mapped + ":01BB" + rest, "127.0.0.1:443", "777"},
		{"   0: " + loop4 + ":01BB" + strings.Replace(rest, "0A", "01", 1), "127.0.0.1:443", ""}, // a connection
		{"  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode", "127.0.0.1:443", ""},
		{"   0: 01:01BB" + rest, "127.0.0.1:443", ""},
		{"   0: " + loop4 + rest, "127.0.0.1:443", ""},
	} {
		if got := listener(c.line, netip.MustParseAddrPort(c.at)); got != c.want {
			t.Errorf("%q for %s: %q, want %q", c.line, c.at, got, c.want)
		}
		for i := range c.line {
			listener(c.line[:i], netip.MustParseAddrPort(c.at)) // must not panic
		}
	}
}
