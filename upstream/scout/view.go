package scout

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"epoxy/codec/faketls"
	"epoxy/upstream/front"
)

// View is what is known about all sites. It is never changed: a change is a new one.
type View struct {
	Targets  *front.Targets             // the same pointer as before when nothing in it changed
	Profiles map[string]faketls.Profile // by Site.Domain in lower case; only of sites that were measured, by a former process too
	Sites    []Status                   // in the order of Options.Sites
}

// Status is what there is to tell about one site, for metrics and tables.
type Status struct {
	Domain    string // as in Site, in lower case
	Target    string // as in Site; empty when strangers are not fronted
	Addrs     []netip.AddrPort
	Resolved  time.Time // zero for an address and until a name was resolved
	Measured  time.Time // by a former process too; zero for never
	FromCache bool      // the measurement is a former process's
	Err       string    // what went wrong last; empty when nothing did
	Warnings  []string  // what the operator should change, as sentences

	// As it was measured.
	ALPN        string // what the site picks of h2 and http/1.1; empty is nothing
	TLS13       bool   // it speaks TLS 1.3 to clients like ours
	TLS12       bool   // it takes clients of TLS 1.2
	FirstFlight int    // bytes of application data in its first flight
	Records     int    // that these came in
	DelayLow    time.Duration
	DelayHigh   time.Duration // from connecting to the first byte
}

// publish makes what is known public, and tells the subscribers when targets or profiles changed.
func (s *Scout) publish() {
	v := &View{Targets: new(front.Targets), Profiles: make(map[string]faketls.Profile)}
	for _, t := range s.sites {
		v.add(t)
	}
	was := s.current.Load()
	if was != nil && was.Targets.Default == v.Targets.Default && maps.Equal(was.Targets.ByDomain, v.Targets.ByDomain) {
		v.Targets = was.Targets
	}
	s.current.Store(v)
	if was != nil && (was.Targets != v.Targets || !maps.Equal(was.Profiles, v.Profiles)) {
		s.tell(v)
	}
}

// add takes t into v.
func (v *View) add(t *site) {
	if t.Domain == "" {
		v.Targets.Default = t.asTarget()
	} else {
		if v.Targets.ByDomain == nil {
			v.Targets.ByDomain = make(map[string]*front.Target)
		}
		v.Targets.ByDomain[t.Domain] = t.asTarget()
	}
	if t.found.Profile != nil {
		v.Profiles[t.Domain] = *t.found.Profile
	}
	f := &t.found
	st := Status{
		Domain: t.Domain, Target: t.Target, Addrs: t.asTarget().Addrs, Resolved: t.resolvedAt,
		Measured: f.Measured, FromCache: f.cached, Err: t.resolveErr, Warnings: slices.Clone(f.Warnings),
		ALPN: f.ALPN, TLS13: f.TLS13, TLS12: f.TLS12, FirstFlight: f.FirstFlight, Records: f.Records,
		DelayLow: f.DelayLow, DelayHigh: f.DelayHigh,
	}
	if st.Err == "" {
		st.Err = t.measureErr
	}
	v.Sites = append(v.Sites, st)
}

// tell calls the subscribers.
func (s *Scout) tell(v *View) {
	s.mu.Lock()
	subscribers := slices.Clone(s.subscribers)
	s.mu.Unlock()
	for _, fn := range subscribers {
		fn(v)
	}
}
