// Package egress is a loop whose connections go through SOCKS5 or HTTP proxies.
//
// A dial goes to the first proxy that does not rest, and on to the next when it fails. A Handler hears Opened when the
// target is reached; from then on it is called by the socket itself, and nothing of this package is on the way down.
package egress

import (
	"epoxy/codec"
	"epoxy/upstream"
)

// Loop is an upstream.Loop whose TCP connections go through proxies; all else is the inner loop's, which alone calls it.
type Loop struct {
	upstream.Loop // fixed

	// Owned by the loop.
	Count  []Count // by proxy, in the order of the list
	routes []route
	opts   Options
}

// Options are what may be left out.
type Options struct {
	Report func(p Proxy, why codec.Reason, rest int64) // called on the loop when a proxy begins to rest, for so many ms
}

// New returns a loop that dials through proxies, 64 at most, in their order of preference. Without any it dials as the
// inner loop does.
func New(loop upstream.Loop, proxies []Proxy, o Options) *Loop {
	proxies = proxies[:min(len(proxies), MaxProxies)]
	l := &Loop{Loop: loop, Count: make([]Count, len(proxies)), opts: o}
	for _, p := range proxies {
		l.routes = append(l.routes, route{Proxy: p})
	}
	return l
}

// Proxies returns the proxies in their order.
func (l *Loop) Proxies() []Proxy {
	all := make([]Proxy, 0, len(l.routes))
	for i := range l.routes {
		all = append(all, l.routes[i].Proxy)
	}
	return all
}

// Dial starts a connection to a TCP address through a proxy; to a unix socket it goes directly. See upstream.Loop. h
// hears Opened with the socket that Dial returned, whose Local is where the target sees us when the proxy said it; what
// it hears later may name the proxy's own socket, which is the same connection. Closed before Opened brings a reason of
// egress where a proxy answered, else what became of the connection to the last one.
func (l *Loop) Dial(to upstream.Target, h upstream.Handler) (upstream.Socket, codec.Reason) {
	if to.Path != "" || len(l.routes) == 0 {
		return l.Loop.Dial(to, h)
	}
	if !to.Addr.IsValid() {
		return nil, codec.ReasonDialError
	}
	if to.Timeout <= 0 {
		to.Timeout = dialTime
	}
	c := &conn{}
	c.hs = &handshake{conn: c, loop: l, h: h, to: to, deadline: l.Now() + to.Timeout}
	if to.NeedsBind {
		c.hs.last = codec.ReasonEgressBind // when there is no proxy to ask
	}
	if !c.hs.dial() {
		return nil, c.hs.last
	}
	return c, codec.ReasonNone
}
