package probe

import (
	"context"
	crand "crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"epoxy/codec"
	"epoxy/codec/faketls"
)

var errNoFlight = errors.New("probe: the target did not answer a good hello")

// kit is what a probe's script is made with. It belongs to one probe.
type kit struct {
	domain string
	secret *codec.Key // nil but for signed probes
	stray  codec.Key  // a secret that nobody has
	now    time.Time
	shares *faketls.Shares
	random func([]byte) // the same bytes in every run, but for signed probes

	ctx    context.Context
	wait   time.Duration // Options.ReplayAfter
	target func() (*tap, error)
}

// newKit returns the kit of p. What it draws depends on nothing but the probe's name, so that two runs send
// the same; what a secret signs must be new every time.
func newKit(p *Probe, shares *faketls.Shares) *kit {
	k := &kit{now: time.Now(), shares: shares}
	seed := sha256.Sum256([]byte("epoxy-bench probe " + p.Name))
	if p.Signed {
		_, _ = crand.Read(seed[:]) // never fails
	}
	source := rand.NewChaCha8(seed)
	k.random = func(b []byte) { _, _ = source.Read(b) } // never fails
	k.random(k.stray[:])
	return k
}

// noise returns n random bytes, of which the first is below 80 and not 16: nginx and others take those for
// a hello of SSL 2.0 or of TLS.
func (k *kit) noise(n int) []byte {
	p := make([]byte, n)
	k.random(p)
	p[0] = p[0]&0x3f | 0x40
	return p
}

// capture is a client whom the censor overhears: it sends a good hello to the target and gets its flight.
func (k *kit) capture(wire []byte) error {
	t, err := k.target()
	if err != nil {
		return fmt.Errorf("%w: %s", errNoFlight, cause(err))
	}
	defer t.drop()
	if _, err := t.Write(wire); err != nil {
		return fmt.Errorf("%w: %s", errNoFlight, cause(err))
	}
	if err := t.SetReadDeadline(time.Now().Add(dialLimit)); err != nil {
		return err
	}
	var flight []byte
	buf := make([]byte, faketls.MaxFlight)
	for {
		n, err := t.Read(buf)
		flight = append(flight, buf[:n]...)
		_, fault := faketls.CheckFlight(flight, k.secret, wire[randomAt:randomAt+32])
		switch {
		case fault == nil:
			return nil
		case fault != codec.ErrShort:
			return fmt.Errorf("%w: %w", errNoFlight, fault)
		case err != nil:
			return fmt.Errorf("%w: %s", errNoFlight, cause(err))
		}
	}
}

// pause waits for d.
func (k *kit) pause(d time.Duration) error {
	wait := time.NewTimer(d)
	defer wait.Stop()
	select {
	case <-wait.C:
		return nil
	case <-k.ctx.Done():
		return k.ctx.Err()
	}
}
