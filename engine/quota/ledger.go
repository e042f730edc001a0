// Package quota keeps what each secret may use and has used: clients, addresses, bytes, rates and time.
//
// A Ledger is shared by all loops and exact over them. It is asked once per handshake and once per end of a
// client, and each loop settles with it what its clients carried: the loop's own Till counts bytes in plain
// fields, without a lock, and comes to the Ledger every 250 ms or 1 MiB of a secret and direction. So a quota is passed by
// at most 2 MiB per loop, and one read (up to 256 KiB) of each client that was in motion.
package quota

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"epoxy/codec"
)

// Limits is what one secret may use. What is zero is no limit.
type Limits struct {
	Name         string
	Key          codec.Key // another key under the same name is another secret with the same usage
	Disabled     bool
	MaxClients   int
	MaxAddresses int   // IPv4 addresses and IPv6 /64 networks, at once and for Options.AddressWindow after
	Quota        int64 // bytes, both directions together
	Monthly      bool  // the quota begins anew with each month, UTC
	Expires      int64 // Unix seconds
	RateUp       int64 // bytes a second from all its clients together
	RateDown     int64 // the same, to them
}

// Options is what all secrets have in common.
type Options struct {
	AddressWindow time.Duration // for which an address counts after its last client left
	Drain         time.Duration // for which clients go on whose secret was removed or disabled, or expired
}

// Ledger knows all secrets. Its methods may be called by anybody.
type Ledger struct {
	entries atomic.Pointer[map[string]*entry] // replaced by Configure

	mu    sync.Mutex        // guards what follows
	order []string          // names as configured
	saved map[string]record // from the file, until Configure asks for them
	gone  []string          // names whose records are to be deleted
	store *store            // nil keeps nothing
	path  string            // of a file that another process had; empty when there is nothing to retry
}

// New returns a Ledger without secrets that keeps nothing on disk.
func New() *Ledger {
	l := &Ledger{}
	l.entries.Store(&map[string]*entry{})
	return l
}

// Configure says which secrets there are from now on, before any port lets them in. Names that stay keep
// what they used, and so do their clients; names that go are forgotten, and their clients drained. Each
// loop's Till.Review has to follow.
func (l *Ledger) Configure(o Options, list []Limits) {
	l.mu.Lock()
	defer l.mu.Unlock()
	was := *l.entries.Load()
	now := make(map[string]*entry, len(list))
	l.order = l.order[:0]
	for i := range list {
		name := list[i].Name
		e := was[name]
		if e == nil || e.key != list[i].Key {
			e = l.enter(&list[i], e)
		}
		e.configure(o, &list[i])
		now[name] = e
		l.order = append(l.order, name)
	}
	for name, e := range was {
		if now[name] != e {
			e.remove(o)
		}
		if now[name] == nil {
			l.gone = append(l.gone, name)
		}
	}
	for name := range l.saved {
		if now[name] == nil {
			l.gone = append(l.gone, name)
		}
	}
	l.saved = nil
	l.entries.Store(&now)
}

// enter makes an entry. What the name used before is known from one with another key, or from the file.
func (l *Ledger) enter(n *Limits, before *entry) *entry {
	e := &entry{name: n.Name, key: n.Key, places: map[place]*stay{}}
	r := l.saved[n.Name]
	if before != nil {
		before.mu.Lock()
		r, e.let, e.total, e.refused = before.record, before.let, before.total, before.refused
		before.mu.Unlock()
		e.dirty = true
	}
	e.record = r
	return e
}

// get returns the entry of a name, nil when there is none.
func (l *Ledger) get(name string) *entry { return (*l.entries.Load())[name] }

// Reset forgets the bytes that a secret used, and reports whether there is such a secret.
func (l *Ledger) Reset(name string) bool {
	e := l.get(name)
	if e == nil {
		return false
	}
	e.mu.Lock()
	e.record.up, e.record.down, e.dirty = 0, 0, true
	e.mu.Unlock()
	return true
}

// Look notes what time has done at unix, in seconds, and reports whether the loops have to Review: a secret
// expired, a quota began anew or was used up on another loop. Somebody calls it about once a second.
func (l *Ledger) Look(unix int64) (changed bool) {
	for _, e := range *l.entries.Load() {
		e.mu.Lock()
		if why := e.judge(unix); why != e.seen {
			e.seen, changed = why, true
		}
		e.mu.Unlock()
	}
	return changed
}

// Usage is what a secret has used. Up is from its clients.
type Usage struct {
	Name             string
	Clients          int
	Admitted         uint64 // clients let in since this process began
	Addresses        int    // those within the window included where they are limited
	Up, Down         uint64 // bytes since the quota began
	AllUp, AllDown   uint64 // bytes since this process began; they never fall
	Quota            int64  // 0 is none
	Expires          time.Time
	Enabled          bool                  // new clients are welcome
	Why              codec.Reason          // why not
	Refused          [codec.Reasons]uint64 // clients with this secret turned away
	MaxClients       int
	MaxAddresses     int
	RateUp, RateDown int64
}

// Usage returns what every secret has used by unix, in their order.
func (l *Ledger) Usage(unix int64) []Usage {
	l.mu.Lock()
	names := slices.Clone(l.order)
	l.mu.Unlock()
	entries := *l.entries.Load()
	all := make([]Usage, 0, len(names))
	for _, name := range names {
		if e := entries[name]; e != nil {
			all = append(all, e.usage(unix))
		}
	}
	return all
}

// Names returns the secrets' names, sorted.
func (l *Ledger) Names() []string { return slices.Sorted(maps.Keys(*l.entries.Load())) }
