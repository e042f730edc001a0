package config

import (
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"epoxy/codec"
)

// Front is where strangers are sent: a web site that the operator names.
type Front struct {
	Domain string         // strangers who ask for it, lower case; empty is all that no other Front names
	Host   string         // a name that DNS resolves, with Port; or
	Port   uint16         // of Host
	Addr   netip.AddrPort // an address; or
	Path   string         // a unix socket
	Off    bool           // nowhere: they are read into silence
}

// String returns what ParseFront takes.
func (f Front) String() string {
	target := "none"
	switch {
	case f.Host != "":
		target = net.JoinHostPort(f.Host, strconv.Itoa(int(f.Port)))
	case f.Path != "":
		target = "unix:" + f.Path
	case f.Addr.IsValid():
		target = f.Addr.String()
	}
	if f.Domain == "" {
		return target
	}
	return f.Domain + "=" + target
}

// ParseFront reads "[DOMAIN=]TARGET", TARGET being HOST:PORT, IP:PORT, unix:/path or none.
func ParseFront(text string) (Front, error) {
	const cure = "write HOST:PORT, IP:PORT or unix:/path, such as www.example.com:443 or 127.0.0.1:8443, DOMAIN= before it for one domain, or none"
	domain, target, named := strings.Cut(text, "=")
	if !named || strings.HasPrefix(text, "unix:") {
		domain, target = "", text
	}
	var f Front
	if named && domain != "" {
		d, err := parseDomain(domain)
		if err != nil {
			return Front{}, err
		}
		f.Domain = d
	}
	if target == "none" {
		f.Off = true
		return f, nil
	}
	if path, ok := strings.CutPrefix(target, "unix:"); ok {
		if !filepath.IsAbs(path) && !(len(path) > 1 && path[0] == '@') || len(path) > maxUnixPath {
			return Front{}, wrong("the path of the unix socket is not absolute, or longer than 107 bytes", cure)
		}
		f.Path = path
		return f, nil
	}
	host, portText, err := net.SplitHostPort(target)
	if err != nil || host == "" {
		return Front{}, wrong("is not a host with a port", cure)
	}
	port, err := parsePort(portText)
	if err != nil || port == 0 {
		return Front{}, wrong("the port is not a number from 1 to 65535", cure)
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		if addr.IsUnspecified() || addr.IsMulticast() {
			return Front{}, wrong("is an address that nobody can connect to", cure)
		}
		f.Addr = netip.AddrPortFrom(addr.Unmap(), port)
		return f, nil
	}
	if f.Host, err = parseHost(strings.ToLower(strings.TrimSuffix(host, "."))); err != nil {
		return Front{}, wrong("the host is neither an address nor a name", cure)
	}
	f.Port = port
	return f, nil
}

// Records says how much goes into one TLS record towards a fake-TLS client.
type Records uint8

// The ways. Auto does as the front was seen to do, full without one.
const (
	RecordsAuto Records = iota
	RecordsFull
	RecordsDRS
)

// Version is the version of a PROXY protocol header.
type Version uint8

// The versions.
const (
	VersionOff Version = iota
	Version1
	Version2
)

// Delay says whether fake-TLS clients are answered as late as the front answers.
type Delay uint8

// The choices. Auto does when the front was seen to need 5 ms or more.
const (
	DelayAuto Delay = iota
	DelayOff
)

var (
	recordsWords = []string{RecordsAuto: "auto", RecordsFull: "full", RecordsDRS: "drs"}
	versionWords = []string{VersionOff: "off", Version1: "v1", Version2: "v2"}
	delayWords   = []string{DelayAuto: "auto", DelayOff: "off"}
)

// String returns the word of the flag.
func (r Records) String() string { return word(recordsWords, r) }

// String returns the word of the flag.
func (v Version) String() string { return word(versionWords, v) }

// String returns the word of the flag.
func (d Delay) String() string { return word(delayWords, d) }

// parsePrefix reads a network such as 10.0.0.0/8, or one address. Bits behind the prefix are a slip, not a network.
func parsePrefix(text string) (netip.Prefix, error) {
	const cure = "write a network such as 10.0.0.0/8 or 2001:db8::/32, or one address"
	if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	switch {
	case err != nil:
		return netip.Prefix{}, wrong("is neither a network nor an address", cure)
	case p != p.Masked():
		return netip.Prefix{}, wrong("has bits behind the prefix; the network is "+p.Masked().String(), cure)
	}
	return p, nil
}

// parseMSS reads the size of a segment.
func parseMSS(text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n != 0 && (n < minMSS || n > maxMSS) {
		return 0, wrong("is not a size of a segment", "write 0 for off, or a number from 88 to 1460, such as 92")
	}
	return n, nil
}

