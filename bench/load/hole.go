package load

import (
	"fmt"
	"net"
	"net/netip"
	"os"

	"epoxy/engine/reactor"
)

// Hole is an address where connects hang: its accept queue is full, so the kernel drops every SYN
// (spec upstream-protocols 8, fault 2).
type Hole struct {
	Addr netip.AddrPort

	listener *os.File
	queue    []net.Conn
}

// NewHole returns a hole at addr, like "127.0.0.1:0".
func NewHole(addr string) (*Hole, error) {
	l, err := reactor.Listen(addr, reactor.ListenOptions{Backlog: 1}, nil)
	if err != nil {
		return nil, err
	}
	h := &Hole{Addr: l.AddrPort()}
	h.listener, err = l.Dup()
	_ = l.Close()
	if err != nil {
		return nil, err
	}
	for range 2 { // Linux takes one more than the backlog
		c, err := net.Dial("tcp", h.Addr.String())
		if err != nil {
			h.Close()
			return nil, fmt.Errorf("load: hole: %w", err)
		}
		h.queue = append(h.queue, c)
	}
	return h, nil
}

// Close resets what hangs.
func (h *Hole) Close() {
	_ = h.listener.Close()
	for _, c := range h.queue {
		_ = c.Close()
	}
}
