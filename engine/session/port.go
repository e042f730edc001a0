package session

import (
	"net/netip"
	"strings"

	"epoxy/codec"
	"epoxy/codec/faketls"
	"epoxy/codec/rpc"
	"epoxy/engine/policy"
	"epoxy/upstream"
)

// Secret is one way in.
type Secret struct {
	Name   string
	Key    codec.Key
	Domain string   // the SNI that its links carry; a hint for the search, not a demand
	Tag    *rpc.Tag // the ad tag of its clients; nil is the port's

	hello *faketls.Key
}

// Secrets is the immutable set of a port's secrets, prepared for the search and shared by all loops.
type Secrets struct {
	list     []Secret
	byDomain map[string][]uint32
	keys     map[codec.Key]struct{}
	salt     []byte // of the keys per SNI; empty is none
}

// NewSecrets prepares list, which is the set's from now on. It is worth about 350 bytes a secret.
func NewSecrets(list []Secret) *Secrets {
	s := &Secrets{list: list, byDomain: make(map[string][]uint32), keys: make(map[codec.Key]struct{}, len(list))}
	for i := range list {
		s.keys[list[i].Key] = struct{}{}
		list[i].hello = faketls.NewKey(list[i].Key)
		list[i].Domain = strings.ToLower(list[i].Domain)
		if d := list[i].Domain; d != "" {
			s.byDomain[d] = append(s.byDomain[d], uint32(i))
		}
	}
	for d, at := range s.byDomain {
		if len(at) == len(list) {
			delete(s.byDomain, d) // no hint at all
		}
	}
	return s
}

// NewDerived prepares list for links that carry a key per SNI: inside fake-TLS the key of a client is
// secret.DeriveSNI of salt, the secret and the hello's SNI in lower case, and no other (spec client-protocols 3.1).
// Bare clients use the secret itself.
func NewDerived(list []Secret, salt []byte) *Secrets {
	s := NewSecrets(list)
	s.salt = salt
	return s
}

// Has reports whether a client that came in by another set's secret would be let in by this one too.
func (s *Secrets) Has(secret *Secret) bool {
	_, ok := s.keys[secret.Key]
	return ok
}

// Len returns how many secrets there are.
func (s *Secrets) Len() int { return len(s.list) }

// Sites says how ServerHellos look. It is immutable and shared by all loops.
type Sites struct {
	Default  *faketls.Profile            // not nil
	ByDomain map[string]*faketls.Profile // by SNI in lower case
}

// Sizing says how large the records to a fake-TLS client are (spec client-protocols 4.6).
type Sizing uint8

// The sizings.
const (
	Full Sizing = iota // as large as there are bytes
	Ramp               // small ones first, and after each silence
	Auto               // Ramp where the profile says that the site does so
)

// Port is one listener as one loop sees it.
type Port struct {
	// Fixed after start, shared with the other loops' Ports of this listener.
	Name        string
	Place       string // where it listens; the same for the Ports that a reload puts in each other's place
	Allow       codec.Protocols
	Tag         *rpc.Tag // the ad tag of its clients; nil is none
	Secrets     *Secrets
	Timing      *Timing
	ProxyHeader bool            // a PROXY protocol header comes first, always (spec client-protocols 7.2)
	SplitHello  bool            // the ServerHello leaves in two segments
	Records     Sizing          // towards fake-TLS clients
	Front       upstream.Router // of the loop; nil is the Env's
	Rules       *policy.Rules   // for the Admission; nil is none
	Gone        func()          // called once for each session that ended, after the Env's; nil is nothing

	// Screen is asked about the address that a PROXY protocol header gave; a reason other than ReasonNone closes the
	// client. nil is nothing.
	Screen func(client netip.Addr) codec.Reason

	// Owned by the loop.
	Sites  *Sites // changed by Use
	env    *Env
	recent [recentSize]uint32 // secret number plus one; 0 is none
	turn   uint8              // where the next recent secret goes
	hints  []hint
}

type hint struct {
	client uint32 // hash of the address
	secret uint32 // number plus one
}

// NewPort returns p, completed for the loop of env.
func NewPort(env *Env, p Port) *Port {
	p.env, p.Timing = env, p.Timing.filled()
	if p.Secrets.Len() > fewSecrets {
		p.hints = make([]hint, hintSlots)
	}
	return &p
}

// Use makes s the sites of hellos that come from now on. The loop calls it.
func (p *Port) Use(s *Sites) { p.Sites = s }

// fronts reports whether strangers on p may meet the front. Where no TLS is spoken a web site would be out of place.
func (p *Port) fronts() bool { return p.front() != nil && p.Allow.Has(codec.TLS) }

// front returns the way to the front, nil for none.
func (p *Port) front() upstream.Router {
	if p.Front != nil {
		return p.Front
	}
	return p.env.Front
}