// costume adds what strangers see of one port.
func (r registrar) costume() {
	p := r.p
	r.add(&value{
		name: "front", kind: "[DOMAIN=]TARGET", list: true,
		parse: func(text string, first bool) error {
			f, err := ParseFront(text)
			if first {
				p.Fronts = nil
			}
			if err == nil && !slices.Contains(p.Fronts, f) {
				p.Fronts = append(p.Fronts, f)
			}
			return err
		},
		show: func() string {
			var texts []string
			for _, f := range p.Fronts {
				texts = append(texts, f.String())
			}
			return strings.Join(texts, ",")
		},
	}, "the web site that whoever does not hold a secret is connected with: HOST:PORT, IP:PORT, unix:/path or none, DOMAIN= before it for those who ask for that domain; repeatable. Without it strangers are read into silence")
	choice(r, &p.FrontProxy, "front-proxy-protocol", "VERSION", versionWords,
		"tell the front who the stranger is by a PROXY protocol header: off, v1, v2; the front has to expect it")
	choice(r, &p.Records, "record-sizing", "HOW", recordsWords,
		"TLS records towards clients: full (16 KiB, least CPU), drs (small ones first and after a silence, as many web servers do), auto (as the front was seen to do)")
	r.boolean(&p.SplitHello, "split-hello", "send the answer to a fake-TLS hello in two segments, for networks that look at the first one only")
	scalar(r, &p.HandshakeMSS, "handshake-mss", "BYTES", parseMSS, strconv.Itoa, "make clients send their hello in segments of about so many bytes, for networks that do not put them together; 0 is off. From 576 on it costs one round trip; below that all segments of the connection are so small, both ways")
	r.add(&value{
		name: "proxy-protocol", kind: "CIDR,...", list: true,
		parse: func(text string, first bool) error {
			if first {
				p.ProxyFrom = nil
			}
			for word := range strings.SplitSeq(text, ",") {
				network, err := parsePrefix(strings.TrimSpace(word))
				if err != nil {
					return err
				}
				if !slices.Contains(p.ProxyFrom, network) {
					p.ProxyFrom = append(p.ProxyFrom, network)
				}
			}
			return nil
		},
		show: func() string {
			var texts []string
			for _, network := range p.ProxyFrom {
				texts = append(texts, network.String())
			}
			return strings.Join(texts, ",")
		},
	}, "balancers in these networks send a PROXY protocol header (v1 or v2) that says who the client is; nobody else may connect then. A unix socket is trusted with it")
	r.add(&value{
		name: "sni-salt", kind: "TEXT", hidden: true,
		parse: func(text string, _ bool) error {
			p.SNISalt = text
			return nil
		},
	}, "make a key of its own for every domain (SNI) out of each secret, as the Erlang proxy's per_sni_secrets does: only ee links made with the same salt work then")
}

// front adds the flags of what strangers get, for all ports together.
func (r registrar) front() {
	s := r.s
	r.duration(&s.FrontSilence, "front-silence", "who connects and says nothing is handed to the front after this")
	r.duration(&s.FrontIdle, "front-idle", "a stranger and the front who say nothing to each other are parted after this")
	r.duration(&s.FrontTime, "front-time", "a stranger and the front are parted after this, whatever they say")
	scalar(r, &s.FrontMax, "front-max", "N", parseInt(0, maxClients), strconv.Itoa, "strangers at the front at once, more are closed; 0 is a quarter of the clients, 4096 at most")
	r.duration(&s.FrontMeasure, "front-measure", "how often the front is measured, so that clients are answered in its manner; 0 is never")
	choice(r, &s.FrontDelay, "front-delay", "WHEN", delayWords,
		"answer fake-TLS clients as late as the front answers: auto (when it needs 5 ms or more), off")
	r.duration(&s.ProxyTimeout, "proxy-protocol-timeout", "from a balancer's connect to its whole PROXY protocol header")
	scalar(r, &s.ReplayMemory, "replay-memory", "SIZE", parseReplay, showMemory, "memory for recognising copied handshakes for 48 h; 64M hold about 4 million")
}

// parseReplay reads the size of the replay store.
func parseReplay(text string) (int64, error) {
	n, err := parseBytes(text)
	if err != nil || n < minReplay || n > maxReplay {
		return 0, wrong("is not a size of 1 MiB to 64 GiB", "write 64M or 1G")
	}
	return n, nil
}

// fronts checks what a port says of its fronts against the rest.
func (c *checker) fronts(p *Listen) {
	seen := map[string]bool{}
	for _, f := range p.Fronts {
		if seen[f.Domain] {
			what := "another front is for the same domain"
			if f.Domain == "" {
				what = "another front is for everybody, too"
			}
			c.wrong("front", f.String(), what, "name each domain once, and one target without a domain")
		}
		seen[f.Domain] = true
		for _, l := range c.Listen {
			if f.Path != "" && f.Path == l.Path || f.Addr.IsValid() && f.Addr == l.Addr {
				c.wrong("front", f.String(), "is this proxy itself ("+c.where("listen")+" "+l.Endpoint.String()+"): strangers would go round in circles", "name the web server's own address")
			}
		}
	}
	switch {
	case slices.ContainsFunc(p.Fronts, func(f Front) bool { return !f.Off }) && !p.Allow.Has(codec.TLS):
		c.wrong("front", p.Fronts[0].String(), "is never used: "+c.where("allow")+" "+p.Allow.String()+" has no tls, and only a port that looks like TLS has a web site behind it", "add tls to "+c.where("allow")+", or leave the front out")
	case p.SNISalt != "" && p.Allow != AllowOf(codec.TLS):
		c.wrong("sni-salt", "", "is for fake-TLS alone, and "+c.where("allow")+" has "+p.Allow.String(), "write --allow tls")
	}
}
