package load

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"epoxy/codec"
	"epoxy/codec/rpc"
	"epoxy/engine/reactor"
	"epoxy/upstream/faketg"
)

// MiddleAddr is where a middle proxy listens, and for which datacenter; 0 is 1 to 5 and their media.
type MiddleAddr struct {
	DC   codec.DC
	Addr netip.AddrPort
}

// ParseMiddleAddr reads "127.0.0.1:8888" or "-2=127.0.0.1:8888". Port 0 takes a free one.
func ParseMiddleAddr(text string) (a MiddleAddr, err error) {
	id, addr, ok := strings.Cut(text, "=")
	if !ok {
		id, addr = "0", text
	}
	dc, err := strconv.ParseInt(id, 10, 16)
	if err != nil || ok && dc == 0 {
		return a, fmt.Errorf("load: %q names no datacenter", text)
	}
	at, err := netip.ParseAddrPort(addr)
	if err != nil {
		return a, fmt.Errorf("load: %q is no address and port", addr)
	}
	return MiddleAddr{DC: codec.DC(dc), Addr: at}, nil
}

// MiddleOptions are what a fake Telegram of middle proxies is to be.
type MiddleOptions struct {
	Listen   []MiddleAddr
	Loops    int
	Config   string                // where the three resources are served over HTTP, like "127.0.0.1:0"; empty is nowhere
	Settings faketg.MiddleSettings // an empty secret is drawn
	Faults   faketg.MiddleFaults
	Log      *slog.Logger
}

// Middle is fake middle proxies on event loops of their own, with what core.telegram.org says of them. Add and Close
// belong to one goroutine, the rest to any.
type Middle struct {
	*faketg.MiddleServer
	Listening []MiddleAddr // in the order asked for
	Resources *Resources   // nil without MiddleOptions.Config

	fleet *fleet
	log   *slog.Logger
}

var errNoMiddle = errors.New("load: a middle proxy listens on an IP address")

// NewMiddle serves what o says until Close.
func NewMiddle(o MiddleOptions) (*Middle, error) {
	if len(o.Settings.Secret) == 0 {
		o.Settings.Secret = NewMiddleSecret()
	}
	fl, err := newFleet(o.Loops, o.Log)
	if err != nil {
		return nil, fmt.Errorf("load: start: %w", err)
	}
	m := &Middle{MiddleServer: faketg.NewMiddleServer(o.Settings, o.Faults), fleet: fl, log: o.Log}
	for _, a := range o.Listen {
		if _, err := m.Add(a); err != nil {
			m.Close()
			return nil, err
		}
	}
	if o.Config != "" {
		if m.Resources, err = NewResources(o.Config); err != nil {
			m.Close()
			return nil, err
		}
		m.Publish(m.Listening...)
	}
	return m, nil
}

// NewMiddleSecret draws a secret as long as today's real one (spec upstream-protocols 1.2).
func NewMiddleSecret() []byte {
	secret := make([]byte, middleSecret)
	for rpc.Selector(secret) == 0 {
		random(secret)
	}
	return secret
}

// Add listens on one address more, which Publish has to tell.
func (m *Middle) Add(a MiddleAddr) (MiddleAddr, error) {
	if !a.Addr.IsValid() {
		return a, errNoMiddle
	}
	at, err := m.fleet.listen(a.Addr.String(), m.log, func(r *reactor.Reactor) reactor.Acceptor { return m.On(r, a.DC) })
	if err != nil {
		return a, err
	}
	a.Addr = at
	m.Listening = append(m.Listening, a)
	return a, nil
}

// Publish serves the secret, and the lists of these addresses, from now on.
func (m *Middle) Publish(addrs ...MiddleAddr) {
	var v4, v6 []MiddleAddr
	for _, a := range addrs {
		if a.Addr.Addr().Unmap().Is4() {
			v4 = append(v4, a)
		} else {
			v6 = append(v6, a)
		}
	}
	m.Resources.Set(SecretPath, m.Settings().Secret)
	m.Resources.Set(ConfigPath, MiddleList(v4))
	m.Resources.Set(ConfigV6Path, MiddleList(v6))
}

// SetSecret is the secret of new links, and of the resource, from now on.
func (m *Middle) SetSecret(secret []byte) {
	o := m.Settings()
	o.Secret = secret
	m.Set(o)
	if m.Resources != nil {
		m.Resources.Set(SecretPath, secret)
	}
}

// MiddleList writes a proxy configuration, the lines of a datacenter together (spec upstream-protocols 1.3).
func MiddleList(addrs []MiddleAddr) []byte {
	lines := map[codec.DC][]netip.AddrPort{}
	for _, a := range addrs {
		if a.DC != 0 {
			lines[a.DC] = append(lines[a.DC], a.Addr)
			continue
		}
		for dc := codec.DC(1); dc <= 5; dc++ {
			lines[dc] = append(lines[dc], a.Addr)
			lines[-dc] = append(lines[-dc], a.Addr)
		}
	}
	ids := slices.SortedFunc(maps.Keys(lines), func(a, b codec.DC) int {
		return cmp.Or(cmp.Compare(a.Abs(), b.Abs()), cmp.Compare(b, a))
	})
	byDefault := codec.DC(2)
	if len(ids) > 0 && lines[byDefault] == nil {
		byDefault = ids[0]
	}
	text := fmt.Appendf(nil, "# force_probability 10 10\ndefault %d;\n", byDefault)
	for _, dc := range ids {
		for _, addr := range lines[dc] {
			text = fmt.Appendf(text, "proxy_for %d %s;\n", dc, addr)
		}
	}
	return text
}

// Close ends the listeners and all links.
func (m *Middle) Close() {
	if m.Resources != nil {
		m.Resources.Close()
	}
	m.fleet.stop()
}
