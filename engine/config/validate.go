package config

import (
	"errors"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"epoxy/codec"
	"epoxy/codec/secret"
)

// Validate names what is unnamed, then returns every mistake joined (errors.Join), nil when there is none: what
// the values' parsers refused, and what does not fit together. Each is a *Mistake. Call it once, after all sources.
func (s *Settings) Validate() error {
	c := checker{Settings: s, errs: append([]error(nil), s.mistakes...)}
	c.listeners()
	c.ports()
	c.secrets()
	c.upstream()
	c.middle()
	c.split()
	c.proxied()
	c.timings()
	c.door()
	if c.Watch && c.File == "" {
		c.wrong("watch", "", "there is no file to watch", "add --config FILE, or leave this out")
	}
	return errors.Join(slices.CompactFunc(c.errs, func(a, b error) bool { return a.Error() == b.Error() })...)
}

// checker gathers the mistakes of one Validate.
type checker struct {
	*Settings
	errs []error
}

func (c *checker) wrong(flag, text, problem, cure string) {
	c.errs = append(c.errs, &Mistake{Where: c.where(flag), Value: text, Problem: problem, Cure: cure})
}

func (c *checker) listeners() {
	if !c.ServeBack.IsZero() && !c.listens && len(c.Listen) == 1 && c.Listen[0].Endpoint == mustEndpoint(DefaultListen) {
		c.Listen = nil // nobody asked for clients
	}
	c.listens = true
	if len(c.Listen) == 0 && len(c.mistakes) == 0 && c.ServeBack.IsZero() {
		c.wrong("listen", "", "there is nowhere to listen", "write --listen :443")
	}
	names := map[string]bool{}
	for i := range c.Listen {
		l := &c.Listen[i]
		if l.Name == "" {
			l.Name = "port" + strconv.Itoa(i+1)
		}
		if names[l.Name] {
			c.wrong("listen", l.String(), "another port has this name", "write NAME=ADDR with names that differ")
		}
		names[l.Name] = true
		for _, other := range c.Listen[:i] {
			if l.overlaps(other.Endpoint) {
				c.wrong("listen", l.Endpoint.String(), "is the same place as "+other.Endpoint.String(), "name each place once; :PORT is IPv4 and IPv6 together")
			}
		}
	}
}

func (c *checker) secrets() {
	names, keys := map[string]bool{}, map[codec.Key]string{}
	for i := range c.Secrets {
		n := &c.Secrets[i]
		if n.Name == "" {
			n.Name = "secret" + strconv.Itoa(i+1)
		}
		if names[n.Name] {
			c.wrong("secret", n.Name, "another secret has this name", "write NAME=SECRET with names that differ")
		}
		names[n.Name] = true
		if first, twice := keys[n.Secret.Key]; twice {
			c.wrong("secret", n.Name, "has the same key as secret "+first, "give each name a key of its own; epoxy secret makes one")
		}
		keys[n.Secret.Key] = n.Name
		if p := protocolOf(n.Secret.Kind); p != codec.ProtocolNone && !c.served(n.Name, p) {
			c.wrong("secret", n.Name, "its links need "+p.String()+", which "+c.where("allow")+" "+c.Allow.String()+" leaves out",
				"add "+p.String()+" to "+c.where("allow")+", or give the plain 32 hex digits")
		}
		before := len(c.mistakes)
		c.errs = append(c.errs, n.secretWords(c.Settings).apply(c.Settings, n.own, c.where("secret")+" "+n.Name, "secret")...)
		c.errs = append(c.errs, c.mistakes[before:]...)
	}
	for _, l := range c.Listen {
		for _, name := range l.Secrets {
			if len(c.Secrets) > 0 && !names[name] {
				c.wrong("listen", l.Name, "serves a secret called "+strconv.Quote(harmlessWord(name))+", which is not there", "write names of secrets, such as "+c.Secrets[0].Name)
			}
		}
	}
}

// served reports whether a port lets clients with this secret in by this protocol.
func (c *checker) served(name string, p codec.Protocol) bool {
	return slices.ContainsFunc(c.Listen, func(l Listen) bool {
		return l.Allow.Has(p) && (len(l.Secrets) == 0 || slices.Contains(l.Secrets, name))
	})
}

