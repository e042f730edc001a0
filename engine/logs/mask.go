package logs

import (
	"log/slog"
	"net/netip"
)

const (
	maskV4 = 24 // bits of an address that a masked one shows
	maskV6 = 48
)

// Client is a client's address in a log line: its network alone, /24 or /48, unless Full. It is formatted when it is
// written.
type Client struct {
	Addr netip.Addr // invalid is nobody's, as on a unix socket
	Full bool
}

// LogValue returns the text of the line.
func (c Client) LogValue() slog.Value {
	a := c.Addr.Unmap().WithZone("")
	switch {
	case !a.IsValid():
		return slog.StringValue("")
	case c.Full:
		return slog.StringValue(a.String())
	}
	bits := maskV6
	if a.Is4() {
		bits = maskV4
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return slog.StringValue("")
	}
	return slog.StringValue(p.String())
}
