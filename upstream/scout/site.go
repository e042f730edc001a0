package scout

import (
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"epoxy/upstream/front"
)

// site is one Site as it was read, and what is known about it.
type site struct {
	// fixed
	Site
	host string // a name to resolve; else
	path string // a unix socket; else addrs holds the one address that was given
	port uint16
	sni  string // empty sends none

	// owned by New, then by Run
	addrs        []netip.AddrPort
	mine         []netip.AddrPort // addresses that were dropped last, as they are our own
	found        finding
	resolvedAt   time.Time
	resolveErr   string
	measureErr   string
	resolveFails int // in a row
	measureFails int
	resolveDue   time.Time
	measureDue   time.Time
	resolving    bool
	measuring    bool
	target       *front.Target // as published last
}

// newSite reads given; fallback is the SNI of a site without a domain.
func newSite(given Site, fallback string) (*site, error) {
	t := &site{Site: given}
	bad := func(what string) (*site, error) {
		return nil, fmt.Errorf("scout: --front %q for the domain %q: %s", given.Target, given.Domain, what)
	}
	if given.Domain != "" {
		var ok bool
		if t.Domain, ok = hostName(given.Domain); !ok {
			return bad("the domain is not a host name")
		}
	}
	switch {
	case t.Proxy > 2:
		return bad("the version of the PROXY protocol is 1 or 2, or 0 for none")
	case t.Off && t.Target != "":
		return bad("a target, and off: one of them")
	case t.Off:
		return t, nil
	}
	if path := strings.TrimPrefix(t.Target, "unix:"); strings.HasPrefix(path, "/") {
		t.path = path
	} else if what := t.parseTarget(); what != "" {
		return bad(what)
	}
	switch {
	case t.Domain != "":
		t.sni = t.Domain
	case fallback != "":
		t.sni = fallback
	default:
		t.sni = t.host
	}
	return t, nil
}

// parseTarget reads host:port and returns what is wrong with it.
func (t *site) parseTarget() string {
	host, digits, err := net.SplitHostPort(t.Target)
	if err != nil {
		return "the target must be host:port, address:port or unix:/path"
	}
	port, err := strconv.ParseUint(digits, 10, 16)
	if err != nil || port == 0 {
		return "the port must be 1..65535"
	}
	t.port = uint16(port)
	if a, err := netip.ParseAddr(host); err == nil {
		if !usable(a) {
			return "nobody can connect to this address"
		}
		t.addrs = []netip.AddrPort{netip.AddrPortFrom(a.Unmap(), t.port)}
		return ""
	}
	var ok bool
	if t.host, ok = hostName(host); !ok {
		return "the host is neither a name nor an address"
	}
	t.resolveErr = "scout: not resolved yet"
	return ""
}

// hostName returns s in lower case without a trailing dot; ok is false when it is not a host name. What
// looks like an IPv4 address is none.
func hostName(s string) (name string, ok bool) {
	name = strings.ToLower(strings.TrimSuffix(s, "."))
	if len(name) > maxDomain {
		return "", false
	}
	label := ""
	for label = range strings.SplitSeq(name, ".") {
		odd := strings.IndexFunc(label, func(c rune) bool {
			return (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_'
		})
		if odd >= 0 || len(label) == 0 || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return "", false
		}
	}
	return name, strings.Trim(label, "0123456789") != ""
}

// usable reports whether a can be the address of a site.
func usable(a netip.Addr) bool {
	return a.IsValid() && !a.IsUnspecified() && !a.IsMulticast() && a != netip.AddrFrom4([4]byte{255, 255, 255, 255})
}

// loop is the error for a target that would send every stranger back to us.
func (t *site) loop(addr, listener netip.AddrPort) error {
	is := ""
	if t.host != "" {
		is = ", which resolves to " + addr.String() + ","
	}
	return fmt.Errorf("scout: --front %s%s is our own listener %v: strangers would come back to us for ever; "+
		"name the address and port of the web site itself, or let the proxy listen elsewhere", t.Target, is, listener)
}

// attr names the site in a log line.
func (t *site) attr() slog.Attr {
	if t.Domain == "" {
		return slog.String("front", t.Target)
	}
	return slog.String("front", t.Domain+"="+t.Target)
}

// asTarget returns the site for the loops, the former one when nothing changed.
func (t *site) asTarget() *front.Target {
	if was := t.target; was == nil || !slices.Equal(was.Addrs, t.addrs) {
		t.target = &front.Target{Addrs: slices.Clone(t.addrs), Path: t.path, Off: t.Off, Proxy: t.Proxy}
	}
	return t.target
}
