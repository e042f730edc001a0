// Package middle carries many clients over few links: link machine, per-loop pool, stream table, budgets.
//
// A Router and all below it belong to one loop. A pool holds the links to one datacenter id; a link is one connection
// to a middle proxy; a stream is one client on one link, and may change links.
//
//	client > Stream.Send > frames > request > link.out > one encrypted flush per turn
//	link.Data > messages > batch by stream > frames > one Sink.Deliver per stream and read
package middle

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"epoxy/codec"
	"epoxy/codec/cbc"
	"epoxy/codec/rpc"
	"epoxy/upstream"
	"epoxy/upstream/dcmap"
)

// Migrate says what happens to the streams of a link that ends.
type Migrate uint8

// The policies (spec upstream-protocols 4.4).
const (
	Idle   Migrate = iota // streams without an outstanding answer change links, others are closed
	Always                // all change links
	Never                 // all are closed
)

// Filter says which answers that are the transport error -404 clients do not get, because it shows a probe that this
// is a proxy (spec client-protocols 2.4).
type Filter uint8

// The filters.
const (
	FilterFirst Filter = iota // when it is the stream's first answer
	FilterOff
	FilterOn
)

// Options are the settings of a Router; zero values are the defaults.
type Options struct {
	Index    uint8                 // number of the loop, the first byte of its stream ids
	Tag      *rpc.Tag              // the ad tag of requests that bring none; nil is none
	NoPad    bool                  // leave the PAD flag out of requests
	NoCRC32C bool                  // do not offer CRC-32C
	AnyCall  bool                  // pass on plain packets with any call
	Process  rpc.ProcessID         // PID and Start; the address is each link's
	Dial     *upstream.DialOptions // of links; nil is none
	Proxied  bool                  // links go through proxies: a public Local is where the middle proxy sees them, whatever the address book says
	Families []dcmap.Family        // of middle proxies, in the order of preference; IPv4 alone
	Warm     []codec.DC            // DCs with a link before the first client
	Migrate  Migrate
	Filter   Filter
	Hard     int          // bytes that may wait for one client; 1 MiB
	Budget   int          // bytes that may wait for all clients of the loop; 256 MiB
	Report   func(Report) // called for each link that failed before it was ready; nil is nothing
	Stale    func()       // asks for a new secret, at most once a minute; nil is nothing
}

// Report is what an operator may want to know of a link that failed.
type Report struct {
	DC    codec.DC
	Addr  netip.AddrPort
	Stage Stage // how far it came
	Why   codec.Reason
	Code  rpc.HandshakeCode // of ReasonLinkRefused
	Skew  int32             // seconds that the middle proxy's clock is ahead, when Stage is behind Nonce or Why ReasonLinkSkew
	Hint  bool              // the public address may be wrong: the link died between our handshake and the answer
}

// Router opens streams on the links of one loop. Its loop alone touches it.
type Router struct {
	// Fixed after start.
	loop upstream.Loop
	opts Options

	// Owned by the loop.
	Count    Counters
	task     upstream.Socket
	timerAt  int64 // what the task's timer is set to
	book     *dcmap.Snapshot
	oldKey   bool // the secret before this one is to be tried next
	staleAt  int64
	pools    map[codec.DC]*pool
	order    []*pool // the same, by age
	hosts    map[netip.AddrPort]*host
	prefixes map[prefixKey]*rpc.Prefix
	table    table
	batch    batch
	random   random
	dirty    []*link // with requests to flush
	lanes    []cbc.Lane
	unsent   int       // bytes of requests in dirty links
	resumed  []*Stream // with a queue that their sink takes again
	leaving  list      // to end with the next turn
	pacing   list      // to end within paceTime
	paceEnd  int64
	tokens   int64 // connects allowed, in thousandths
	tokensAt int64
	held     int  // bytes that wait for clients, and torn packets of theirs
	heldBack bool // links are paused
	stopped  bool
}

// prefixKey is what requests of several streams have in common.
type prefixKey struct {
	transport codec.Transport
	tagged    bool
	tag       rpc.Tag
	local     netip.AddrPort
}

// fill puts defaults in.
func (o *Options) fill() {
	if o.Hard <= 0 {
		o.Hard = hardQueue
	}
	if o.Budget <= 0 {
		o.Budget = loopBudget
	}
	if len(o.Families) == 0 {
		o.Families = []dcmap.Family{dcmap.V4}
	}
}

// NewRouter returns the router of one loop, which waits for Use: until then its streams are held.
func NewRouter(loop upstream.Loop, o Options) *Router {
	o.fill()
	r := &Router{loop: loop, opts: o, tokens: dialRate * 1000, tokensAt: loop.Now()}
	r.pools, r.hosts = make(map[codec.DC]*pool), make(map[netip.AddrPort]*host)
	r.prefixes = make(map[prefixKey]*rpc.Prefix)
	r.Count.ByDC = make(map[codec.DC]*DCCount)
	r.table.base = uint64(o.Index) << 56
	r.batch.down = make([]byte, 0, deliverMost)
	r.random.loop = loop
	r.task = loop.Task(r)
	return r
}

// Change makes o the options, and loop what links are dialled by. Index and Process stay as they are: streams and links that
// live are known by them. Links whose family is no longer wanted are drained.
func (r *Router) Change(loop upstream.Loop, o Options) {
	o.fill()
	o.Index, o.Process = r.opts.Index, r.opts.Process
	r.loop, r.random.loop, r.opts = loop, loop, o
	for _, p := range r.order {
		p.warm = slices.Contains(o.Warm, p.dc)
	}
	if r.book != nil {
		r.Use(r.book)
	}
}