// ports puts in force what each port has: the program's settings, and its own over them.
func (c *checker) ports() {
	for i := range c.Listen {
		l := &c.Listen[i]
		l.PortSettings = c.PortSettings.clone()
		before := len(c.mistakes)
		c.errs = append(c.errs, l.portWords(c.Settings).apply(c.Settings, l.own, c.where("listen")+" "+l.Name, "port")...)
		c.errs = append(c.errs, c.mistakes[before:]...)
		if !l.Allow.Has(codec.TLS) && len(c.Listen) > 1 && !slices.ContainsFunc(l.own, func(o setting) bool { return o.name == "front" }) {
			l.Fronts = nil // those of the program are for the ports that look like TLS
		}
		if l.Allow == 0 {
			c.wrong("allow", "", "allows nothing", "write one or more of classic, secure, tls")
		}
		c.fronts(l)
		c.policy(l)
		if l.Tag != nil && c.Upstream == UpstreamDirect {
			c.wrong("tag", showTag(l.Tag), "is never used with "+c.where("upstream")+" direct: only middle proxies carry it", "leave one of them out")
		}
	}
}

// protocolOf returns the one protocol that links of this kind use, none for a plain secret, which may use any.
func protocolOf(k secret.Kind) codec.Protocol {
	switch k {
	case secret.Padded:
		return codec.Secure
	case secret.FakeTLS:
		return codec.TLS
	case secret.Plain:
	}
	return codec.ProtocolNone
}

func (c *checker) upstream() {
	if c.BindV4.IsValid() && c.Prefer == OnlyV6 {
		c.wrong("bind-v4", c.BindV4.String(), "is never used with "+c.where("prefer")+" only-v6", "leave one of them out")
	}
	if c.BindV6.IsValid() && c.Prefer == OnlyV4 {
		c.wrong("bind-v6", c.BindV6.String(), "is never used with "+c.where("prefer")+" only-v4", "leave one of them out")
	}
	for dc, addrs := range c.DC {
		if !usable(addrs, c.Prefer) {
			c.wrong("dc", strconv.Itoa(int(dc)), "has no address that "+c.where("prefer")+" "+c.Prefer.String()+" would use", "add one of that family")
		}
	}
}

func (c *checker) middle() {
	if c.TagOptional && !c.Tagged() {
		c.wrong("tag-optional", "", "there is no tag", "add "+c.where("tag")+", or leave this out")
	}
	switch {
	case c.MiddleV6 && c.Prefer == OnlyV4:
		c.wrong("middle-v6", "", "is never used with "+c.where("prefer")+" only-v4", "leave one of them out")
	case c.Middle() && !c.MiddleV6 && c.Prefer == OnlyV6:
		c.wrong("prefer", OnlyV6.String(), "middle proxies are used over IPv4 only", "add "+c.where("middle-v6"))
	}
}

func usable(addrs []netip.AddrPort, prefer Prefer) bool {
	for _, a := range addrs {
		switch prefer {
		case PreferV4, PreferV6:
			return true
		case OnlyV4:
			if a.Addr().Is4() {
				return true
			}
		case OnlyV6:
			if a.Addr().Is6() {
				return true
			}
		}
	}
	return false
}

func (c *checker) timings() {
	for _, t := range []struct {
		flag  string
		value time.Duration
	}{
		{"handshake-timeout", c.HandshakeTimeout}, {"first-byte-timeout", c.FirstByteTimeout}, {"idle-timeout", c.IdleTimeout},
		{"stall-timeout", c.StallTimeout}, {"clock-window", c.ClockWindow},
		{"front-silence", c.FrontSilence}, {"front-idle", c.FrontIdle}, {"front-time", c.FrontTime}, {"proxy-protocol-timeout", c.ProxyTimeout},
	} {
		if t.value <= 0 {
			c.wrong(t.flag, short(t.value), "is no time at all", "write a duration such as 10s or 20m")
		}
	}
	if c.FrontMeasure != 0 && c.FrontMeasure < minMeasure {
		c.wrong("front-measure", short(c.FrontMeasure), "would show on the front", "write 10m or more, or 0 for never")
	}
	if c.DeferAccept%time.Second != 0 {
		c.wrong("defer-accept", short(c.DeferAccept), "is not in whole seconds", "write 0, 1s, 2s, ...")
	}
}
