package quota

import (
	"net/netip"
	"sync"
	"time"

	"epoxy/codec"
)

// direction is of bytes.
type direction uint8

const (
	up direction = iota // from clients
	down
	directions
)

// record is what outlives the process.
type record struct {
	up, down uint64
	period   uint32 // the month that they belong to, counted from year 0; 0 is not known
}

// entry is one secret. Its lock is taken at handshakes, ends and settlements, never for a packet.
type entry struct {
	name string    // fixed
	key  codec.Key // fixed

	mu      sync.Mutex // guards what follows
	limits  Limits
	window  int64 // ms
	drain   int64 // ms
	removed bool
	since   int64        // loop time since when it is not welcome; 0 while it is
	seen    codec.Reason // what Look saw last
	clients int
	let     uint64 // clients let in since the process began
	places  map[place]*stay
	sweepAt int64 // loop time before which no place falls free
	record  record
	dirty   bool // the record is not on disk
	total   [directions]uint64
	buckets [directions]bucket
	waiting [directions]int // clients that rest, of all loops
	refused [codec.Reasons]uint64
}

// place is where clients come from: an IPv4 address or an IPv6 /64.
type place [16]byte

func placeOf(a netip.Addr) place {
	p := place(a.As16())
	if !a.Unmap().Is4() {
		clear(p[8:])
	}
	return p
}

// stay is of one place.
type stay struct {
	clients int
	until   int64 // loop time; without clients it counts until then
}

func (e *entry) configure(o Options, n *Limits) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.limits = *n
	e.window, e.drain = o.AddressWindow.Milliseconds(), o.Drain.Milliseconds()
	e.sweepAt = 0
	e.buckets[up].setRate(n.RateUp)
	e.buckets[down].setRate(n.RateDown)
	if n.MaxAddresses == 0 {
		for p, s := range e.places {
			if s.clients == 0 {
				delete(e.places, p)
			}
		}
	}
}

func (e *entry) remove(o Options) {
	e.mu.Lock()
	e.removed, e.drain = true, o.Drain.Milliseconds()
	e.mu.Unlock()
}

// judge says why clients are not welcome at unix. Under mu.
func (e *entry) judge(unix int64) codec.Reason {
	e.roll(unix)
	switch n := &e.limits; {
	case e.removed:
		return codec.ReasonSecretRemoved
	case n.Disabled:
		return codec.ReasonSecretDisabled
	case n.Expires != 0 && unix >= n.Expires:
		return codec.ReasonSecretExpired
	case n.Quota > 0 && e.record.up+e.record.down >= uint64(n.Quota):
		return codec.ReasonSecretQuota
	}
	return codec.ReasonNone
}

// roll begins a new month. Under mu.
func (e *entry) roll(unix int64) {
	if !e.limits.Monthly {
		return
	}
	t := time.Unix(unix, 0).UTC()
	month := uint32(t.Year()*12 + int(t.Month()))
	if e.record.period == month {
		return
	}
	if e.record.period != 0 {
		e.record.up, e.record.down = 0, 0
	}
	e.record.period, e.dirty = month, true
}

// end returns why clients have to go, and the loop time when they must be gone. Under mu.
func (e *entry) end(now, unix int64) (codec.Reason, int64) {
	why := e.judge(unix)
	switch {
	case why == codec.ReasonNone:
		e.since = 0
		return why, 0
	case e.since == 0:
		e.since = now
	}
	if why == codec.ReasonSecretQuota {
		return why, now // more time would be more bytes
	}
	return why, e.since + e.drain
}

// admit lets one client in, or says why not. It returns the address that it counted, invalid when addresses are not limited.
func (e *entry) admit(addr netip.Addr, now, unix int64) (netip.Addr, codec.Reason) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.limits.MaxAddresses == 0 {
		addr = netip.Addr{}
	}
	why := e.judge(unix)
	if why == codec.ReasonNone && e.limits.MaxClients > 0 && e.clients >= e.limits.MaxClients {
		why = codec.ReasonSecretClients
	}
	if why == codec.ReasonNone && addr.IsValid() && !e.stand(placeOf(addr), now) {
		why = codec.ReasonSecretAddresses
	}
	if why != codec.ReasonNone {
		e.refused[why]++
		return netip.Addr{}, why
	}
	e.clients++
	e.let++
	return addr, why
}

// stand counts a client at a place when there is room. Under mu.
func (e *entry) stand(p place, now int64) bool {
	s := e.places[p]
	if most := e.limits.MaxAddresses; s == nil || s.clients == 0 && s.until <= now {
		if len(e.places) >= most {
			e.sweep(now)
			s = e.places[p]
		}
		if s == nil && len(e.places) >= most {
			return false
		}
	}
	if s == nil {
		s = &stay{}
		e.places[p] = s
	}
	s.clients++
	return true
}

// sweep forgets places whose time is over, if any can be. Under mu.
func (e *entry) sweep(now int64) {
	if now < e.sweepAt {
		return
	}
	e.sweepAt = now + e.window // who leaves later stays longer
	for p, s := range e.places {
		switch {
		case s.clients > 0:
		case s.until <= now:
			delete(e.places, p)
		default:
			e.sweepAt = min(e.sweepAt, s.until)
		}
	}
}

// leave takes one client back.
func (e *entry) leave(addr netip.Addr, now int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.clients--
	if !addr.IsValid() {
		return
	}
	p := placeOf(addr)
	s := e.places[p]
	if s.clients--; s.clients > 0 {
		return
	}
	if e.limits.MaxAddresses == 0 || e.window == 0 {
		delete(e.places, p)
		return
	}
	s.until = now + e.window
}

// add takes what another process counted, unless that was in another month.
func (e *entry) add(r record) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.dirty = true
	if e.limits.Monthly && e.record.period != 0 && r.period != 0 && r.period != e.record.period {
		return
	}
	e.record.up += r.up
	e.record.down += r.down
	e.record.period = max(e.record.period, r.period)
}

// carry counts bytes. Under mu.
func (e *entry) carry(d direction, n uint64) {
	if n == 0 {
		return
	}
	e.total[d] += n
	if d == up {
		e.record.up += n
	} else {
		e.record.down += n
	}
	e.dirty = true
}

// grant returns how many bytes a loop may carry before it comes again; mine of the clients that rest are its.
// Under mu.
func (e *entry) grant(d direction, mine int, now int64) int64 {
	n := int64(grain)
	if q := e.limits.Quota; q > 0 {
		left := q - int64(e.record.up+e.record.down)
		n = min(n, max(left/quotaShare, leastGrain))
	}
	return e.buckets[d].take(n, mine, e.waiting[d], now)
}

func (e *entry) usage(unix int64) Usage {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := &e.limits
	why := e.judge(unix)
	u := Usage{
		Name: e.name, Clients: e.clients, Admitted: e.let, Addresses: len(e.places), Up: e.record.up, Down: e.record.down,
		AllUp: e.total[up], AllDown: e.total[down], Quota: n.Quota, Enabled: why == codec.ReasonNone, Why: why,
		Refused: e.refused, MaxClients: n.MaxClients, MaxAddresses: n.MaxAddresses, RateUp: n.RateUp, RateDown: n.RateDown,
	}
	if n.Expires != 0 {
		u.Expires = time.Unix(n.Expires, 0).UTC()
	}
	return u
}
