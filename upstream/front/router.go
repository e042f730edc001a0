package front

import (
	"net/netip"

	"epoxy/codec"
	"epoxy/codec/buf"
	"epoxy/codec/proxyproto"
	"epoxy/upstream"
)

// Options are one loop's settings; the zero value is good.
type Options struct {
	Dial    *upstream.DialOptions // for every connection; nil is none
	Max     int                   // strangers on this loop at once; 0 is DefaultMax
	Timeout int64                 // ms to connect, all addresses together; 0 is 5000 (spec client-protocols 6)
}

// Counters are a router's counts since its start; the loop alone touches them.
type Counters struct {
	Open      int64                 // streams alive
	Opened    uint64                // streams begun
	Denied    uint64                // requests for a domain that is off
	Full      uint64                // requests above Options.Max
	NoTarget  uint64                // requests with nowhere to go
	Failed    [codec.Reasons]uint64 // failed attempts at an address, by reason
	BytesUp   uint64                // to fronts, PROXY headers among them
	BytesDown uint64                // from fronts
}

// Router opens streams to fronts on one loop, and dials nothing but targets. Its loop alone touches it.
type Router struct {
	// Fixed after start.
	loop upstream.Loop
	o    Options

	// Owned by the loop.
	targets *Targets                 // nil is no fronts
	bad     map[netip.AddrPort]int64 // passed over until this loop time; dies with the targets
	Count   Counters
}

var _ upstream.Router = (*Router)(nil)

// NewRouter returns the router of one loop, which has no fronts until Use.
func NewRouter(loop upstream.Loop, o Options) *Router {
	if o.Max <= 0 {
		o.Max = DefaultMax
	}
	if o.Timeout <= 0 {
		o.Timeout = dialTime
	}
	return &Router{loop: loop, o: o, bad: make(map[netip.AddrPort]int64)}
}

// Use makes t the targets of all later requests; nil is none. Streams that exist keep theirs. Called on the loop.
func (r *Router) Use(t *Targets) {
	r.targets = t
	clear(r.bad)
}

// Open dials the target for req.SNI. The reason is ReasonDenied for a domain that is off, ReasonNoUpstream without a
// target, ReasonLimit above Options.Max, or that of the last dial when all failed at once.
func (r *Router) Open(req upstream.Request, sink upstream.Sink) (upstream.Stream, codec.Reason) {
	t := r.targets.find(req.SNI)
	switch {
	case t != nil && t.Off:
		r.Count.Denied++
		return nil, codec.ReasonDenied
	case t.size() == 0:
		r.Count.NoTarget++
		return nil, codec.ReasonNoUpstream
	case r.Count.Open >= int64(r.o.Max):
		r.Count.Full++
		return nil, codec.ReasonLimit
	}
	s := &Stream{router: r, target: t, sink: sink, deadline: r.loop.Now() + r.o.Timeout}
	if why := s.dial(); why != codec.ReasonNone {
		return nil, why
	}
	switch t.Proxy {
	case 1:
		s.head = buf.Partial.Get()
		s.head.B = proxyproto.AppendV1(s.head.B, req.Client, req.Local)
	case 2:
		s.head = buf.Partial.Get()
		s.head.B = proxyproto.AppendV2(s.head.B, req.Client, req.Local)
	}
	r.Count.Open++
	r.Count.Opened++
	return s, codec.ReasonNone
}

// find returns the target for a name as a hello brings it, nil when there is none. ASCII case and one trailing dot do
// not matter; a name that no domain has goes to the default. It allocates nothing.
func (t *Targets) find(sni []byte) *Target {
	if t == nil {
		return nil
	}
	if n := len(sni); n > 0 && n <= maxDomain && len(t.ByDomain) > 0 {
		var lower [maxDomain]byte
		for i, c := range sni {
			if 'A' <= c && c <= 'Z' {
				c += 'a' - 'A'
			}
			lower[i] = c
		}
		if lower[n-1] == '.' {
			n--
		}
		if own := t.ByDomain[string(lower[:n])]; own != nil {
			return own
		}
	}
	return t.Default
}

// size returns how many addresses can be tried.
func (t *Target) size() int {
	switch {
	case t == nil:
		return 0
	case t.Path != "":
		return 1
	}
	return min(len(t.Addrs), maxAddrs)
}

// addr returns address number i, the zero AddrPort for a unix socket.
func (t *Target) addr(i int) netip.AddrPort {
	if t.Path != "" {
		return netip.AddrPort{}
	}
	return t.Addrs[i]
}
