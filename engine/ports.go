package engine

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"epoxy/codec"
	"epoxy/engine/config"
	"epoxy/engine/reactor"
	"epoxy/engine/session"
	"epoxy/upstream"
)

// leastTorn is the least --handshake-mss that a small window at the handshake brings about; below it every segment of the
// connection has to be small (measured, see reactor.ListenOptions).
const leastTorn = 576

// port is one listener over all loops.
type port struct {
	key   string // the place as the settings name it, by which a reload knows it again
	addr  string // where it listens, with the number that the kernel chose
	at    netip.AddrPort
	gates []*gate // by loop; one of the first loop alone for a unix socket

	clients atomic.Int64 // of all loops
}

// portList is what listens, and the fronts behind it.
type portList struct {
	mu      sync.Mutex
	list    []*port
	facades map[string]*facade // by facadeKey
	next    map[string]*facade // those that a reload is about to put there
}

// all returns the ports.
func (p *portList) all() []*port {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.list)
}

// inUse returns the facades.
func (p *portList) inUse() (all []*facade) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, f := range p.facades {
		all = append(all, f)
	}
	return all
}

// gate accepts the clients of one port on one loop.
type gate struct {
	// Fixed.
	engine   *Engine
	loop     *loop
	of       *port
	listener *reactor.Listener

	// Owned by the loop; a reload changes them for clients yet to come.
	port   *session.Port
	facade *facade        // nil without fronts
	from   []netip.Prefix // balancers, which alone may connect when the port expects their header
	most   int64          // clients of the port; 0 is no limit of its own
}

// Accept begins a session, or refuses the client when it is no balancer where only balancers may connect, or take says so.
func (g *gate) Accept(s upstream.Socket, peer netip.AddrPort) upstream.Handler {
	if g.port.ProxyHeader && peer.IsValid() && !slices.ContainsFunc(g.from, func(p netip.Prefix) bool { return p.Contains(peer.Addr()) }) {
		g.loop.refused[codec.ReasonProxyUntrusted]++
		return nil
	}
	if why := g.take(peer.Addr()); why != codec.ReasonNone {
		g.loop.refused[why]++
		return nil
	}
	return session.New(g.port, s, peer)
}

// listen opens the ports of the settings.
func (e *Engine) listen() error {
	set := e.set()
	for i := range set.Listen {
		p, err := e.openPort(set, &set.Listen[i])
		if err != nil {
			return err
		}
		e.ports.list = append(e.ports.list, p)
		shared := e.sessionPort(set, &set.Listen[i])
		for _, g := range p.gates {
			g.loop.use(g, set, &set.Listen[i], shared)
			if err := g.loop.enter(g); err != nil {
				return err
			}
		}
	}
	return nil
}

// openPort opens one listener per loop; the kernel spreads clients over them (SO_REUSEPORT). A unix socket has one listener
// only, on the first loop. Nobody is accepted yet.
func (e *Engine) openPort(set *config.Settings, want *config.Listen) (*port, error) {
	addr := want.Endpoint.String()
	p := &port{key: addr}
	if err := reactor.Probe(addr); err != nil {
		return nil, fmt.Errorf("engine: --listen %s: %w; choose another port, or stop what listens there", addr, err)
	}
	loops := e.loops
	if want.Path != "" {
		loops = loops[:1]
	}
	for i, l := range loops {
		ln, err := reactor.Listen(addr, listenOptions(set, want), e.log)
		if err != nil {
			p.abandon()
			return nil, fmt.Errorf("engine: --listen %s: %w", addr, err)
		}
		if i == 0 {
			p.addr, p.at = ln.Addr(), ln.AddrPort()
			addr = samePort(want.Endpoint, ln)
		}
		p.gates = append(p.gates, &gate{engine: e, loop: l, of: p, listener: ln})
	}
	return p, nil
}

// abandon closes what no loop has yet.
func (p *port) abandon() {
	for _, g := range p.gates {
		_ = g.listener.Close()
	}
}

// enter makes the loop accept from g. On the loop, or before it runs.
func (l *loop) enter(g *gate) error {
	if err := l.reactor.AddListener(g.listener, g); err != nil {
		return fmt.Errorf("engine: --listen %s: %w", g.listener.Addr(), err)
	}
	l.gates = append(l.gates, g)
	return nil
}