// SetTag changes Options.Tag for streams yet to come.
func (r *Router) SetTag(tag *rpc.Tag) { r.opts.Tag = tag }

// Up reports whether the DC has a ready link, or may soon: nothing failed there yet.
func (r *Router) Up(dc codec.DC) bool {
	p := r.pools[r.resolve(dc, nil)]
	if p == nil {
		return r.book != nil
	}
	return len(p.ready) > 0 || p.failing == 0
}

// Open starts a stream. Without a ready link it is held for up to 3 s.
func (r *Router) Open(req upstream.Request, sink upstream.Sink) (upstream.Stream, codec.Reason) {
	if r.stopped {
		return nil, codec.ReasonShutdown
	}
	p := r.pool(r.resolve(req.DC, &r.Count.Fallbacks))
	s := &Stream{router: r, sink: sink, pool: p, transport: req.Transport, client: rpc.AddressOf(req.Client)}
	s.prefix = r.prefix(req)
	s.id = r.table.add(s)
	p.join(1)
	r.Count.Opened++
	p.count.Opened++
	if l := p.pick(); l != nil {
		s.bind(l)
	} else {
		r.Count.Held++
		s.hold()
	}
	p.ensure()
	return s, codec.ReasonNone
}

// prefix returns the head of a stream's requests, shared by those that say the same.
func (r *Router) prefix(req upstream.Request) *rpc.Prefix {
	local := req.Local
	if a := local.Addr().Unmap(); a.IsValid() && r.book != nil {
		local = netip.AddrPortFrom(r.book.PublicAddr(a), local.Port())
	}
	key := prefixKey{transport: req.Transport, local: local}
	tag := req.Tag
	if tag == nil {
		tag = r.opts.Tag
	}
	if tag != nil {
		key.tagged, key.tag = true, *tag
	}
	if p := r.prefixes[key]; p != nil {
		return p
	}
	if len(r.prefixes) >= maxPrefixes {
		clear(r.prefixes)
	}
	p := rpc.NewPrefix(&rpc.Common{Transport: req.Transport, Proxy: local, Tag: tag, NoPad: r.opts.NoPad})
	r.prefixes[key] = &p
	return &p
}

// Again does what a turn of the loop left behind: ends, deliveries, flushes.
func (r *Router) Again(upstream.Socket) {
	r.shed()
	r.resume()
	for len(r.leaving) > 0 {
		s := r.leaving[len(r.leaving)-1]
		s.end(s.why, true)
	}
	r.flush()
	r.unpause()
}

// later asks for Again.
func (r *Router) later() { r.task.Again() }

// flush encrypts the requests of this turn, those of several links side by side, and sends them with one write per link.
func (r *Router) flush() {
	lanes := r.lanes[:0]
	for _, l := range r.dirty {
		var lane cbc.Lane
		if l.out, lane = l.enc.Seal(l.out, 0); len(lane.P) > 0 {
			lanes = append(lanes, lane)
		}
	}
	cbc.EncryptAll(lanes)
	for i, l := range r.dirty {
		r.dirty[i] = nil
		l.soiled = false
		l.send()
	}
	clear(lanes)
	r.dirty, r.lanes, r.unsent = r.dirty[:0], lanes[:0], 0
}

// wake asks for Timer at time at or earlier.
func (r *Router) wake(at int64) {
	if r.timerAt == 0 || at < r.timerAt {
		r.timerAt = at
		r.task.SetTimer(at)
	}
}

// Timer looks after the pools and paced ends.
func (r *Router) Timer(upstream.Socket) {
	r.timerAt = 0
	r.pace()
	for i := 0; i < len(r.order); i++ {
		p := r.order[i]
		if p.upkeep(); p.forgotten() {
			delete(r.pools, p.dc)
			r.order = append(r.order[:i], r.order[i+1:]...)
			i--
		}
	}
	r.flush()
}

// Closed says that the loop ends, or that a fault of ours cost the task.
func (r *Router) Closed(_ upstream.Socket, why codec.Reason) {
	if why == codec.ReasonPanic {
		r.timerAt = 0
		r.task = r.loop.Task(r)
		r.wake(r.loop.Now() + 1)
		r.later()
		return
	}
	r.stopped = true
	for _, e := range r.table.slots {
		if e.stream != nil {
			e.stream.end(why, true)
		}
	}
}

// The task is no connection: the rest of upstream.Handler is not called.

// Opened is not called.
func (r *Router) Opened(upstream.Socket) {}

// Data is not called.
func (r *Router) Data(upstream.Socket, []byte) {}

// EOF is not called.
func (r *Router) EOF(upstream.Socket) {}

// Drained is not called.
func (r *Router) Drained(upstream.Socket) {}

// stamp is the loop's clock in 16 ms, which lasts for two years.
func (r *Router) stamp() uint32 { return uint32(r.loop.Now() >> stampBits) }

// since returns the ms since a stamp.
func (r *Router) since(stamp uint32) int64 { return int64(r.stamp()-stamp) << stampBits }

const stampBits = 4

// random hands out secure random bytes, a page at a time.
type random struct {
	loop upstream.Loop
	left int
	page [512]byte
}

// take returns n bytes, at most 8.
func (r *random) take(n int) []byte {
	if r.left < n {
		r.loop.Rand(r.page[:])
		r.left = len(r.page)
	}
	r.left -= n
	return r.page[r.left : r.left+n]
}

// below returns a number below n, n > 0.
func (r *random) below(n int) int {
	return int(uint64(binary.LittleEndian.Uint32(r.take(4))) * uint64(n) >> 32)
}
