package engine

import (
	"fmt"
	"net"
	"time"

	"epoxy/engine/config"
	"epoxy/engine/reactor"
	"epoxy/engine/session"
)

// listen opens one listener per port and loop; the kernel spreads clients over them (SO_REUSEPORT). A unix
// socket has one listener only, on the first loop.
func (e *Engine) listen() error {
	opts := e.listenOptions()
	secrets := e.secrets()
	for _, want := range e.set.Listen {
		addr := want.Endpoint.String()
		if err := reactor.Probe(addr); err != nil {
			return fmt.Errorf("engine: --listen %s: %w; choose another port, or stop what listens there", addr, err)
		}
		shared := e.port(want.Name, secrets)
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
				addr = samePort(want.Endpoint, ln)
			}
			l.listeners = append(l.listeners, ln)
			port := session.NewPort(l.env, shared)
			if err := l.reactor.AddListener(ln, &gate{engine: e, loop: l, port: port}); err != nil {
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

func (e *Engine) listenOptions() reactor.ListenOptions {
	s := e.set
	return reactor.ListenOptions{
		Backlog: s.Backlog, DeferAccept: int(s.DeferAccept / time.Second), NotSentLowat: s.NotSentLowat,
		UserTimeout: int(s.UserTimeout.Milliseconds()),
		KeepIdle:    int(s.Keepalive.Idle / time.Second), KeepInterval: int(s.Keepalive.Interval / time.Second),
		KeepCount: s.Keepalive.Count,
	}
}
