package config

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"epoxy/codec"
)

// The headings under which docs/REFERENCE.md has the settings.
const (
	partClients   = "Clients and links"
	partStrangers = "What strangers see"
	partAdmission = "Who may connect"
	partTelegram  = "Towards Telegram"
	partMiddle    = "Middle proxies and the ad tag"
	partSplit     = "Front and back on two servers"
	partSize      = "Size"
	partTimes     = "Times"
	partSockets   = "Client sockets"
	partOperating = "Operating"
)

// Register adds every setting's flag to fs, with what s holds as defaults; parsing then fills s. Call it once per s.
// No parse of these flags fails on a value: ask Validate. docs/REFERENCE.md is made of what stands here.
func Register(fs *pflag.FlagSet, s *Settings) {
	r := newRegistrar(fs, s)
	r.part(partClients).file()
	r.part(partClients).clients()
	r.part(partClients).links()
	r.port()
	r.part(partStrangers).front()
	r.part(partAdmission).admission()
	r.part(partAdmission).lists()
	r.part(partTelegram).telegram()
	r.part(partTelegram).proxies()
	r.part(partMiddle).middle()
	r.part(partSplit).split()
	r.part(partSize).size()
	r.part(partTimes).timings()
	r.part(partSockets).sockets()
	r.part(partOperating).operating()
}

// RegisterLinks adds every flag, too, so that one command line and one file serve all commands. Hidden are, and not read
// from variables and file, those that say nothing about links: neither listeners nor secrets, domain, protocols, public
// address.
func RegisterLinks(fs *pflag.FlagSet, s *Settings) {
	Register(fs, s)
	shown := pflag.NewFlagSet("", pflag.ContinueOnError)
	r := newRegistrar(shown, Default())
	r.file()
	r.clients()
	r.links()
	r.look()
	r.stateDir()
	fs.VisitAll(func(f *pflag.Flag) { f.Hidden = f.Hidden || shown.Lookup(f.Name) == nil })
}

// registrar hands settings to a sink: flags of a program, or words of a port.
type registrar struct {
	sink    func(v *value, usage string)
	section string
	s       *Settings
	p       *PortSettings // what the ports' settings write to
}

// newRegistrar returns one that makes flags.
func newRegistrar(fs *pflag.FlagSet, s *Settings) registrar {
	return registrar{s: s, p: &s.PortSettings, sink: func(v *value, usage string) {
		flag := fs.VarPF(v, v.name, "", usage)
		if v.kind == kindBool {
			flag.NoOptDefVal = "true"
		}
	}}
}

// part returns a registrar for what stands under a heading.
func (r registrar) part(section string) registrar {
	r.section = section
	return r
}

func (r registrar) add(v *value, usage string) {
	v.settings = r.s
	if v.list && v.split == nil {
		v.split = splitList
	}
	v.usage, v.section = usage, r.section
	r.sink(v, usage)
}

// scalar adds a flag whose text becomes one T at to.
func scalar[T any](r registrar, to *T, name, kind string, parse func(string) (T, error), show func(T) string, usage string) {
	r.add(&value{
		name: name, kind: kind,
		parse: func(text string, _ bool) (err error) {
			t, err := parse(text)
			if err == nil {
				*to = t
			}
			return err
		},
		show: func() string { return show(*to) },
	}, usage)
}

// choice adds a flag whose text is one of words; the index is the enum's value.
func choice[E ~uint8](r registrar, to *E, name, kind string, words []string, usage string) {
	r.add(&value{
		name: name, kind: kind, choices: words,
		parse: func(text string, _ bool) error {
			e, err := parseWord[E](words, text)
			if err == nil {
				*to = e
			}
			return err
		},
		show: func() string { return word(words, *to) },
	}, usage)
}

// file adds the flag that names the file, which FromFile reads the others from.
func (r registrar) file() {
	r.add(&value{
		name: "config", kind: "FILE", flagOnly: true,
		parse: func(text string, _ bool) error {
			r.s.File = text
			return nil
		},
		show: func() string { return r.s.File },
	}, "a TOML file with settings for which there is neither flag nor variable; without this no file is read")
}