// use gives a gate the settings of its port, for clients yet to come; p is what all loops share of them. On the loop, or
// before it runs.
func (l *loop) use(g *gate, set *config.Settings, want *config.Listen, p session.Port) {
	e := g.engine
	g.from, g.facade = want.ProxyFrom, e.ports.facade(set, want)
	if g.facade != nil {
		p.Front = l.router(g.facade, frontMax(set, e.limit.Load())/len(e.loops))
		if s := l.sites[g.facade]; s != nil {
			p.Sites = s
		}
	}
	g.most = int64(want.PortMax)
	p.Gone = func() { g.of.clients.Add(-1) }
	p.Screen = g.screen
	g.port = session.NewPort(l.env, p)
}

// sessionPort prepares what sessions of a port need.
func (e *Engine) sessionPort(set *config.Settings, p *config.Listen) session.Port {
	ms := func(d time.Duration) int64 { return d.Milliseconds() }
	compact := ms(set.CompactAfter)
	if compact == 0 {
		compact = ms(set.IdleTimeout) + 1 // never
	}
	return session.Port{
		Name: p.Name, Place: p.Endpoint.String(), Allow: codec.Protocols(p.Allow), Tag: p.Tag, Secrets: secrets(set, p), Sites: &session.Sites{Default: &e.profile},
		ProxyHeader: len(p.ProxyFrom) > 0, SplitHello: p.SplitHello,
		Records: map[config.Records]session.Sizing{
			config.RecordsAuto: session.Auto, config.RecordsFull: session.Full, config.RecordsDRS: session.Ramp,
		}[p.Records],
		Rules: rules(p.Policy),
		Timing: &session.Timing{
			FirstByte: ms(set.FirstByteTimeout), Handshake: ms(set.HandshakeTimeout),
			Idle: ms(set.IdleTimeout), Compact: compact, Window: int64(set.ClockWindow / time.Second),
			ProxyHeader: ms(set.ProxyTimeout), FrontSilence: ms(set.FrontSilence), FrontIdle: ms(set.FrontIdle),
			FrontTime: ms(set.FrontTime),
		},
	}
}

// secrets prepares the secrets that a port serves. A fake-TLS secret's own domain is its search hint.
func secrets(set *config.Settings, p *config.Listen) *session.Secrets {
	var list []session.Secret
	for _, n := range set.Secrets {
		if len(p.Secrets) > 0 && !slices.Contains(p.Secrets, n.Name) {
			continue
		}
		domain := n.Secret.Domain
		if domain == "" {
			domain = p.Domain
		}
		list = append(list, session.Secret{Name: n.Name, Key: n.Secret.Key, Domain: domain, Tag: n.Tag})
	}
	if p.SNISalt != "" {
		return session.NewDerived(list, []byte(p.SNISalt))
	}
	return session.NewSecrets(list)
}

// samePort returns the address for the other loops' listeners: with port 0 the kernel chose one.
func samePort(want config.Endpoint, ln *reactor.Listener) string {
	if want.Path != "" || want.Addr.Port() != 0 {
		return want.String()
	}
	chosen := ln.AddrPort().Port()
	if want.Dual {
		return net.JoinHostPort("", fmt.Sprint(chosen))
	}
	return net.JoinHostPort(want.Addr.Addr().String(), fmt.Sprint(chosen))
}

func listenOptions(s *config.Settings, p *config.Listen) reactor.ListenOptions {
	o := reactor.ListenOptions{
		Backlog: s.Backlog, DeferAccept: int(s.DeferAccept / time.Second), NotSentLowat: s.NotSentLowat,
		UserTimeout: int(s.UserTimeout.Milliseconds()),
		KeepIdle:    int(s.Keepalive.Idle / time.Second), KeepInterval: int(s.Keepalive.Interval / time.Second),
		KeepCount: s.Keepalive.Count,
	}
	if p.HandshakeMSS >= leastTorn { // the cheaper way: only the hello is torn
		o.HandshakeMSS = p.HandshakeMSS
	} else {
		o.MSS = p.HandshakeMSS
	}
	return o
}
