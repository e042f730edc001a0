// Package scout resolves the front and measures how it answers, off the loops.
//
// One goroutine owns everything and starts a short one for each question, so that a name server or a
// site that hangs holds up no other. Each site is resolved, measured and cached by itself; what is in use
// is only replaced by something better (spec client-protocols 4.5, 6). Nothing is resolved or dialled
// that the operator did not name.
package scout

import (
	"context"
	crand "crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Site is one web site that strangers may be spliced to.
type Site struct {
	Domain string // whose strangers go there, a host name; empty: of everybody else
	Target string // host:port, address:port, unix:/path or /path; empty when Off
	Off    bool   // strangers of this domain are not fronted
	Proxy  byte   // version of the PROXY protocol header that the site wants, 1 or 2; 0 is none
}

// Options says what to look at.
type Options struct {
	Sites   []Site
	Default string // SNI for the site without a domain; empty is the host of its target, if that is a name

	// StateDir is where measurements are kept, in its directory front; made when missing. Empty keeps nothing.
	StateDir string

	Every   time.Duration // between two looks at a name's addresses; 0 is a minute
	Measure time.Duration // between two measurements of a site; 0 is 4 hours, less is never

	// Own returns the addresses of our own listeners; this package adds those of the machine to a
	// listener for all of them. It is called from any goroutine.
	Own func() []netip.AddrPort

	// PublicV4 and PublicV6 are the addresses where clients find us, where they are known.
	PublicV4, PublicV6 netip.Addr

	Log *slog.Logger // needed

	// What nil leaves to the machine. All but Jitter are called from any goroutine.
	Resolver func(ctx context.Context, host string) ([]netip.Addr, error)
	Dial     func(ctx context.Context, network, address string) (net.Conn, error)
	Rand     func([]byte)   // fills its argument
	Jitter   func() float64 // in [0, 1)
}

// Scout keeps watch over the sites. Current and Subscribe may be called by anybody at any time and do
// not block.
type Scout struct {
	// fixed by New
	log                *slog.Logger
	cache              cache
	own                func() []netip.AddrPort
	public             [2]netip.Addr // IPv4, IPv6
	every, measureWait time.Duration
	resolver           func(ctx context.Context, host string) ([]netip.Addr, error)
	dial               func(ctx context.Context, network, address string) (net.Conn, error)
	rand               func([]byte)
	jitter             func() float64

	// owned by New, then by Run
	sites   []*site
	running int // goroutines that will report

	// shared
	current     atomic.Pointer[View]
	mu          sync.Mutex // guards subscribers
	subscribers []func(*View)
}

// New checks o, reads what was measured before, and resolves the names, for 3 s at most: without an answer
// Run goes on asking. It measures nothing; Run does. The error says what is wrong with o, or that a target
// is one of our own listeners.
func New(o Options) (*Scout, error) {
	s := &Scout{
		log: o.Log, cache: newCache(o.StateDir), own: o.Own, public: [2]netip.Addr{o.PublicV4.Unmap(), o.PublicV6},
		every: o.Every, measureWait: o.Measure, resolver: o.Resolver, dial: o.Dial, rand: o.Rand, jitter: o.Jitter,
	}
	s.fill()
	if err := s.addSites(o); err != nil {
		return nil, err
	}
	now := time.Now()
	s.cache.sweep(now)
	for _, t := range s.sites {
		s.remember(t, now)
	}
	if err := s.resolveAll(); err != nil {
		return nil, err
	}
	s.publish()
	return s, nil
}

// fill puts the usual in the place of what was left out.
func (s *Scout) fill() {
	if s.every <= 0 {
		s.every = resolveEvery
	}
	if s.measureWait == 0 {
		s.measureWait = measureEvery
	}
	if s.own == nil {
		s.own = func() []netip.AddrPort { return nil }
	}
	if s.resolver == nil {
		s.resolver = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		}
	}
	if s.dial == nil {
		s.dial = new(net.Dialer).DialContext
	}
	if s.rand == nil {
		s.rand = func(p []byte) { _, _ = crand.Read(p) } // it never fails
	}
	if s.jitter == nil {
		s.jitter = rand.Float64
	}
}

// addSites makes the sites of o, or says everything that is wrong with them.
func (s *Scout) addSites(o Options) error {
	var errs []error
	fallback, ok := hostName(o.Default)
	if !ok && o.Default != "" {
		errs = append(errs, fmt.Errorf("scout: the domain %q is not a host name", o.Default))
	}
	for _, given := range o.Sites {
		t, err := newSite(given, fallback)
		if err == nil && slices.ContainsFunc(s.sites, func(other *site) bool { return other.Domain == t.Domain }) {
			err = fmt.Errorf("scout: --front names the domain %q twice", t.Domain)
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		s.sites = append(s.sites, t)
	}
	return errors.Join(errs...)
}

// remember takes what was measured by a former process.
func (s *Scout) remember(t *site, now time.Time) {
	if t.Off {
		return
	}
	kept, err := s.cache.load(t, now)
	switch {
	case err == nil && kept != nil:
		t.found = *kept
		s.log.Info("front: starting from the cache", t.attr(), "age", now.Sub(kept.Measured).Round(time.Second))
	case err != nil:
		s.log.Warn("front: the cache is ignored", t.attr(), "err", err)
	}
}

// resolveAll asks for the addresses of all names at once and returns at the latest after startTime. The
// error is that of a target that is one of our listeners.
func (s *Scout) resolveAll() error {
	ctx, cancel := context.WithTimeout(context.Background(), startTime)
	defer cancel()
	answers := make(chan resolved, len(s.sites)) // late ones are not waited for
	asked := 0
	for _, t := range s.sites {
		if t.host != "" {
			asked++
			go func() { answers <- s.resolve(ctx, t) }()
		}
	}
	local := listeners(s.own(), s.public)
	var errs []error
	refuse := func(t *site, addrs []netip.AddrPort) bool {
		for _, a := range addrs {
			if mine, ok := local.find(a); ok {
				errs = append(errs, t.loop(a, mine))
				return true
			}
		}
		return false
	}
	for _, t := range s.sites {
		refuse(t, t.addrs)
	}
	for ; asked > 0; asked-- {
		select {
		case r := <-answers:
			if !refuse(r.site, r.addrs) {
				s.settle(r, local, time.Now())
			}
		case <-ctx.Done():
			s.log.Warn("front: no answer from the name servers yet, starting without", "names", asked)
			return errors.Join(errs...)
		}
	}
	return errors.Join(errs...)
}

// Current returns the newest view, never nil.
func (s *Scout) Current() *View { return s.current.Load() }

// Subscribe has fn called with each view in which targets or profiles are new, from Run's goroutine, one
// after the other; Run begins with the current one. fn must be quick: it posts the view to a loop. Who
// subscribes while Run runs and then asks Current misses none.
func (s *Scout) Subscribe(fn func(*View)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.subscribers = append(s.subscribers, fn)
}