func (r registrar) clients() {
	s := r.s
	r.add(&value{
		name: "listen", kind: "[NAME=]ADDR", list: true, split: splitPlaces,
		parse: func(text string, first bool) error {
			l, err := ParseListen(text)
			if first {
				s.Listen, s.listens = nil, true
			}
			if err != nil {
				return err
			}
			s.Listen = append(s.Listen, l)
			return nil
		},
		show: func() string {
			var texts []string
			for _, l := range s.Listen {
				texts = append(texts, l.Endpoint.String())
			}
			return strings.Join(texts, ",")
		},
	}, "where clients connect: 0.0.0.0:443, [::]:443 (IPv6 only), :443 (both), unix:/path; ?SETTING=VALUE behind it is for this port alone; repeatable. The default needs no privilege; fake-TLS looks right on 443")
	r.add(&value{
		name: "secret", kind: "[NAME=]SECRET", list: true, hidden: true, split: splitPlaces,
		parse: func(text string, first bool) error {
			n, err := ParseSecret(text)
			if first {
				s.Secrets = nil
			}
			if err != nil {
				return err
			}
			s.Secrets = append(s.Secrets, n)
			return nil
		},
	}, "who may connect: 32 hex digits, dd and 32, ee and 32 and the domain in hex, or base64url of these; repeatable. The key serves every protocol of --allow, whatever the form; dd and ee only say which links are made. ?SETTING=VALUE behind it, such as ?quota=100G&max-clients=5, is for this secret alone. Without any, run makes one and keeps it in --state-dir")
}

func (r registrar) links() {
	s := r.s
	scalar(r, &s.PublicHost, "public-host", "HOST", parseHost, same, "the host that links name; default: a public address of this machine")
	scalar(r, &s.PublicPort, "public-port", "PORT", parseInt(0, 65535), strconv.Itoa, "the port that links name; 0 is that of the first --listen")
}

// look adds what a port looks like, as far as links name it.
func (r registrar) look() {
	p := r.p
	scalar(r, &p.Allow, "allow", "LIST", ParseAllow, Allow.String, "protocols that clients may speak: classic, secure (dd), tls (ee)")
	scalar(r, &p.Domain, "domain", "NAME", parseDomain, same, "the web site that fake-TLS (ee) links name and clients pretend to visit; without it only ee secrets make ee links")
}

// port adds what a port may have of its own.
func (r registrar) port() {
	r.part(partClients).look()
	scalar(r.part(partMiddle), &r.p.Tag, "tag", "HEX", parseTag, showTag, "the ad tag of a promoted channel, 32 hex digits from @MTProxybot; only middle proxies carry it")
	r.part(partAdmission).rules()
	r.part(partStrangers).costume()
}

func (r registrar) telegram() {
	s := r.s
	choice(r, &s.Upstream, "upstream", "WAY", upstreamWords,
		"the way to Telegram: direct (a connection per client), middle (Telegram's middle proxies, many clients over few links), auto (middle with a --tag, else direct), back (another server that has Telegram, see --back)")
	r.add(&value{
		name: "dc", kind: "ID=ADDR[,ADDR]", list: true, split: splitRoutes,
		parse: func(text string, first bool) error {
			route, err := parseRoute(text)
			if first || s.DC == nil {
				s.DC = map[codec.DC][]netip.AddrPort{}
			}
			if err != nil {
				return err
			}
			for _, a := range route.addrs {
				if !slices.Contains(s.DC[route.id], a) {
					s.DC[route.id] = append(s.DC[route.id], a)
				}
			}
			return nil
		},
		show: func() string { return showRoutes(s.DC) },
	}, "addresses of a datacenter instead of the built-in ones, negative ids for media: 2=149.154.167.50:443; repeatable")
	scalar(r, &s.DefaultDC, "default-dc", "ID", parseDC, func(dc codec.DC) string { return strconv.Itoa(int(dc)) }, "the datacenter for clients that ask for an unknown one")
	choice(r, &s.Prefer, "prefer", "FAMILY", preferWords,
		"address family towards Telegram: prefer-v4, prefer-v6, only-v4, only-v6")
	scalar(r, &s.BindV4, "bind-v4", "IP", parseFamily(true, "192.0.2.1"), showAddr, "source address of IPv4 connections to Telegram")
	scalar(r, &s.BindV6, "bind-v6", "IP", parseFamily(false, "2001:db8::1"), showAddr, "source address of IPv6 connections to Telegram")
	scalar(r, &s.Interface, "interface", "NAME", parseInterface, same, "network interface of connections to Telegram (needs CAP_NET_RAW)")
	scalar(r, &s.Mark, "fwmark", "MARK", parseMark, func(m uint32) string { return strconv.FormatUint(uint64(m), 10) }, "firewall mark of connections to Telegram (needs CAP_NET_ADMIN); 0 is none")
	scalar(r, &s.UpstreamRcvbuf, "upstream-rcvbuf", "BYTES", parseSize, strconv.Itoa, "receive buffer of each connection to Telegram, doubled in direct mode once a client keeps up; 0 leaves it to the kernel")
}

