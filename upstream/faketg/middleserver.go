package faketg

import (
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"

	"epoxy/codec"
	"epoxy/codec/rpc"
	"epoxy/upstream"
)

// Loop is what a MiddleServer wants of its loops; a reactor is one. Call runs fn on the loop and waits for it, from
// any other goroutine; when the loop is over it fails.
type Loop interface {
	upstream.Loop
	Call(fn func()) error
}

// MiddleSettings are what the middle proxies of a server have in common.
type MiddleSettings struct {
	Secret   []byte     // the proxy secret, 32 to 256 bytes
	NoCRC32C bool       // leave an offer of CRC-32C alone
	ProxyIP  netip.Addr // where links seem to come from, as behind NAT; invalid is where they do come from

	// Forward is a real datacenter, to which each stream becomes an obfuscated connection; invalid lets a Mind answer.
	Forward   netip.AddrPort
	ForwardDC codec.DC        // what those connections ask for when the listener has no datacenter
	Transport codec.Transport // of those connections; none is intermediate
}

// MiddleServer is middle proxies for any number of event loops.
type MiddleServer struct {
	settings atomic.Pointer[MiddleSettings] // for links yet to come
	faults   atomic.Pointer[MiddleFaults]   // the same

	mu        sync.Mutex
	acceptors []*MiddleAcceptor
}

// NewMiddleServer returns a server with these settings and faults.
func NewMiddleServer(o MiddleSettings, f MiddleFaults) *MiddleServer {
	s := new(MiddleServer)
	s.Set(o)
	s.SetFaults(f)
	return s
}

// Set changes the settings of new links; any goroutine may call it. The secret is not copied.
func (s *MiddleServer) Set(o MiddleSettings) { s.settings.Store(&o) }

// Settings returns the settings of new links.
func (s *MiddleServer) Settings() MiddleSettings { return *s.settings.Load() }

// SetFaults changes how new links are treated; any goroutine may call it.
func (s *MiddleServer) SetFaults(f MiddleFaults) { s.faults.Store(&f) }

// On returns what accepts links for a datacenter on one loop; 0 is any datacenter.
func (s *MiddleServer) On(loop Loop, dc codec.DC) *MiddleAcceptor {
	a := &MiddleAcceptor{server: s, loop: loop, dc: dc}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.acceptors = append(s.acceptors, a)
	return a
}

// each calls fn for every acceptor on its loop, or here when the loop is over.
func (s *MiddleServer) each(fn func(*MiddleAcceptor)) {
	s.mu.Lock()
	all := slices.Clone(s.acceptors)
	s.mu.Unlock()
	for _, a := range all {
		if a.loop.Call(func() { fn(a) }) != nil {
			fn(a)
		}
	}
}

// Seen returns what was seen so far. Not to be called on one of the loops.
func (s *MiddleServer) Seen() (sum MiddleSeen) {
	s.each(func(a *MiddleAcceptor) { sum.add(&a.seen) })
	return sum
}

// Strike does f to n open links, those with streams first and then the oldest of each listener, or to all when n is 0,
// and returns how many there were. Not to be called on one of the loops.
func (s *MiddleServer) Strike(f Fault, n int) int {
	struck := map[*link]bool{}
	for _, busy := range []bool{true, false} {
		s.each(func(a *MiddleAcceptor) {
			for _, l := range slices.Clone(a.links) {
				if (n == 0 || len(struck) < n) && !struck[l] && l.live() && busy == (l.m.Streams() > 0) {
					l.strike(f)
					struck[l] = true
				}
			}
		})
	}
	return len(struck)
}

// CloseStream closes a stream by CLOSE_EXT, wherever it is open. Not to be called on one of the loops.
func (s *MiddleServer) CloseStream(id uint64) {
	s.each(func(a *MiddleAcceptor) {
		for _, l := range slices.Clone(a.links) {
			l.send(l.sock, l.m.CloseExt(l.loop.Scratch()[:0], id))
		}
	})
}

// MiddleAcceptor is a MiddleServer on one loop, before one datacenter. The loop owns it.
type MiddleAcceptor struct {
	server *MiddleServer
	loop   Loop
	dc     codec.DC
	seen   MiddleSeen
	links  []*link
}

// Accept makes a Middle for the socket.
func (a *MiddleAcceptor) Accept(s upstream.Socket, peer netip.AddrPort) upstream.Handler {
	o, f := a.server.settings.Load(), a.server.faults.Load()
	a.seen.Accepted++
	a.seen.Open++
	proxy := peer
	if o.ProxyIP.IsValid() {
		proxy = netip.AddrPortFrom(o.ProxyIP, peer.Port())
	}
	here := s.Local()
	l := &link{a: a, loop: a.loop, sock: s, faults: f}
	options := MiddleOptions{
		Secret: o.Secret, DC: a.dc, Proxy: proxy, Here: here, NoCRC32C: o.NoCRC32C, Faults: f, Seen: &a.seen,
		Process: rpc.ProcessID{IP: rpc.IPOf(here.Addr()), Port: here.Port(), PID: 1, Start: uint32(a.loop.Unix())},
		Rand:    a.loop.Rand, Unix: a.loop.Unix,
	}
	if o.Forward.IsValid() {
		l.forward = newForwarder(l, o, a.dc)
		options.Behind = l.forward
	}
	l.m = NewMiddle(options)
	a.links = append(a.links, l)
	switch {
	case f.Refuse:
		a.seen.Refused++
		s.Abort(codec.ReasonDenied)
	case f.HangUp:
		a.seen.Refused++
		s.Close(codec.ReasonDenied)
	case f.Deaf:
		s.Pause()
	case f.LifeMin > 0:
		l.limit()
	}
	return l
}

func (a *MiddleAcceptor) remove(l *link) {
	if i := slices.Index(a.links, l); i >= 0 {
		a.links = slices.Delete(a.links, i, i+1)
	}
	a.seen.Open--
}
