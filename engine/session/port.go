package session

import (
	"strings"

	"epoxy/codec"
	"epoxy/codec/faketls"
)

// Secret is one way in.
type Secret struct {
	Name   string
	Key    codec.Key
	Domain string // the SNI that its links carry; a hint for the search, not a demand

	hello *faketls.Key
}

// Secrets is the immutable set of a port's secrets, prepared for the search and shared by all loops.
type Secrets struct {
	list     []Secret
	byDomain map[string][]uint32
}

// NewSecrets prepares list. It is worth about 350 bytes a secret.
func NewSecrets(list []Secret) *Secrets {
	s := &Secrets{list: list, byDomain: make(map[string][]uint32)}
	for i := range list {
		list[i].hello = faketls.NewKey(list[i].Key)
		if d := strings.ToLower(list[i].Domain); d != "" {
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

// Len returns how many secrets there are.
func (s *Secrets) Len() int { return len(s.list) }

// Port is one listener as one loop sees it.
type Port struct {
	// Fixed after start, shared with the other loops' Ports of this listener.
	Name    string
	Allow   codec.Protocols
	Secrets *Secrets
	Profile *faketls.Profile
	Timing  *Timing

	// Owned by the loop.
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
	p.env = env
	if p.Secrets.Len() > fewSecrets {
		p.hints = make([]hint, hintSlots)
	}
	return &p
}
