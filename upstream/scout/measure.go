package scout

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"epoxy/codec/faketls"
)

// finding is what one measurement found. It is also what the cache keeps.
type finding struct {
	Measured    time.Time
	Profile     *faketls.Profile // nil when the site cannot be imitated
	Warnings    []string
	ALPN        string
	TLS13       bool
	TLS12       bool
	FirstFlight int
	Records     int
	DelayLow    time.Duration
	DelayHigh   time.Duration

	cached bool // by a former process
}

// What the operator should change.
const (
	warnOldTLS      = "the site has no TLS 1.3, which all clients offer: switch it on there or take another site"
	warnRetry       = "the site wants a key share that clients do not send (HelloRetryRequest): let it take x25519"
	warnNotMirrored = "the site does not mirror the session id, as if something stood before it: take another site"
	warnClassic     = "the site does not take clients that offer x25519 alone: let it take x25519"
	warnFlight      = "the site's first flight is of %d bytes, more than the 10240 that clients accept from us: use a shorter certificate chain there"
	warnName        = "the site's certificate does not name %s: give it one that does, or take the name that it has"
	warnNetwork     = "%s resolves to other networks than our own address %v, which an observer can compare: use a name that resolves to this machine"
)

// measure finds out how the site answers. An error says that it did not answer, or not as TLS does; then
// nothing is known.
func (p *probe) measure(ctx context.Context) (finding, error) {
	ctx, cancel := context.WithTimeout(ctx, measureTime)
	defer cancel()
	var f finding
	if err := p.hellos(ctx, &f); err != nil {
		return finding{}, err
	}
	records := p.visit(ctx, &f)
	f.TLS12 = p.takesTLS12(ctx)
	if f.Profile != nil {
		f.Profile.Ramp = ramp(records)
	}
	if w := p.otherNetwork(ctx); w != "" {
		f.Warnings = append(f.Warnings, w)
	}
	return f, nil
}

// hellos sends those of clients and learns from the answers: the usual one several times, one with
// another order of suites, and one without the hybrid share.
func (p *probe) hellos(ctx context.Context, f *finding) error {
	var seen []sample
	for range repeats {
		s, err := p.ask(ctx, faketls.ClientHello{Shape: faketls.Browser})
		if w := unfit(err); w != "" {
			f.TLS13 = w != warnOldTLS
			f.Warnings = append(f.Warnings, w)
			return nil
		}
		if err != nil {
			return err
		}
		seen = append(seen, s)
	}
	first := seen[0]
	f.TLS13 = true
	profile := first.Profile
	if s, err := p.ask(ctx, faketls.ClientHello{Shape: faketls.Browser, AES256First: true}); err == nil {
		if first.Suite == 0x1301 && s.Suite == 0x1302 {
			profile.Suite = 0 // it takes the client's first
		}
		seen = append(seen, s)
	}
	switch s, err := p.ask(ctx, faketls.ClientHello{Shape: faketls.Classic517}); {
	case err == nil:
		seen = append(seen, s)
	case unfit(err) != "", errors.Is(err, errNotTLS):
		f.Warnings = append(f.Warnings, warnClassic)
	}
	low, high := first.Sum, first.Sum
	for _, s := range seen {
		if s.Suite == first.Suite { // another hash makes another length
			low, high = min(low, s.Sum), max(high, s.Sum)
		}
	}
	if low > clientsAccept {
		f.Warnings = append(f.Warnings, fmt.Sprintf(warnFlight, low))
	}
	f.FirstFlight, f.Records = low, first.Records
	profile.AppData = min(max(low, faketls.MinAppData), faketls.MaxAppData)
	profile.Spread = uint8(min(high-low, maxSpread, faketls.MaxAppData-profile.AppData))
	f.DelayLow, f.DelayHigh = delays(seen)
	profile.DelayLow, profile.DelayHigh = uint16(f.DelayLow.Milliseconds()), uint16(f.DelayHigh.Milliseconds())
	f.Profile = &profile
	return nil
}

// unfit returns what to tell the operator when err says that a site cannot be imitated.
func unfit(err error) string {
	switch {
	case errors.Is(err, faketls.ErrOldTLS):
		return warnOldTLS
	case errors.Is(err, faketls.ErrRetry):
		return warnRetry
	case errors.Is(err, faketls.ErrNotMirrored):
		return warnNotMirrored
	}
	return ""
}

// delays returns the least and the greatest delay, both 0 for a site that always answers at once. The
// slowest of several is left out: one lost packet is not the site's way.
func delays(seen []sample) (low, high time.Duration) {
	var all []time.Duration
	for _, s := range seen {
		all = append(all, min(s.delay, mostDelay))
	}
	slices.Sort(all)
	if len(all) > repeats {
		all = all[:len(all)-1]
	}
	if low, high = all[0], all[len(all)-1]; high < leastDelay {
		return 0, 0
	}
	return low, high
}

// otherNetwork compares the addresses of the name that clients send with our own, where both are known,
// and returns a warning when none is near.
func (p *probe) otherNetwork(ctx context.Context) string {
	if p.sni == "" || !p.public[0].IsValid() && !p.public[1].IsValid() {
		return ""
	}
	addrs, err := p.lookup(ctx, p.sni)
	if err != nil {
		return "" // who cannot resolve it cannot compare
	}
	var far netip.Addr
	for _, a := range addrs {
		ours, bits := p.public[0], networkV4
		if a.Is6() {
			ours, bits = p.public[1], networkV6
		}
		if !ours.IsValid() {
			continue
		}
		if near, err := ours.Prefix(bits); err == nil && near.Contains(a) {
			return ""
		}
		far = ours
	}
	if !far.IsValid() {
		return ""
	}
	return fmt.Sprintf(warnNetwork, p.sni, far)
}
