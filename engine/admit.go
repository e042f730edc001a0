package engine

import (
	"net/netip"
	"sync/atomic"

	"epoxy/codec"
	"epoxy/engine/lists"
	"epoxy/engine/policy"
	"epoxy/engine/quota"
	"epoxy/engine/session"
	"epoxy/upstream"
)

// A client is asked twice: at accept, where nothing is known but its address, and when it has shown a good secret. Each time
// all that can refuse it is looked at first, then what it takes is taken, and what it took is given back once.

// take counts a client that connects from addr, or says why it may not.
func (g *gate) take(addr netip.Addr) codec.Reason {
	e := g.engine
	if !g.port.ProxyHeader {
		if e.lists.Load().Lookup(addr).Action == lists.Drop {
			return codec.ReasonBlocked
		}
	}
	if e.crowded.Load() || !takeOne(&e.clients, e.limit.Load()) {
		return codec.ReasonLimit
	}
	why := codec.ReasonNone
	switch {
	case !takeOne(&g.of.clients, g.most):
		why = codec.ReasonPortClients
	case g.port.ProxyHeader: // screen asks about the client
		return why
	case e.pace(addr, g.loop.env.Loop.Now()) != policy.PaceOK:
		g.of.clients.Add(-1)
		why = codec.ReasonAcceptRate
	default:
		return why
	}
	e.left()
	return why
}

// screen says whether the client behind a balancer may go on: what take asks about addresses.
func (g *gate) screen(addr netip.Addr) codec.Reason {
	switch e := g.engine; {
	case e.lists.Load().Lookup(addr).Action == lists.Drop:
		return codec.ReasonBlocked
	case e.pace(addr, g.loop.env.Loop.Now()) != policy.PaceOK:
		return codec.ReasonAcceptRate
	}
	return codec.ReasonNone
}

// takeOne adds one to n unless that makes it more than most; 0 is no limit.
func takeOne(n *atomic.Int64, most int64) bool {
	for {
		was := n.Load()
		if most > 0 && was >= most {
			return false
		}
		if n.CompareAndSwap(was, was+1) {
			return true
		}
	}
}

// door is asked about clients of one loop that showed a good secret.
type door struct {
	engine *Engine
	loop   *loop
}

// pass is what a client holds that was let in, and of which something is counted that others do not share.
type pass struct {
	session.Pass
	addr   netip.Addr
	ticket policy.Ticket
}

// Release takes back what a client held.
func (p *pass) Release(s *session.Session) {
	p.ticket.Release()
	p.Account.Leave(p.addr, s)
}

// common is the pass of all clients of a secret on a loop of whom nothing but their number is counted.
type common struct{ session.Pass }

// Release takes back what a client held.
func (c *common) Release(s *session.Session) { c.Account.Leave(netip.Addr{}, s) }

// commonOf returns the common pass of a.
func commonOf(a *quota.Account) *session.Pass {
	c, ok := a.Common.(*common)
	if !ok {
		c = &common{}
		c.Pass = session.Pass{Account: a, Owner: c}
		a.Common = c
	}
	return &c.Pass
}

// Admit lets a client in when lists, its secret, all rules and the secret's limits agree. The ledger comes last, because what it took
// would be seen: an address stays for a while.
func (d *door) Admit(v session.Visitor) (*session.Pass, codec.Reason) {
	e, name, addr := d.engine, v.Secret.Name, v.Client.Addr()
	if e.lists.Load().Lookup(addr).Action != lists.Pass {
		return nil, codec.ReasonBlocked
	}
	if why := d.loop.till.Check(name); why != codec.ReasonNone {
		return nil, why
	}
	var ticket policy.Ticket
	if v.Port.Rules != nil {
		var refusal *policy.Refusal
		ticket, refusal = e.limiter.Admit(v.Port.Rules, &policy.Client{Port: v.Port.Name, IP: addr, Domain: string(v.Domain), Secret: name})
		if refusal != nil {
			return nil, codec.ReasonPolicy
		}
	}
	account, counted, why := d.loop.till.Admit(name, addr)
	if why != codec.ReasonNone {
		ticket.Release()
		return nil, why
	}
	if ticket == (policy.Ticket{}) && !counted.IsValid() {
		return commonOf(account), codec.ReasonNone
	}
	p := &pass{addr: counted, ticket: ticket}
	p.Pass = session.Pass{Account: account, Owner: p}
	return &p.Pass, codec.ReasonNone
}

// sweep ends the clients whose secret's time is over. On the loop.
func (l *loop) sweep() {
	l.reactor.Each(func(_ upstream.Socket, h upstream.Handler) {
		if s, ok := h.(*session.Session); ok && s.Account() != nil {
			if why := s.Account().Ended(); why != codec.ReasonNone {
				s.Expel(why)
			}
		}
	})
}

// Usage returns what each secret has used. From any goroutine.
func (e *Engine) Usage() []quota.Usage { return e.ledger.Usage(unixNow()) }

// ResetQuota forgets the bytes that a secret has used, and reports whether there is such a secret. From any goroutine.
func (e *Engine) ResetQuota(name string) bool {
	if !e.ledger.Reset(name) {
		return false
	}
	e.review()
	return true
}

// Tables returns the tables that rules ask. From any goroutine.
func (e *Engine) Tables() *policy.Tables { return e.tables }
