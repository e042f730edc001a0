package config

import (
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
)

// Endpoint is a place to listen at: a TCP address or a unix socket. The zero Endpoint is nowhere.
type Endpoint struct {
	Addr netip.AddrPort // [::] with Dual for ":443"; invalid for a unix socket
	Dual bool           // the IPv6 wildcard takes IPv4 clients too
	Path string         // of a unix socket; a leading @ is Linux's abstract namespace
}

// IsZero reports whether e is nowhere.
func (e Endpoint) IsZero() bool { return e.Path == "" && !e.Addr.IsValid() }

// String returns what ParseEndpoint takes, and "off" for nowhere.
func (e Endpoint) String() string {
	switch {
	case e.Path != "":
		return "unix:" + e.Path
	case e.Dual:
		return ":" + strconv.Itoa(int(e.Addr.Port()))
	case e.Addr.IsValid():
		return e.Addr.String()
	}
	return "off"
}

// overlaps reports whether the kernel would give one client to both.
func (e Endpoint) overlaps(o Endpoint) bool {
	if e.Path != "" || o.Path != "" {
		return e.Path == o.Path
	}
	if e.Addr.Port() == 0 || e.Addr.Port() != o.Addr.Port() {
		return false
	}
	anywhere := func(a Endpoint) bool { return a.Dual }
	return e.Addr == o.Addr || (anywhere(e) && o.Addr.Addr().IsUnspecified()) || (anywhere(o) && e.Addr.Addr().IsUnspecified())
}

// ParseEndpoint reads "0.0.0.0:443", "[::]:443" (IPv6 only), ":443" (both) or "unix:/path". Port 0 lets the kernel choose.
func ParseEndpoint(text string) (Endpoint, error) {
	const cure = "write ADDRESS:PORT with an IP address, such as 0.0.0.0:443, [::]:443 or :443 for both, or unix:/path"
	if path, ok := strings.CutPrefix(text, "unix:"); ok {
		switch {
		case !filepath.IsAbs(path) && !(len(path) > 1 && path[0] == '@'):
			return Endpoint{}, wrong("the path of the unix socket is not absolute", "write unix:/run/epoxy/client.sock")
		case len(path) > maxUnixPath:
			return Endpoint{}, wrong("the path of the unix socket is longer than 107 bytes", "choose a shorter one")
		}
		return Endpoint{Path: path}, nil
	}
	colon := strings.LastIndexByte(text, ':')
	if colon < 0 {
		return Endpoint{}, wrong("has no port", cure)
	}
	host := text[:colon]
	port, err := parsePort(text[colon+1:])
	if err != nil {
		return Endpoint{}, err
	}
	if host == "" {
		return Endpoint{Addr: netip.AddrPortFrom(netip.IPv6Unspecified(), port), Dual: true}, nil
	}
	addr, err := netip.ParseAddrPort(text)
	switch {
	case err != nil && strings.Count(host, ":") > 1 && host[0] != '[':
		return Endpoint{}, wrong("an IPv6 address needs brackets", cure)
	case err != nil:
		return Endpoint{}, wrong("is not an IP address with a port", cure)
	}
	return Endpoint{Addr: netip.AddrPortFrom(addr.Addr().Unmap(), port)}, nil
}

// mustEndpoint is for the constants of limits.go, which a test parses.
func mustEndpoint(text string) Endpoint {
	e, err := ParseEndpoint(text)
	if err != nil {
		panic("config: a default of ours is wrong: " + text)
	}
	return e
}

func parsePort(text string) (uint16, error) {
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return 0, wrong("the port is not a number from 0 to 65535", "443 is usual")
	}
	return uint16(n), nil
}

// checkName returns nil for a word that may be a metric label and a key in a file.
func checkName(name string) error {
	const cure = "a name is 1 to 32 letters, digits, dots, dashes and underscores"
	if name == "" || len(name) > maxName {
		return wrong("the name before = is empty or too long", cure)
	}
	for _, c := range []byte(name) {
		if !isAlnum(c) && c != '.' && c != '-' && c != '_' {
			return wrong("the name before = has a character that names do not have", cure)
		}
	}
	return nil
}

func isAlnum(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}
