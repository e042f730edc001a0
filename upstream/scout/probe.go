package scout

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"epoxy/codec"
	"epoxy/codec/faketls"
	"epoxy/codec/proxyproto"
)

// probe asks one site. It belongs to the goroutine that measures.
type probe struct {
	dialer  func(ctx context.Context, network, address string) (net.Conn, error)
	lookup  func(ctx context.Context, host string) ([]netip.Addr, error)
	rand    func([]byte)
	public  [2]netip.Addr
	network string
	addrs   []string // the first that can be reached stays in front
	header  []byte   // sent first
	sni     string
	shares  *faketls.Shares
}

// newProbe prepares a measurement of t as it is now.
func (s *Scout) newProbe(t *site) *probe {
	p := &probe{dialer: s.dial, lookup: s.lookup, rand: s.rand, public: s.public, network: "tcp", sni: t.sni}
	if t.path != "" {
		p.network, p.addrs = "unix", []string{t.path}
	}
	for _, a := range t.addrs {
		p.addrs = append(p.addrs, a.String())
	}
	switch t.Proxy { // no addresses: we speak for ourselves
	case 1:
		p.header = proxyproto.AppendV1(nil, netip.AddrPort{}, netip.AddrPort{})
	case 2:
		p.header = proxyproto.AppendV2(nil, netip.AddrPort{}, netip.AddrPort{})
	}
	return p
}

// dial connects to the first address that can be reached, and sends the PROXY header. began is when that
// connection was begun. The connection ends with ctx.
func (p *probe) dial(ctx context.Context) (conn net.Conn, began time.Time, err error) {
	for i, addr := range p.addrs {
		began = time.Now()
		short, cancel := context.WithTimeout(ctx, dialTime)
		conn, err = p.dialer(short, p.network, addr)
		cancel()
		if err != nil {
			continue
		}
		p.addrs[0], p.addrs[i] = p.addrs[i], p.addrs[0]
		if err = conn.SetDeadline(time.Now().Add(answerTime)); err == nil && len(p.header) > 0 {
			_, err = conn.Write(p.header)
		}
		if err != nil {
			conn.Close()
			return nil, began, err
		}
		return conn, began, nil
	}
	return nil, began, err
}

// sample is one answer. delay is from the begin of the connection to its first byte: what a stranger
// waits that we splice there.
type sample struct {
	faketls.Answer
	delay time.Duration
}

// ask sends one hello and learns from the answer. Errors: those that unfit knows; errNotTLS for another
// answer; anything else for none.
func (p *probe) ask(ctx context.Context, hello faketls.ClientHello) (sample, error) {
	if p.shares == nil {
		shares, err := faketls.NewShares(p.rand)
		if err != nil {
			return sample{}, err
		}
		p.shares = shares
	}
	hello.Domain, hello.Shares = p.sni, p.shares
	p.rand(hello.Secret[:]) // the hello's random shall be one
	wire, err := hello.Append(nil, p.rand)
	if err != nil {
		return sample{}, err
	}
	parsed, _, err := faketls.ParseHello(wire, nil)
	if err != nil {
		return sample{}, err
	}
	conn, began, err := p.dial(ctx)
	if err != nil {
		return sample{}, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if _, err := conn.Write(wire); err != nil {
		return sample{}, err
	}
	flight, first, err := readFlight(conn)
	if err != nil {
		return sample{}, err
	}
	answer, err := faketls.Learn(flight, parsed.SessionID)
	if err != nil {
		return sample{}, explain(flight, err)
	}
	return sample{answer, first.Sub(began)}, nil
}

// readFlight reads until the site is silent, ends, or has sent maxFlight bytes. conn has the deadline for
// the first byte; first is when that came. The error is for nothing at all.
func readFlight(conn net.Conn) (flight []byte, first time.Time, err error) {
	end := time.Now().Add(answerTime)
	buf := make([]byte, maxFlight)
	n := 0
	for n < len(buf) {
		var got int
		got, err = conn.Read(buf[n:])
		if n == 0 {
			first = time.Now()
		}
		n += got
		if err != nil {
			break
		}
		quiet := time.Now().Add(silence)
		if quiet.After(end) {
			quiet = end
		}
		_ = conn.SetReadDeadline(quiet) // when that fails, so does Read
	}
	if n == 0 {
		return nil, first, fmt.Errorf("scout: no answer to a hello: %w", err)
	}
	return buf[:n], first, nil
}

var errNotTLS = errors.New("scout: the site refuses a hello")

// explain says what the operator needs to know about an error of faketls.Learn.
func explain(flight []byte, err error) error {
	const alert = 0x15
	switch {
	case errors.Is(err, codec.ErrShort):
		return fmt.Errorf("scout: the answer to a hello ends after %d bytes, in the middle: %w", len(flight), err)
	case unfit(err) != "":
		return err
	case len(flight) >= 7 && flight[0] == alert:
		return fmt.Errorf("%w: it sent alert %d; does it know the domain?", errNotTLS, flight[6])
	}
	return fmt.Errorf("%w: it sent %q...; is it a port for https?", errNotTLS, flight[:min(len(flight), 16)])
}
