package config

import (
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"epoxy/upstream/split"
)

// Split are the settings of the links between servers: those of the front, which has the clients, and those of the back,
// which has Telegram.
type Split struct {
	Backs     []string // host:port or unix:/path, in the order of preference
	BackFiles split.Files
	BackName  string // that a back's certificate must have

	ServeBack        Endpoint // where fronts connect; the zero Endpoint is nowhere
	ServeBackFiles   split.Files
	ServeBackAllow   []string // of which a front's certificate must have one
	ServeBackStreams int      // of one front at once; 0 is what the descriptor limit allows
	ServeBackOpens   int      // of one front a second; 0 is no limit

	LinkInsecure bool // links without certificates over private networks
}

// parseBack reads where a back is: a host name or address with a port, or a unix socket.
func parseBack(text string) (string, error) {
	const cure = "write HOST:PORT, such as back.example.net:8443, or unix:/path"
	if strings.HasPrefix(text, "unix:") {
		e, err := ParseEndpoint(text)
		return e.String(), err
	}
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		return "", wrong("is not a host with a port", cure)
	}
	if n, err := parsePort(port); err != nil || n == 0 {
		return "", wrong("the port is not a number from 1 to 65535", cure)
	}
	if host == "" {
		return "", wrong("has no host", cure)
	}
	if host, err = parseHost(host); err != nil {
		return "", err
	}
	return net.JoinHostPort(host, port), nil
}

// parseCertName reads a name that a certificate may have.
func parseCertName(text string) (string, error) {
	name, err := parseHost(text)
	if err != nil || name == "" {
		return "", wrong("is no name of a certificate", "write the name that epoxy link-certs was given, such as "+split.FrontName)
	}
	return name, nil
}

// split adds the flags of front and back.
func (r registrar) split() {
	s := r.s
	r.add(&value{
		name: "back", kind: "HOST:PORT", list: true,
		parse: func(text string, first bool) error {
			b, err := parseBack(text)
			if first {
				s.Backs = nil
			}
			if err == nil && !slices.Contains(s.Backs, b) {
				s.Backs = append(s.Backs, b)
			}
			return err
		},
		show: func() string { return strings.Join(s.Backs, ",") },
	}, "with --upstream back: the server that has Telegram for us, HOST:PORT or unix:/path; repeatable, the next is for when one fails")
	r.certFiles(&s.BackFiles, "back", "to --back, PEM; NAME.pem of epoxy link-certs has all that is needed. Without it a link is plain, on this machine alone")
	scalar(r, &s.BackName, "back-name", "NAME", parseCertName, same, "the name that a back's certificate has")
	scalar(r, &s.ServeBack, "serve-back", "ADDR", parseAdmin, Endpoint.String, "be the back of other servers, which connect here: ADDR:PORT, unix:/path, or off. Without --listen there are then no clients of our own")
	r.certFiles(&s.ServeBackFiles, "serve-back", "for links to --serve-back, PEM; NAME.pem of epoxy link-certs has all that is needed. Without it links are plain, on this machine alone")
	r.add(&value{
		name: "serve-back-allow", kind: "NAME", list: true,
		parse: func(text string, first bool) error {
			n, err := parseCertName(text)
			if first {
				s.ServeBackAllow = nil
			}
			if err == nil && !slices.Contains(s.ServeBackAllow, n) {
				s.ServeBackAllow = append(s.ServeBackAllow, n)
			}
			return err
		},
		show: func() string { return strings.Join(s.ServeBackAllow, ",") },
	}, "the name that a front server's certificate has; repeatable")
	scalar(r, &s.ServeBackStreams, "serve-back-streams", "N", parseInt(0, maxClients), strconv.Itoa, "clients of one front server at once; 0 is what the descriptor limit allows")
	scalar(r, &s.ServeBackOpens, "serve-back-opens", "N", parseInt(0, maxRate), strconv.Itoa, "new clients of one front server a second; 0 is no limit")
	r.boolean(&s.LinkInsecure, "link-insecure-vpn", "let links between servers go without certificates over private addresses: for a VPN that encrypts them")
}

// certFiles adds the three flags of a side's files.
func (r registrar) certFiles(to *split.Files, side, usage string) {
	scalar(r, &to.Cert, side+"-cert", "FILE", parseDir, same, "our certificate "+usage)
	scalar(r, &to.Key, side+"-key", "FILE", parseDir, same, "its key; default: in the file of --"+side+"-cert")
	scalar(r, &to.CA, side+"-ca", "FILE", parseDir, same, "the authority that signs the other side's certificate; default: in the file of --"+side+"-cert")
}

// split checks that both sides are whole, and that nothing plain leaves the machine unasked.
func (c *checker) split() {
	if c.Upstream == UpstreamBack && len(c.Backs) == 0 {
		c.wrong("upstream", c.Upstream.String(), "there is no back", "add "+c.where("back")+" HOST:PORT, or write auto, direct or middle")
	}
	if c.Upstream != UpstreamBack && len(c.Backs) > 0 {
		c.wrong("back", c.Backs[0], "is never used with "+c.where("upstream")+" "+c.Upstream.String(), "write --upstream back, or leave this out")
	}
	if c.Upstream == UpstreamBack && !c.ServeBack.IsZero() {
		c.wrong("serve-back", c.ServeBack.String(), "a back needs a way to Telegram of its own", "write --upstream auto, direct or middle, or leave this out")
	}
	for _, b := range c.Backs {
		if c.BackFiles.Cert == "" {
			c.plain("back", b, strings.HasPrefix(b, "unix:"))
		}
	}
	switch {
	case c.ServeBack.IsZero():
	case c.ServeBackFiles.Cert == "":
		c.plain("serve-back", c.ServeBack.String(), c.ServeBack.Path != "")
	case len(c.ServeBackAllow) == 0:
		c.wrong("serve-back-allow", "", "no front server may connect", "write the name in its certificate, such as "+split.FrontName)
	}
	for _, side := range []struct {
		flag  string
		files split.Files
	}{{"back", c.BackFiles}, {"serve-back", c.ServeBackFiles}} {
		if side.files.Cert == "" && (side.files.Key != "" || side.files.CA != "") {
			c.wrong(side.flag+"-cert", "", "there is a key or an authority, but no certificate", "add it; epoxy link-certs DIR makes all of them")
		}
	}
	for _, l := range c.Listen {
		if !c.ServeBack.IsZero() && l.overlaps(c.ServeBack) {
			c.wrong("serve-back", c.ServeBack.String(), "clients connect there ("+c.where("listen")+" "+l.Endpoint.String()+")", "choose another port")
		}
	}
}

// plain checks where a link without certificates goes.
func (c *checker) plain(flag, place string, unix bool) {
	at, err := netip.ParseAddrPort(place)
	ip := at.Addr().Unmap()
	switch {
	case unix || err == nil && ip.IsLoopback():
	case err == nil && (ip.IsPrivate() || ip.IsLinkLocalUnicast()) && c.LinkInsecure:
	case err == nil && (ip.IsPrivate() || ip.IsLinkLocalUnicast()):
		c.wrong(flag, place, "has no certificate, and everybody on the way could read and change what goes there",
			"add "+c.where(flag+"-cert")+" (epoxy link-certs DIR makes it), or "+c.where("link-insecure-vpn")+" when a VPN encrypts the way")
	default:
		c.wrong(flag, place, "has no certificate, and is not an address of this machine", "add "+c.where(flag+"-cert")+"; epoxy link-certs DIR makes it")
	}
}
