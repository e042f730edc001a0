package egress

import (
	"net/netip"

	"epoxy/codec"
	"epoxy/upstream"
)

// conn is the upstream.Socket that a dial returns. Until the target is reached the handshake stands in for the socket,
// which may yet be another proxy's; then every method is one call.
type conn struct {
	socket upstream.Socket // to a proxy
	hs     *handshake      // nil once open
	bound  netip.AddrPort  // where the target sees us; invalid when that is not known
}

var _ upstream.Socket = (*conn)(nil)

// Write sends p, or keeps it for the target.
func (c *conn) Write(p []byte) {
	if c.hs == nil {
		c.socket.Write(p)
		return
	}
	c.hs.write(p)
}

// Queued returns how many bytes wait.
func (c *conn) Queued() int {
	if c.hs != nil && c.hs.step < reached {
		return c.hs.out.len()
	}
	return c.socket.Queued()
}

// Pause stops Data and EOF.
func (c *conn) Pause() {
	if c.hs == nil {
		c.socket.Pause()
		return
	}
	c.hs.pause(true)
}

// Resume undoes Pause.
func (c *conn) Resume() {
	if c.hs == nil {
		c.socket.Resume()
		return
	}
	c.hs.pause(false)
}

// CloseWrite ends our direction.
func (c *conn) CloseWrite() {
	if c.hs == nil {
		c.socket.CloseWrite()
		return
	}
	c.hs.closeWrite()
}

// Close ends the connection behind what is queued, or the handshake at once.
func (c *conn) Close(why codec.Reason) {
	if c.hs == nil {
		c.socket.Close(why)
		return
	}
	c.hs.close(why)
}

// Abort ends everything at once.
func (c *conn) Abort(why codec.Reason) {
	if c.hs == nil {
		c.socket.Abort(why)
		return
	}
	c.hs.abort(why)
}

// SetTimer asks for Handler.Timer.
func (c *conn) SetTimer(at int64) {
	if c.hs == nil {
		c.socket.SetTimer(at)
		return
	}
	c.hs.setTimer(at)
}

// Again asks for Handler.Again.
func (c *conn) Again() {
	if c.hs != nil {
		if c.hs.over {
			return
		}
		c.hs.again = true
	}
	c.socket.Again()
}

// SetHandler hands the connection to another Handler.
func (c *conn) SetHandler(h upstream.Handler) {
	if c.hs == nil {
		c.socket.SetHandler(h)
		return
	}
	c.hs.h = h
}

// Local returns where the target sees us, as far as the proxy said it, else our end of the connection to the proxy.
func (c *conn) Local() netip.AddrPort {
	if c.bound.IsValid() {
		return c.bound
	}
	return c.socket.Local()
}

// Peer returns the proxy's address.
func (c *conn) Peer() netip.AddrPort { return c.socket.Peer() }

// MSS is that of the connection to the proxy.
func (c *conn) MSS() int { return c.socket.MSS() }

// usable returns the address that a proxy says the target sees, the zero AddrPort when that cannot be (spec
// upstream-protocols 2.4): many proxies fill in 0.0.0.0:0, or where they listen.
func usable(bound, target netip.AddrPort) netip.AddrPort {
	b, t := bound.Addr(), target.Addr().Unmap()
	switch {
	case !b.IsValid(), bound.Port() == 0, b.Is4() != t.Is4():
	case b.IsGlobalUnicast(), b.IsLoopback() && t.IsLoopback():
		return bound
	}
	return netip.AddrPort{}
}
