package egress

import (
	"net/netip"

	"epoxy/codec"
	"epoxy/upstream"
)

// Kind is the language of a proxy.
type Kind uint8

// The kinds.
const (
	SOCKS5 Kind = iota
	HTTP        // CONNECT
)

// String returns the scheme of a URL.
func (k Kind) String() string {
	switch k {
	case SOCKS5:
		return "socks5"
	case HTTP:
		return "http"
	}
	return "unknown"
}

// Proxy is one way out.
type Proxy struct {
	Kind           Kind
	Addr           netip.AddrPort // or
	Path           string         // a unix socket
	User, Password string         // both empty, or as socks.ValidCredentials has them; of HTTP the user has no colon
}

// String returns a URL without user and password.
func (p Proxy) String() string {
	at := ""
	if p.User != "" || p.Password != "" {
		at = "...@"
	}
	if p.Path != "" {
		return p.Kind.String() + "://" + at + p.Path
	}
	return p.Kind.String() + "://" + at + p.Addr.String()
}

// GoString keeps user and password out of %#v too.
func (p Proxy) GoString() string { return p.String() }

// route is what a loop knows of one proxy.
type route struct {
	Proxy
	fails int   // in a row
	until int64 // loop time until which it rests
}

// Count is what one loop has counted of one proxy.
type Count struct {
	Dials  uint64                // connections begun
	Opened uint64                // of them, those that reached their target
	Failed [codec.Reasons]uint64 // and those that did not
	Rests  uint64                // times that it began to rest
}

// rest lets a proxy alone after a failure of its own, for a random time that grows with each in a row.
func (l *Loop) rest(i int, why codec.Reason) {
	r, now := &l.routes[i], l.Now()
	if now < r.until {
		return // others failed at the same time
	}
	half := int64(restMost / 2)
	if r.fails < 5 {
		half = restLeast << r.fails
	}
	r.fails++
	var random [2]byte
	l.Rand(random[:])
	ms := half + half*int64(random[0])/255
	r.until = now + ms
	l.Count[i].Rests++
	if l.opts.Report != nil {
		l.opts.Report(r.Proxy, why, ms)
	}
}

// works forgives a proxy its failures.
func (l *Loop) works(i int) { l.routes[i].fails, l.routes[i].until = 0, 0 }

// pick returns the first proxy that is not in tried, suits the target and does not rest; when all rest, the one that
// rests shortest, because nothing is lost by asking it; -1 when all were tried. more says that another would be left.
func (l *Loop) pick(to *upstream.Target, tried uint64) (best int, more bool) {
	best = -1
	now, left := l.Now(), 0
	for i := range l.routes {
		r := &l.routes[i]
		if tried&(1<<i) != 0 || to.NeedsBind && r.Kind == HTTP { // HTTP never tells the address
			continue
		}
		left++
		if best < 0 || max(r.until, now) < max(l.routes[best].until, now) {
			best = i
		}
	}
	return best, left > 1
}
