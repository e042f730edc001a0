package faketg

import (
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"

	"epoxy/codec"
)

// Visit is one connection that opened properly.
type Visit struct {
	Opening
	Peer netip.AddrPort
}

// Seen is what a Server saw up to a moment.
type Seen struct {
	Accepted, Refused, Open uint64 // connections; Open now
	BadOpenings, BadFrames  uint64
	Packets                 uint64
	Received, Sent          uint64 // bytes; Sent counts what was handed to sockets
	DCs                     map[codec.DC]uint64
	Transports              map[codec.Transport]uint64
	Visits                  []Visit // the first 1024
}

// ledger is where the loops write what Seen reads.
type ledger struct {
	accepted, refused, closed atomic.Uint64
	badOpenings, badFrames    atomic.Uint64
	packets, received, sent   atomic.Uint64

	mu         sync.Mutex // the rest is touched once per connection
	dcs        map[codec.DC]uint64
	transports map[codec.Transport]uint64
	visits     []Visit
}

func (l *ledger) visit(v Visit) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dcs == nil {
		l.dcs, l.transports = map[codec.DC]uint64{}, map[codec.Transport]uint64{}
	}
	l.dcs[v.DC]++
	l.transports[v.Transport]++
	if len(l.visits) < maxOpenings {
		l.visits = append(l.visits, v)
	}
}

// Seen returns a copy; any goroutine may ask at any time.
func (s *Server) Seen() Seen {
	l := &s.ledger
	closed := l.closed.Load()
	seen := Seen{
		Accepted: l.accepted.Load(), Refused: l.refused.Load(),
		BadOpenings: l.badOpenings.Load(), BadFrames: l.badFrames.Load(),
		Packets: l.packets.Load(), Received: l.received.Load(), Sent: l.sent.Load(),
		DCs: map[codec.DC]uint64{}, Transports: map[codec.Transport]uint64{},
	}
	seen.Open = seen.Accepted - closed
	l.mu.Lock()
	defer l.mu.Unlock()
	for dc, n := range l.dcs {
		seen.DCs[dc] = n
	}
	for t, n := range l.transports {
		seen.Transports[t] = n
	}
	seen.Visits = slices.Clone(l.visits)
	return seen
}
