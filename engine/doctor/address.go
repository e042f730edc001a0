package doctor

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"epoxy/upstream/dcmap"
)

// machine returns the addresses of this machine's interfaces.
func (d *doctor) machine() (all []netip.Addr) {
	nets, _ := d.Addrs() // what is not told is not known
	for _, n := range nets {
		if p, err := netip.ParsePrefix(n.String()); err == nil {
			all = append(all, p.Addr().Unmap())
		}
	}
	return all
}

// own returns the addresses under which others see this machine, as far as they are known.
func (d *doctor) own() (all []netip.Addr) {
	for _, a := range []netip.Addr{d.set.PublicV4, d.set.PublicV6} {
		if a.IsValid() {
			all = append(all, a)
		}
	}
	if a, err := netip.ParseAddr(d.set.PublicHost); err == nil {
		all = append(all, a)
	}
	for _, a := range d.machine() {
		if dcmap.IsPublic(a) {
			all = append(all, a)
		}
	}
	return all
}

// address looks whether it is known how Telegram sees this machine.
func (d *doctor) address(context.Context) (found []Finding) {
	machine := d.machine()
	for _, a := range []netip.Addr{d.set.PublicV4, d.set.PublicV6} {
		switch {
		case !a.IsValid():
		case slices.Contains(machine, a):
			found = append(found, Finding{Check: "address", Text: fmt.Sprintf("--public-ip %v is an address of this machine", a)})
		case !dcmap.IsPublic(a):
			found = append(found, Finding{Check: "address", Name: "public_ip", Level: Warning,
				Text: fmt.Sprintf("--public-ip %v is an address that only a private network knows", a), Cure: "write the address that the Internet sees, or leave it out"})
		default:
			found = append(found, Finding{Check: "address", Name: "nat", Level: Note,
				Text: fmt.Sprintf("--public-ip %v is not on this machine, so there is a NAT: it has to keep the ports of connections to middle proxies", a)})
		}
	}
	public := slices.ContainsFunc(machine, func(a netip.Addr) bool { return a.Is4() && dcmap.IsPublic(a) })
	if d.set.PublicV4.IsValid() || public || !d.set.Middle() || len(d.set.UpstreamProxies) > 0 || slices.Equal(d.set.MiddleFamilies(), []dcmap.Family{dcmap.V6}) {
		return found
	}
	f := Finding{Check: "address", Name: "nat", Level: Note, Text: "no interface has a public IPv4 address, so there is a NAT; --public-ip-lookup finds the address"}
	if len(d.set.PublicLookup) == 0 {
		f.Level, f.Text = Warning, "no interface has a public IPv4 address, so there is a NAT, and links to middle proxies need the address that Telegram sees"
		f.Cure = "write --public-ip with it, or --public-ip-lookup http://v4.ident.me/"
	}
	return append(found, f)
}

// near reports whether two addresses are of one network, as an observer would say.
func near(a, b netip.Addr) bool {
	bits := 24
	if a.Is6() {
		bits = 48
	}
	p, err := a.Prefix(bits)
	return err == nil && p.Contains(b)
}

func addresses(all []netip.Addr) string { return strings.Join(texts(all), ", ") }

func texts(all []netip.Addr) (words []string) {
	for _, a := range all {
		words = append(words, a.String())
	}
	return words
}
