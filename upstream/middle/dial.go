package middle

import (
	"net/netip"
	"slices"

	"epoxy/codec"
	"epoxy/upstream"
	"epoxy/upstream/dcmap"
)

// host is what a loop knows of one middle proxy, whichever DCs it serves.
type host struct {
	addr  netip.AddrPort
	fails int   // in a row
	next  int64 // loop time before which it is not dialled
}

// host returns the entry of an address.
func (r *Router) host(a netip.AddrPort) *host {
	h := r.hosts[a]
	if h == nil {
		h = &host{addr: a}
		r.hosts[a] = h
	}
	return h
}

// rest lets a host alone for a while after a failure: a random time below a bound that grows, and at least so many ms.
func (r *Router) rest(h *host, least int64) {
	h.fails++
	most := backoff[min(h.fails, len(backoff)-1)]
	h.next = r.loop.Now() + max(int64(r.random.below(int(most)+1)), least)
}

// Use takes another address book, which is not nil. Links to addresses that are gone are drained; streams move to where
// the book now sends them (spec upstream-protocols 1.4).
func (r *Router) Use(book *dcmap.Snapshot) {
	r.book = book
	r.oldKey = false
	clear(r.prefixes) // our public address may be another
	for _, p := range r.order {
		p.addrs = r.addrs(p.dc)
		for i := len(p.ready) - 1; i >= 0; i-- {
			if l := p.ready[i]; !slices.Contains(p.addrs, l.host.addr) {
				p.drain(l)
			}
		}
	}
	for a := range r.hosts {
		if !r.listed(a) {
			delete(r.hosts, a)
		}
	}
	for _, dc := range r.opts.Warm {
		if len(r.addrs(dc)) > 0 {
			r.pool(dc)
		}
	}
	for i := 0; i < len(r.order); i++ { // grows while streams move
		p := r.order[i]
		for len(p.addrs) == 0 && len(p.waiting) > 0 {
			s := p.waiting[0]
			if s.rehome(); s.pool == p {
				break
			}
		}
		p.ensure()
	}
	r.wake(r.loop.Now() + 1)
}

// listed reports whether a pool has an address.
func (r *Router) listed(a netip.AddrPort) bool {
	return slices.ContainsFunc(r.order, func(p *pool) bool { return slices.Contains(p.addrs, a) })
}

// resolve returns the id whose pool serves a client's DC (spec upstream-protocols 4.7), and counts when it is another.
// Without an address book it is the client's own, as far as lists may have it.
func (r *Router) resolve(dc codec.DC, fallbacks *uint64) codec.DC {
	if dc > maxID || dc < -maxID {
		dc = 0
	}
	if r.book == nil {
		return dc
	}
	for _, f := range r.opts.Families {
		id, addrs := r.book.Lookup(dc, f)
		if len(addrs) == 0 {
			continue
		}
		if id != dc && fallbacks != nil {
			*fallbacks++
		}
		return id
	}
	return dc
}

// addrs returns the addresses of an id itself, of all families.
func (r *Router) addrs(dc codec.DC) []netip.AddrPort {
	if r.book == nil {
		return nil
	}
	var list []netip.AddrPort
	for _, f := range r.opts.Families {
		if id, addrs := r.book.Lookup(dc, f); id == dc {
			list = append(list, addrs...)
		}
	}
	return list
}

// dial starts a link to one of the DC's addresses; false when none may be dialled now, and then it asks to be called
// again.
func (p *pool) dial() bool {
	r := p.router
	if len(p.addrs) == 0 {
		return false
	}
	for range len(p.addrs) + 1 { // the last time to find that all rest
		h, at := p.choose()
		if h == nil || !r.token() {
			r.wake(at)
			return false
		}
		secret, old := r.secret()
		l := &link{router: r, pool: p, host: h, secret: secret, old: old}
		socket, why := r.loop.Dial(upstream.Target{Addr: h.addr, Timeout: dialTime, Opts: r.opts.Dial, Patient: true, NeedsBind: true}, l)
		r.Count.Dials++
		if why != codec.ReasonNone {
			p.failing++
			l.stage = Dead
			l.report(Dialling, why)
			r.rest(h, 0)
			continue
		}
		l.socket = socket
		p.links = append(p.links, l)
		p.dialing++
		p.count.Links[Dialling]++
		return true
	}
	return false
}

// choose returns the address to dial next: one that does not rest, rather without a row of failures, rather with few
// links of this pool. at is when to look again.
func (p *pool) choose() (best *host, at int64) {
	r := p.router
	now := r.loop.Now()
	at = now + upkeepTime
	var bestRank, same int
	for _, a := range p.addrs {
		h := r.host(a)
		if h.next > now {
			at = min(at, h.next)
			continue
		}
		rank := 0
		if h.fails >= skipFails {
			rank = mostLinks + 1
		}
		for _, l := range p.links {
			if l.host == h {
				rank++
			}
		}
		switch {
		case best == nil || rank < bestRank:
			best, bestRank, same = h, rank, 1
		case rank == bestRank: // each of equals with the same chance
			if same++; r.random.below(same) == 0 {
				best = h
			}
		}
	}
	if best != nil {
		at = now + 1000/dialRate
	}
	return best, at
}

// secret returns the secret for the next link: the newest, or in turn with it the one before while that may help.
func (r *Router) secret() (dcmap.Secret, bool) {
	if r.oldKey {
		if s, _, ok := r.book.Alternate(r.loop.Unix()); ok {
			return s, true
		}
	}
	return r.book.Secret, false
}

// token takes one connect from the loop's allowance.
func (r *Router) token() bool {
	if now := r.loop.Now(); now != r.tokensAt {
		r.tokens = min(r.tokens+(now-r.tokensAt)*dialRate, dialRate*1000)
		r.tokensAt = now
	}
	if r.tokens < 1000 {
		return false
	}
	r.tokens -= 1000
	return true
}
