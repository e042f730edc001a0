package config

import (
	"net/netip"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"

	"epoxy/codec/socks"
	"epoxy/upstream/egress"
)

// parseProxy reads a proxy's URL: socks5 or http, perhaps user and password, then an IP address with a port or the path
// of a unix socket. No error holds a part of it.
func parseProxy(text string) (egress.Proxy, error) {
	const cure = "write socks5://[USER:PASSWORD@]ADDRESS:PORT, or http:// for HTTP CONNECT, such as socks5://127.0.0.1:1080; of a unix socket socks5:///run/proxy.sock; in user and password write %XX for what a URL cannot hold, and for a comma"
	var p egress.Proxy
	u, err := url.Parse(text)
	if err != nil {
		return p, wrong("is not a URL", cure)
	}
	switch u.Scheme {
	case "socks5":
	case "http":
		p.Kind = egress.HTTP
	default:
		return p, wrong("is neither a socks5 nor an http URL", cure)
	}
	if u.User != nil {
		p.User = u.User.Username()
		p.Password, _ = u.User.Password()
		switch {
		case p.Kind == egress.SOCKS5 && !socks.ValidCredentials(p.User, p.Password):
			return egress.Proxy{}, wrong("SOCKS5 takes a user and a password of 1 to 255 bytes each", cure)
		case len(p.User) > socks.MaxCredentials || len(p.Password) > socks.MaxCredentials:
			return egress.Proxy{}, wrong("user or password is longer than 255 bytes", cure)
		case p.Kind == egress.HTTP && (p.User == "" || strings.Contains(p.User, ":")):
			return egress.Proxy{}, wrong("an HTTP proxy takes a user without a colon", cure)
		}
	}
	switch {
	case u.RawQuery != "" || u.Fragment != "" || u.Host != "" && u.Path != "" && u.Path != "/":
		return egress.Proxy{}, wrong("has something behind the address", cure)
	case u.Host == "" && len(u.Path) > maxUnixPath:
		return egress.Proxy{}, wrong("the path of the unix socket is longer than 107 bytes", "choose a shorter one")
	case u.Host == "" && filepath.IsAbs(u.Path) && u.Path != "/":
		p.Path = u.Path
		return p, nil
	}
	host := u.Host
	if u.Hostname() == "localhost" {
		host = "127.0.0.1:" + u.Port()
	}
	addr, err := netip.ParseAddrPort(host)
	switch {
	case err != nil:
		return egress.Proxy{}, wrong("has no IP address with a port; names are not looked up, except localhost", cure)
	case addr.Port() == 0 || addr.Addr().IsUnspecified() || addr.Addr().IsMulticast():
		return egress.Proxy{}, wrong("has an address that nobody can connect to", cure)
	}
	p.Addr = netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
	return p, nil
}

// proxies adds the flag of the ways out.
func (r registrar) proxies() {
	s := r.s
	r.add(&value{
		name: "upstream-proxy", kind: "URL", list: true, hidden: true,
		parse: func(text string, first bool) error {
			p, err := parseProxy(text)
			if first {
				s.UpstreamProxies = nil
			}
			if err == nil && len(s.UpstreamProxies) == egress.MaxProxies {
				err = wrong("is one proxy too many", "write "+strconv.Itoa(egress.MaxProxies)+" at most")
			}
			if err == nil {
				s.UpstreamProxies = append(s.UpstreamProxies, p)
			}
			return err
		},
		masked: func() string {
			var texts []string
			for _, p := range s.UpstreamProxies {
				texts = append(texts, p.String())
			}
			return strings.Join(texts, ",")
		},
	}, "a proxy towards Telegram: socks5:// or http://, perhaps USER:PASSWORD@, then ADDRESS:PORT or the path of a unix socket; repeatable, the next is for when one fails. Middle proxies need socks5 that tells its outgoing address")
}

// proxied finds ways out that lead nowhere.
func (c *checker) proxied() {
	if len(c.UpstreamProxies) == 0 || !c.Middle() {
		return
	}
	for _, p := range c.UpstreamProxies {
		if p.Kind == egress.SOCKS5 {
			return
		}
	}
	c.wrong("upstream-proxy", "", "middle proxies need to know the outgoing address, which an HTTP proxy does not tell",
		"add a socks5 proxy, or "+c.where("upstream")+" direct without a tag")
}
