// Package dcmap is Telegram's address book: parses the proxy configuration, immutable snapshots.
//
// It reads bytes that others fetched (upstream/refresh) and does no I/O of its own.
package dcmap

import (
	"net/netip"

	"epoxy/codec"
)

// Snapshot is what a link needs to know, all of one moment: the secret and its selector, the
// addresses, and our own. It is shared by all loops and never changed; a change is a new Snapshot.
type Snapshot struct {
	Generation uint64 // 1 for the first, one more for each that follows
	Secret     Secret
	Selector   uint32 // of Secret
	V4, V6     *List  // nil while unknown; at least one is not

	// Old is the secret before Secret, or nil. Both are tried in turn until OldUntil, in unix seconds,
	// while handshakes with the new one fail (spec upstream-protocols 1.4).
	Old         Secret
	OldSelector uint32
	OldUntil    int64

	Own [2]Own // by Family
}

// List returns the list of family f, nil when unknown.
func (s *Snapshot) List(f Family) *List {
	if f == V6 {
		return s.V6
	}
	return s.V4
}

// Lookup is List.Lookup for family f.
func (s *Snapshot) Lookup(dc codec.DC, f Family) (codec.DC, []netip.AddrPort) {
	return s.List(f).Lookup(dc)
}

// Default returns the id that serves unknown ids: the IPv4 list's, without one the IPv6 list's.
func (s *Snapshot) Default() codec.DC {
	switch {
	case s.V4 != nil:
		return s.V4.Default
	case s.V6 != nil:
		return s.V6.Default
	}
	return DefaultDC
}

// Alternate returns the old secret and its selector while it may still be tried at unix second now.
func (s *Snapshot) Alternate(now int64) (Secret, uint32, bool) {
	if s.Old == nil || now >= s.OldUntil {
		return nil, 0, false
	}
	return s.Old, s.OldSelector, true
}

// Has reports whether t is in one of the lists.
func (s *Snapshot) Has(t Target) bool { return s.V4.Has(t) || s.V6.Has(t) }

// Changes returns what next has and s lacks, and what s has and next lacks: IPv4 first, then by id. A
// nil s is empty.
func (s *Snapshot) Changes(next *Snapshot) (added, removed []Target) {
	if s == nil {
		s = &Snapshot{}
	}
	added = append(next.V4.missing(s.V4), next.V6.missing(s.V6)...)
	removed = append(s.V4.missing(next.V4), s.V6.missing(next.V6)...)
	return added, removed
}
