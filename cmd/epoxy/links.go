package main

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"epoxy/codec"
	"epoxy/codec/secret"
	"epoxy/engine/config"
)

// place is what links name.
type place struct {
	host  string
	port  int
	guess string // why the host may be wrong; empty when it is surely right
}

// httpsPort is what links name when nothing else is known: where fake-TLS belongs.
const httpsPort = 443

// place finds what links name: what the operator said, else the first TCP listener, its host replaced by an address
// of this machine when it listens everywhere. addrs is where the engine listens, nil when it does not run.
func (a *app) place(s *config.Settings, addrs []string) place {
	p := place{host: s.PublicHost, port: s.PublicPort}
	var first netip.AddrPort
	for i, l := range s.Listen {
		if !l.Addr.IsValid() {
			continue
		}
		first = l.Addr
		if i < len(addrs) {
			if real, err := netip.ParseAddrPort(addrs[i]); err == nil { // port 0 became a real one
				first = netip.AddrPortFrom(first.Addr(), real.Port())
			}
		}
		break
	}
	if p.port == 0 {
		p.port = cmp.Or(int(first.Port()), httpsPort)
	}
	switch {
	case p.host != "":
	case first.IsValid() && !first.Addr().IsUnspecified():
		p.host = first.Addr().String()
	default:
		p.host, p.guess = a.publicHost(!first.IsValid() || first.Addr().Is4())
	}
	return p
}

// publicHost returns this machine's best address: public before private, IPv4 before IPv6.
func (a *app) publicHost(only4 bool) (host, guess string) {
	const why = "links name an address that only a private network knows; --public-host names the right one"
	list, err := a.addrs()
	if err != nil {
		return "127.0.0.1", why
	}
	var found []netip.Addr
	for _, item := range list {
		n, ok := item.(*net.IPNet)
		if !ok {
			continue
		}
		addr, ok := netip.AddrFromSlice(n.IP)
		if addr = addr.Unmap(); ok && addr.IsGlobalUnicast() && (addr.Is4() || !only4) {
			found = append(found, addr)
		}
	}
	if len(found) == 0 {
		return "127.0.0.1", why
	}
	best := slices.MinFunc(found, func(x, y netip.Addr) int {
		return cmp.Or(rank(x.IsPrivate())-rank(y.IsPrivate()), rank(x.Is6())-rank(y.Is6()))
	})
	if best.IsPrivate() {
		guess = why
	}
	return best.String(), guess
}

func rank(last bool) int {
	if last {
		return 1
	}
	return 0
}

// variants returns the forms in which n is handed out at a port: a dd or ee secret as it is, a plain one for each allowed
// protocol, best first; ee needs a domain, and with a salt it gets the key of its domain.
func variants(n config.NamedSecret, p *config.PortSettings) []secret.Secret {
	var out []secret.Secret
	switch {
	case n.Secret.Kind != secret.Plain:
		out = append(out, n.Secret)
	default:
		if p.Allow.Has(codec.TLS) && p.Domain != "" {
			out = append(out, n.Secret.As(secret.FakeTLS, p.Domain))
		}
		if p.Allow.Has(codec.Secure) {
			out = append(out, n.Secret.As(secret.Padded, ""))
		}
		if p.Allow.Has(codec.Classic) {
			out = append(out, n.Secret)
		}
	}
	for i := range out {
		if p.SNISalt != "" && out[i].Kind == secret.FakeTLS {
			out[i].Key = secret.DeriveSNI([]byte(p.SNISalt), out[i].Key, strings.ToLower(out[i].Domain))
		}
	}
	return out
}

// linkPort is a port as links name it.
type linkPort struct {
	number   int
	settings *config.PortSettings
	secrets  []string // names; empty is all
}

// linkPorts returns the ports of s, those once that differ in their address alone. addrs is where the engine listens, nil
// when it does not run.
func linkPorts(s *config.Settings, p place, addrs []string) (all []linkPort) {
	for i, l := range s.Listen {
		if !l.Addr.IsValid() {
			continue
		}
		port := linkPort{number: int(l.Addr.Port()), settings: l.PortSettings, secrets: l.Secrets}
		if i < len(addrs) {
			if real, err := netip.ParseAddrPort(addrs[i]); err == nil {
				port.number = int(real.Port())
			}
		}
		if len(all) == 0 || port.number == 0 {
			port.number = p.port
		}
		if port.settings == nil {
			port.settings = &s.PortSettings
		}
		if !slices.ContainsFunc(all, port.same) {
			all = append(all, port)
		}
	}
	if len(all) == 0 { // unix sockets alone: somebody else listens for them
		all = append(all, linkPort{number: p.port, settings: &s.PortSettings})
	}
	return all
}

// same reports whether both make the same links.
func (l linkPort) same(o linkPort) bool {
	a, b := l.settings, o.settings
	return l.number == o.number && a.Allow == b.Allow && a.Domain == b.Domain && a.SNISalt == b.SNISalt && slices.Equal(l.secrets, o.secrets)
}

// shown says how links are printed.
type shown struct {
	whole bool // with their secrets
	qr    bool // and as pictures; only whole ones
}

// printLinks prints every link of s. addrs is where the engine listens, nil when it does not run.
func (a *app) printLinks(s *config.Settings, p place, addrs []string, how shown) {
	lacking := false
	for _, port := range linkPorts(s, p, addrs) {
		at := place{host: p.host, port: port.number}
		for _, n := range s.Secrets {
			if n.Disabled || len(port.secrets) > 0 && !slices.Contains(port.secrets, n.Name) {
				continue
			}
			lacking = lacking || n.Secret.Kind == secret.Plain && port.settings.Domain == "" && port.settings.Allow.Has(codec.TLS)
			for _, v := range variants(n, port.settings) {
				a.printLink(n.Name, v, at, how)
			}
		}
	}
	if lacking {
		fmt.Fprintln(a.out, "There is no fake-TLS (ee) link: --domain names the web site that it shall look like.")
	}
}

func (a *app) printLink(name string, v secret.Secret, p place, how shown) {
	fmt.Fprintf(a.out, "%s, %s at %s\n", name, describe(v), net.JoinHostPort(p.host, strconv.Itoa(p.port)))
	tg, tme := v.Link(p.host, p.port)
	if !how.whole {
		fmt.Fprintln(a.out, "  "+strings.Replace(tme, v.Text(), v.Masked(), 1))
		return
	}
	fmt.Fprintln(a.out, "  "+tme)
	fmt.Fprintln(a.out, "  "+tg)
	if how.qr {
		if err := printQR(a.out, tme, a.terminal); err != nil {
			fmt.Fprintln(a.out, "  (no QR code: "+err.Error()+")")
		}
	}
}

func describe(v secret.Secret) string {
	switch v.Kind {
	case secret.FakeTLS:
		return "fake-TLS (ee) as " + v.Domain
	case secret.Padded:
		return "secure (dd)"
	case secret.Plain:
	}
	return "classic"
}
