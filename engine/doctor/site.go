package doctor

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"epoxy/codec"
	"epoxy/codec/secret"
	"epoxy/engine/config"
	"epoxy/upstream/scout"
)

// domains compares the names that links carry with our own addresses.
func (d *doctor) domains(ctx context.Context) []Finding {
	if !d.away() {
		return nil
	}
	var names []string
	for _, l := range d.set.Listen {
		if l.PortSettings != nil && l.Domain != "" && l.Allow.Has(codec.TLS) {
			names = append(names, l.Domain)
		}
	}
	for _, n := range d.set.Secrets {
		if n.Secret.Kind == secret.FakeTLS && !n.Disabled {
			names = append(names, n.Secret.Domain)
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	host := len(names) // of links, behind the domains
	if _, err := netip.ParseAddr(d.set.PublicHost); err != nil && d.set.PublicHost != "" {
		names = append(names, d.set.PublicHost)
	}
	own := d.own()
	return together(len(names), func(i int) []Finding {
		ctx, cancel := context.WithTimeout(ctx, d.Probe)
		defer cancel()
		addrs, err := d.Resolve(ctx, names[i])
		if i == host {
			return one(judgeHost(names[i], addrs, own, err))
		}
		return one(judgeDomain(names[i], addrs, own, err))
	})
}

// judgeDomain is about a name that an observer sees in every hello.
func judgeDomain(name string, addrs, own []netip.Addr, err error) Finding {
	f := Finding{Check: "domain"}
	switch where := nearest(addrs, own); {
	case err != nil || len(addrs) == 0:
		f.Name, f.Level, f.Text = "domain_unknown", Warning, "the domain "+name+" does not resolve here: hellos for it look odd"
		f.Cure = "take a domain of yours that resolves to this machine, or one that exists"
	case len(own) == 0:
		f.Name, f.Level, f.Text = "own_unknown", Note, fmt.Sprintf("the domain %s is at %s; our own public address is not known, so they were not compared", name, addresses(addrs))
		f.Cure = "say --public-ip"
	case where:
		f.Text = "the domain " + name + " leads to this machine's network"
	default:
		f.Name, f.Level = "domain_elsewhere", Warning
		f.Text = fmt.Sprintf("the domain %s is at %s, this machine at %s: an observer can compare them", name, addresses(addrs), addresses(own))
		f.Cure = "take a domain of yours, with an A record (and AAAA) for this machine and a web site behind --front"
	}
	return f
}

// judgeHost is about the name that apps connect to.
func judgeHost(name string, addrs, own []netip.Addr, err error) Finding {
	f := Finding{Check: "domain", Text: "--public-host " + name + " leads here"}
	switch {
	case err != nil || len(addrs) == 0:
		f.Name, f.Level, f.Text, f.Cure = "host_unknown", Fault, "--public-host "+name+" does not resolve: apps cannot follow the links", "give it an A record for this machine"
	case len(own) == 0:
		f.Text = fmt.Sprintf("--public-host %s is at %s", name, addresses(addrs))
	case !slices.ContainsFunc(addrs, func(a netip.Addr) bool { return slices.Contains(own, a.Unmap()) }):
		f.Name, f.Level, f.Cure = "host_elsewhere", Warning, "nothing when something there passes connections on to this machine; else correct its A record"
		f.Text = fmt.Sprintf("--public-host %s is at %s, this machine at %s", name, addresses(addrs), addresses(own))
	}
	return f
}

// nearest reports whether one of addrs is in a network of ours.
func nearest(addrs, own []netip.Addr) bool {
	return slices.ContainsFunc(addrs, func(a netip.Addr) bool {
		return slices.ContainsFunc(own, func(o netip.Addr) bool { return near(a.Unmap(), o) })
	})
}

// fronts measures every front as the engine would, each by itself.
func (d *doctor) fronts(ctx context.Context) (found []Finding) {
	type look struct {
		scout.Site
		fallback string
	}
	var looks []look
	for _, l := range d.set.Listen {
		if l.PortSettings == nil || !l.Allow.Has(codec.TLS) {
			continue
		}
		if len(l.Fronts) == 0 {
			found = append(found, Finding{Check: "front", Name: "no_front", Level: Note, Text: "port " + l.Name + " has no front: strangers are read into silence, which no web site does",
				Cure: "write --front HOST:PORT with a web server of yours that has the domain's certificate"})
		}
		for _, f := range l.Fronts {
			if s, ok := site(f, l.FrontProxy); ok && !slices.Contains(looks, look{s, l.Domain}) {
				looks = append(looks, look{s, l.Domain})
			}
		}
	}
	if !d.away() {
		return found
	}
	var own []netip.AddrPort
	for _, l := range d.set.Listen {
		if l.Addr.IsValid() && l.Addr.Port() != 0 {
			own = append(own, l.Addr)
		}
	}
	return append(found, together(len(looks), func(i int) []Finding {
		l := looks[i]
		seen, err := scout.Look(ctx, scout.Options{
			Sites: []scout.Site{l.Site}, Default: l.fallback, Own: func() []netip.AddrPort { return own },
			PublicV4: d.set.PublicV4, PublicV6: d.set.PublicV6, Log: slog.New(slog.DiscardHandler),
			Resolver: d.Resolve, Dial: d.dial, Rand: d.Rand,
		})
		if err != nil {
			what, cure, _ := strings.Cut(strings.TrimPrefix(err.Error(), "scout: "), "; ")
			return one(Finding{Check: "front", Name: "front_loop", Level: Fault, Text: what, Cure: cure})
		}
		return judgeFront(seen[0])
	})...)
}

// site is f as the scout wants it; ok is false when there is nothing to look at.
func site(f config.Front, v config.Version) (s scout.Site, ok bool) {
	s = scout.Site{Domain: f.Domain, Proxy: map[config.Version]byte{config.VersionOff: 0, config.Version1: 1, config.Version2: 2}[v]}
	switch {
	case f.Off:
		return s, false
	case f.Host != "":
		s.Target = net.JoinHostPort(f.Host, strconv.Itoa(int(f.Port)))
	case f.Path != "":
		s.Target = "unix:" + f.Path
	default:
		s.Target = f.Addr.String()
	}
	return s, true
}

func judgeFront(s scout.Status) (found []Finding) {
	if s.Err != "" {
		what := strings.TrimPrefix(s.Err, "scout: ")
		f := Finding{Check: "front", Name: "front_down", Level: Fault, Text: "the front " + s.Target + ": " + what,
			Cure: "start the web server there, or name the right address by --front; strangers meet a dead end meanwhile"}
		if strings.Contains(what, "refuses a hello") {
			f.Name, f.Cure = "front_not_tls", "name a port for https, of a site that knows the domain"
		}
		return one(f)
	}
	for _, w := range s.Warnings {
		if strings.Contains(w, "other networks than our own") {
			continue // the domains' check says so
		}
		what, cure, _ := strings.Cut(w, ": ")
		found = append(found, Finding{Check: "front", Name: "front_unfit", Level: Warning, Text: "the front " + s.Target + ": " + what, Cure: cure})
	}
	if len(found) > 0 {
		return found
	}
	return one(Finding{Check: "front", Text: fmt.Sprintf("the front %s answers within %v in TLS 1.3, its first flight is of %d bytes in %d records",
		s.Target, max(s.DelayHigh.Round(time.Millisecond), time.Millisecond), s.FirstFlight, s.Records)})
}