func (r registrar) size() {
	s := r.s
	scalar(r, &s.Loops, "loops", "N", parseInt(0, maxLoops), strconv.Itoa, "event loops; 0 is one per usable CPU")
	choice(r, &s.Pin, "pin", "WHEN", pinWords, "tie each loop to a CPU: auto, on, off")
	choice(r, &s.Poller, "poller", "NAME", pollerWords, "how a loop waits for packets: hybrid (our own epoll loop, which keeps its processor while they come at short intervals and so takes less CPU), gnet (gnet's, which goes to Go's scheduler on every idle turn)")
	scalar(r, &s.QueueLimit, "queue-limit", "SIZE", parseQueueLimit, func(n int) string { return showMemory(int64(n)) }, "bytes that may wait for one client who reads slowly, over links; beyond it that client is closed")
	scalar(r, &s.MaxClients, "max-clients", "N", parseInt(0, maxClients), strconv.Itoa, "clients at once; 0 is what the descriptor limit allows")
	scalar(r, &s.Memory, "memory", "SIZE", parseMemory, showMemory, "memory of the whole process, such as 512M or 4G; 0 is 80 % of the machine's RAM or of the control group's limit")
}

func (r registrar) timings() {
	s := r.s
	r.duration(&s.HandshakeTimeout, "handshake-timeout", "from a client's first byte to its whole opening")
	r.duration(&s.FirstByteTimeout, "first-byte-timeout", "from a connect to the client's first byte")
	r.duration(&s.IdleTimeout, "idle-timeout", "a session in which nothing moves is closed after this")
	r.duration(&s.StallTimeout, "stall-timeout", "a client that takes nothing of what waits for it is closed after this")
	r.duration(&s.CompactAfter, "compact-after", "a silent session gives its cipher memory back after this; 0 is never")
	r.duration(&s.Drain, "drain", "what sessions get to finish when the program stops; 0 is nothing")
	r.duration(&s.ClockWindow, "clock-window", "how far a fake-TLS client's clock may be off, either way")
}

func (r registrar) sockets() {
	s := r.s
	scalar(r, &s.Backlog, "backlog", "N", parseInt(1, maxBacklog), strconv.Itoa, "connections that wait for accept, per listener; the kernel caps it at net.core.somaxconn")
	r.duration(&s.DeferAccept, "defer-accept", "wake only when the client has spoken (TCP_DEFER_ACCEPT), whole seconds; 0 is off")
	scalar(r, &s.NotSentLowat, "notsent-lowat", "BYTES", parseSize, strconv.Itoa, "unsent bytes that the kernel holds per client (TCP_NOTSENT_LOWAT); 0 is off")
	r.duration(&s.UserTimeout, "user-timeout", "unacknowledged bytes end a connection after this (TCP_USER_TIMEOUT); 0 is the kernel's")
	scalar(r, &s.Keepalive, "keepalive", "IDLE/INTERVAL/COUNT", ParseKeepalive, Keepalive.String, "TCP keepalive of client sockets, or off; the first probe comes after IDLE to one and a half times IDLE, so that clients who came together are not probed together")
}

func (r registrar) operating() {
	s := r.s
	r.stateDir()
	r.boolean(&s.Watch, "watch", "reload by itself when the file of --config has changed, replaced files too; a bad one changes nothing")
	r.boolean(&s.ShowSecrets, "show-secrets", "print links with their secrets at start, instead of masked")
	r.door()
	r.account()
	r.logs()
}

func (r registrar) stateDir() {
	scalar(r, &r.s.StateDir, "state-dir", "DIR", parseDir, same, "where a made secret is kept; default: $STATE_DIRECTORY, /var/lib/epoxy for root, else ~/.local/state/epoxy")
}
