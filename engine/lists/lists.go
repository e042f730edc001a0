// Package lists holds block and allow lists of addresses, from files and URLs.
//
// Lookup is asked at accept, by all loops. Lists are read and built by goroutines of their own and swapped
// in whole; a list that cannot be read, or is not to be believed, leaves the former one in place.
package lists

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Options say which lists there are.
type Options struct {
	Lists    []Spec
	StateDir string        // where downloads are cached; made when missing; empty keeps nothing
	Interval time.Duration // between two downloads of a list; 0 is an hour
	Log      *slog.Logger  // needed

	Transport http.RoundTripper // nil is TCP with this package's limits
	Jitter    func() float64    // in [0, 1), for many goroutines; nil is math/rand/v2's
}

// Verdict is what the lists say of an address.
type Verdict struct {
	Action Action
	List   *Spec // the list that decided; nil when Action is Pass; not to be changed
}

// Status is how a list does.
type Status struct {
	Spec     Spec
	Loaded   bool      // there is a list, be it an old one
	Entries  int       // addresses, prefixes and ranges
	BadLines int       // skipped
	Cached   bool      // it comes from the state directory and was not confirmed since
	Good     time.Time // when it was last read, downloaded or confirmed
	Failures int       // in a row
	Err      string    // of the last one
}

// Set is all lists. Lookup and Status may be called by anybody at any time and do not wait. A nil Set lets
// everybody pass.
type Set struct {
	// fixed by New
	log      *slog.Logger
	cache    cache
	client   *http.Client
	interval time.Duration
	jitter   func() float64
	lists    []*list // each owned by New, then by its goroutine in Run

	// shared
	current  atomic.Pointer[snapshot]
	building sync.Mutex // one list is built at a time, which bounds memory
	mu       sync.Mutex // guards what follows, and the making of snapshots
	tables   []*table
	status   []Status
}

// snapshot is what Lookup reads.
type snapshot struct{ block, allow []member }

type member struct {
	table  *table
	action Action
	spec   *Spec
}

// New checks o and reads the files and the cached downloads. It does not use the network; Run does. A list
// that is not there or cannot be read is logged, not an error: a block list blocks nobody until it is, an
// allow list lets nobody pass.
func New(o Options) (*Set, error) {
	s := &Set{
		log:      o.Log,
		cache:    cache{dir: o.StateDir},
		client:   newClient(o.Transport),
		interval: o.Interval,
		jitter:   o.Jitter,
		tables:   make([]*table, len(o.Lists)),
		status:   make([]Status, len(o.Lists)),
	}
	if s.interval <= 0 {
		s.interval = interval
	}
	if s.jitter == nil {
		s.jitter = rand.Float64
	}
	var errs []error
	for i, spec := range o.Lists {
		if err := spec.check(); err != nil {
			errs = append(errs, err)
			continue
		}
		if slices.ContainsFunc(o.Lists[:i], func(was Spec) bool { return was.Name == spec.Name }) {
			errs = append(errs, fmt.Errorf("lists: two lists are called %s; give each a name of its own", spec.Name))
		}
		l := &list{set: s, place: i, spec: spec}
		var path string
		l.url, path, _ = spec.source() // checked
		l.watch.path = path
		s.status[i].Spec = spec
		s.lists = append(s.lists, l)
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	now := time.Now()
	s.cache.sweep(now)
	s.publish()
	for _, l := range s.lists {
		l.first(now)
		if l.spec.Mode.allows() && !s.status[l.place].Loaded {
			s.log.Warn("lists: an allow list is not there yet, nobody passes by it", "list", l.spec.Name)
		}
	}
	return s, nil
}

// Lookup says what the lists do with addr; IPv4-mapped IPv6 addresses are IPv4. Block lists are asked in
// their order and the first one counts. Whom none blocks must be in one of the allow lists, if there are
// any; else the first of these decides. Without an address, on a unix socket, everybody passes. It
// allocates nothing.
func (s *Set) Lookup(addr netip.Addr) Verdict {
	if s == nil || !addr.IsValid() {
		return Verdict{}
	}
	now := s.current.Load()
	addr = addr.Unmap()
	for i := range now.block {
		if e := &now.block[i]; e.table.contains(addr) {
			return Verdict{e.action, e.spec}
		}
	}
	for i := range now.allow {
		if now.allow[i].table.contains(addr) {
			return Verdict{}
		}
	}
	if len(now.allow) > 0 {
		e := &now.allow[0]
		return Verdict{e.action, e.spec}
	}
	return Verdict{}
}

// publish makes a new snapshot; called under mu, or by New.
func (s *Set) publish() {
	next := &snapshot{}
	for i, l := range s.lists {
		e := member{s.tables[i], l.spec.Mode.action(), &l.spec}
		if e.table == nil {
			e.table = new(table)
		}
		if l.spec.Mode.allows() {
			next.allow = append(next.allow, e)
		} else {
			next.block = append(next.block, e)
		}
	}
	s.current.Store(next)
}

// Status returns how the lists do, in their order.
func (s *Set) Status() []Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.status)
}
