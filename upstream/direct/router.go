// Package direct gives each client one obfuscated connection to a datacenter of its own.
//
// The upstream tag is the client's, so the payload is relayed as a byte stream: nothing is parsed, padded or
// re-framed, and quick acks work by themselves (spec upstream-protocols 5.2).
package direct

import (
	"net/netip"

	"epoxy/codec"
	"epoxy/codec/buf"
	"epoxy/codec/obfs2"
	"epoxy/upstream"
)

// Router opens direct streams on one loop. Its loop alone touches it, but for what NewRouter got before the start.
type Router struct {
	loop    upstream.Loop
	table   *Table
	opts    *upstream.DialOptions
	entries map[int]*entry
	Count   Counters
}

// entry is one DC of a table as this loop knows it.
type entry struct {
	book  *book
	addrs []int32 // numbers of addresses in the book, in the order of preference
	count *DCCount
}

// book is what this loop knows of a table's addresses. Streams keep the one they began with.
type book struct {
	addrs []netip.AddrPort
	bad   []int64 // by address: passed over until this loop time
}

// Counters are a router's counts since its start; the loop alone touches them.
type Counters struct {
	Open      int64                 // streams alive
	Opened    uint64                // streams begun
	Connected uint64                // streams whose datacenter was reached
	Failed    [codec.Reasons]uint64 // failed attempts at an address, by reason
	Retries   uint64                // attempts after the first
	Lost      int                   // streams in a row, up to now, that reached no address
	Unknown   uint64                // requests for a DC that is not in the table
	ByDC      map[int]*DCCount      // by the entry that served
	BytesUp   uint64                // to datacenters
	BytesDown uint64                // from datacenters
}

// DCCount counts one DC's streams.
type DCCount struct {
	Open   int64
	Opened uint64
	Failed uint64 // streams that reached no address
}

// NewRouter returns the router of one loop. opts is for every connection; nil is none.
func NewRouter(loop upstream.Loop, table *Table, opts *upstream.DialOptions) *Router {
	r := &Router{}
	r.Count.ByDC = make(map[int]*DCCount)
	r.Use(loop, table, opts)
	return r
}

// Use makes streams that begin from now on go out by loop, which may dial through proxies, to the addresses of table.
func (r *Router) Use(loop upstream.Loop, table *Table, opts *upstream.DialOptions) {
	b := &book{addrs: table.addrs, bad: make([]int64, len(table.addrs))}
	r.loop, r.table, r.opts, r.entries = loop, table, opts, make(map[int]*entry)
	for id, at := range table.byID {
		if r.Count.ByDC[id] == nil {
			r.Count.ByDC[id] = new(DCCount)
		}
		r.entries[id] = &entry{book: b, addrs: at, count: r.Count.ByDC[id]}
	}
}

// Open dials the client's datacenter. The opening frame waits for the client's first bytes, so that both
// leave in one segment.
func (r *Router) Open(req upstream.Request, sink upstream.Sink) (upstream.Stream, codec.Reason) {
	id, known := r.table.Find(req.DC)
	if !known {
		r.Count.Unknown++
	}
	dc := r.entries[id]
	s := &Stream{router: r, sink: sink, dc: dc, current: -1, deadline: r.loop.Now() + totalTime}
	if why := s.dial(); why != codec.ReasonNone {
		dc.count.Failed++
		r.Count.Lost++
		return nil, why
	}
	s.head = buf.Partial.Get()
	s.begin(req.Transport, req.DC)
	dc.count.Open++
	dc.count.Opened++
	r.Count.Open++
	r.Count.Opened++
	return s, codec.ReasonNone
}

// begin writes the opening frame to head and sets up both ciphers.
func (s *Stream) begin(t codec.Transport, dc codec.DC) {
	var random [obfs2.InitSize]byte
	for {
		s.router.loop.Rand(random[:])
		wire, up, down, ok := obfs2.ClientInit(&random, nil, t, dc)
		if ok {
			s.up, s.down = up, down
			_, _ = s.head.Write(wire[:])
			return
		}
	}
}

// pick returns the number of the next address to try and marks it, -1 when all were tried. Those that failed
// lately come last. Only the first 64 addresses of a DC count.
func (s *Stream) pick() int32 {
	now, bad, addrs := s.router.loop.Now(), s.dc.book.bad, s.dc.addrs
	best := -1
	for i, a := range addrs[:min(len(addrs), 64)] {
		if s.tried&(1<<i) != 0 {
			continue
		}
		if bad[a] <= now {
			best = i
			break
		}
		if best < 0 || bad[a] < bad[addrs[best]] {
			best = i
		}
	}
	if best < 0 {
		return -1
	}
	s.tried |= 1 << best
	return addrs[best]
}
