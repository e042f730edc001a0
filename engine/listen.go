package engine

import (
	"fmt"
	"net"
	"time"

	"epoxy/engine/config"
	"epoxy/engine/reactor"
	"epoxy/engine/session"
)

// leastTorn is the least --handshake-mss that a small window at the handshake brings about; below it every segment of the
// connection has to be small (measured, see reactor.ListenOptions).
const leastTorn = 576

// listen opens one listener per port and loop; the kernel spreads clients over them (SO_REUSEPORT). A unix
// socket has one listener only, on the first loop.
func (e *Engine) listen() error {
	for _, l := range e.loops {
		l.ports = make([]*session.Port, len(e.set.Listen))
	}
	for at := range e.set.Listen {
		want := &e.set.Listen[at]
		opts := e.listenOptions(want)
		addr := want.Endpoint.String()
		if err := reactor.Probe(addr); err != nil {
			return fmt.Errorf("engine: --listen %s: %w; choose another port, or stop what listens there", addr, err)
		}
		shared := e.port(want)
		loops := e.loops
		if want.Path != "" {
			loops = loops[:1]
		}
		for i, l := range loops {
			ln, err := reactor.Listen(addr, opts, e.log)
			if err != nil {
				return fmt.Errorf("engine: --listen %s: %w", addr, err)
			}
			if i == 0 {
				e.addrs = append(e.addrs, ln.Addr())
				e.ownMu.Lock()
				e.bound = append(e.bound, ln.AddrPort())
				e.ownMu.Unlock()
				addr = samePort(want.Endpoint, ln)
			}
			l.listeners = append(l.listeners, ln)
			if r := l.router(e.facades[at], e.frontMax(e.limit)/len(e.loops)); r != nil {
				shared.Front = r
			}
			port := session.NewPort(l.env, shared)
			l.ports[at] = port
			if err := l.reactor.AddListener(ln, &gate{engine: e, loop: l, port: port, from: want.ProxyFrom}); err != nil {
				return fmt.Errorf("engine: --listen %s: %w", addr, err)
			}
		}
	}
	return nil
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

func (e *Engine) listenOptions(p *config.Listen) reactor.ListenOptions {
	s := e.set
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
