package scout

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"time"
)

var (
	errNoAddress = errors.New("scout: the name has no usable address")
	errOnlyOurs  = errors.New("scout: the name resolves to our own listener only")
)

// resolved is the answer to one question for a site's addresses.
type resolved struct {
	site  *site
	addrs []netip.AddrPort // at least one, without err
	err   error
}

// resolve asks for the addresses of t's host. It changes nothing.
func (s *Scout) resolve(ctx context.Context, t *site) resolved {
	addrs, err := s.lookup(ctx, t.host)
	r := resolved{site: t, err: err}
	for _, a := range addrs {
		r.addrs = append(r.addrs, netip.AddrPortFrom(a, t.port))
	}
	return r
}

// lookup returns the usable addresses of host, at least one, in the order of the answer.
func (s *Scout) lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	ctx, cancel := context.WithTimeout(ctx, resolveTime)
	defer cancel()
	all, err := s.resolver(ctx, host)
	if err != nil {
		return nil, err
	}
	var addrs []netip.Addr
	for _, a := range all {
		if a = a.Unmap(); usable(a) && !slices.Contains(addrs, a) && len(addrs) < maxAddrs {
			addrs = append(addrs, a)
		}
	}
	if len(addrs) == 0 {
		return nil, errNoAddress
	}
	return addrs, nil
}

// settle takes an answer. Addresses of ours are dropped; without a usable one the old ones stay, as long
// as they are not ours. The same addresses in another order are no change.
func (s *Scout) settle(r resolved, local ownAddrs, now time.Time) {
	t, err := r.site, r.err
	others, mine := local.split(r.addrs)
	s.dropped(t, mine)
	switch {
	case err == nil && len(others) == 0:
		err = errOnlyOurs
		fallthrough
	case err != nil:
		others, _ = local.split(t.addrs)
	}
	if !sameSet(others, t.addrs) {
		if t.addrs != nil {
			s.log.Info("front: other addresses", t.attr(), "addrs", others)
		}
		t.addrs = others
	}
	if err != nil {
		wait := resolveRetries[min(t.resolveFails, len(resolveRetries)-1)]
		t.resolveFails++
		if t.resolveErr != err.Error() {
			s.log.Warn("front: not resolved", t.attr(), "err", err, "again_in", wait)
		}
		t.resolveErr, t.resolveDue = err.Error(), now.Add(min(wait, s.every))
		return
	}
	t.resolveErr, t.resolveFails, t.resolvedAt = "", 0, now
	t.resolveDue = now.Add(s.spread(s.every))
}

// dropped logs addresses of ours, once until they change.
func (s *Scout) dropped(t *site, mine []netip.AddrPort) {
	if len(mine) > 0 && !sameSet(mine, t.mine) {
		s.log.Error("front: the name resolves to our own listener; that address is not used, or strangers would come back to us", t.attr(), "addrs", mine)
	}
	t.mine = mine
}

// spread returns d, a tenth more or less.
func (s *Scout) spread(d time.Duration) time.Duration {
	return d + time.Duration(float64(d/jitterPart)*(2*s.jitter()-1))
}

// sameSet reports whether two lists without doubles hold the same addresses.
func sameSet(a, b []netip.AddrPort) bool {
	return len(a) == len(b) && !slices.ContainsFunc(a, func(x netip.AddrPort) bool { return !slices.Contains(b, x) })
}
