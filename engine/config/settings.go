// Package config is one settings struct: filled from flags and environment, then validated.
//
// A setting comes from its flag, else from its EPOXY_* variable, else from Default; a file joins later as one more
// caller of the same values. Every kind of value is one type with one parser, and no wrong value stops the
// reading: mistakes are collected and Validate returns them all, each with the flag or variable, the value and
// the cure. Secrets appear in no text made here.
package config

import (
	"io/fs"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"epoxy/codec"
	"epoxy/engine/lists"
	"epoxy/upstream/dcmap"
	"epoxy/upstream/egress"
	"epoxy/upstream/split"
)

// Settings is all that an operator may choose. Fill it by Default, Register, parsing and FromEnv, then ask
// Validate; after that nobody changes it, and every goroutine may read it.
type Settings struct {
	// What clients meet.
	Listen       []Listen      // where clients connect, names and addresses unique
	Secrets      []NamedSecret // who may connect, names and keys unique; empty lets the program make one
	PortSettings               // of the ports that do not say otherwise
	DefaultDC    codec.DC      // for a client that asks for a DC nobody knows

	// What strangers see.
	FrontSilence time.Duration // connect to the front's turn when nothing comes
	FrontIdle    time.Duration // nothing moves between a stranger and the front
	FrontTime    time.Duration // a stranger's whole time
	FrontMax     int           // strangers at the front at once; 0 is a share of the clients
	FrontMeasure time.Duration // between measurements of the front; 0 is never
	FrontDelay   Delay
	ProxyTimeout time.Duration // connect to a whole header
	ReplayMemory int64         // bytes of the replay store

	// Telegram's side.
	Upstream        Upstream
	DC              map[codec.DC][]netip.AddrPort // overrides of the built-in address book, in the operator's order
	Prefer          Prefer
	BindV4, BindV6  netip.Addr     // source address by family; invalid is the kernel's choice
	Interface       string         // SO_BINDTODEVICE; empty is any
	Mark            uint32         // SO_MARK; 0 is none
	UpstreamRcvbuf  int            // SO_RCVBUF in bytes; 0 leaves the kernel's autotuning
	UpstreamProxies []egress.Proxy // ways out, in the order of preference; none is directly

	// Middle proxies.
	TagOptional        bool       // a client without a link may go to a datacenter directly, though there is a tag
	TelegramSecret     string     // an http, https or file URL or a path, as upstream/refresh takes it
	TelegramConfig     string     // the same
	TelegramConfigV6   string     // the same; wanted with MiddleV6 only
	PublicV4, PublicV6 netip.Addr // under which Telegram sees us; invalid is not told
	PublicLookup       []string   // URLs of services that tell it, no two the same
	Migrate            Migrate
	FilterErrors       Filter
	MiddleV6           bool // links over IPv6 too, in the order of Prefer

	Split // the links between servers

	// Size.
	Loops      int // event loops; 0 is one per usable CPU
	Pin        Pin
	Poller     Poller
	QueueLimit int   // bytes that may wait for one client of a link
	MaxClients int   // 0 is what the descriptor limit allows
	Memory     int64 // bytes; 0 is DefaultMemory

	// Admission.
	AcceptRate        int           // new connections a second; 0 is no limit
	AcceptRateNetwork int           // the same, from one IPv4 /24 or IPv6 /48
	SecretDrain       time.Duration // what clients get to finish whose secret is disabled, removed or expired
	Lists             []lists.Spec  // names unique
	ListRefresh       time.Duration // between two downloads of a list
	TableMax          int           // keys of all tables together
	AddressWindow     time.Duration // for which an address counts towards its secret's max-addresses after it left

	// Timings.
	HandshakeTimeout time.Duration // first byte to whole opening
	FirstByteTimeout time.Duration // connect to first byte
	IdleTimeout      time.Duration // nothing moves in either direction
	StallTimeout     time.Duration // a peer takes nothing of a full queue
	CompactAfter     time.Duration // silence until a session gives back its ciphers; 0 is never
	Drain            time.Duration // what sessions get to finish when the program stops; 0 is nothing
	ClockWindow      time.Duration // how far a fake-TLS client's clock may be off, either way

	// Client sockets.
	Backlog      int           // of listen(2)
	DeferAccept  time.Duration // TCP_DEFER_ACCEPT in whole seconds; 0 is off
	NotSentLowat int           // TCP_NOTSENT_LOWAT in bytes; 0 is off
	UserTimeout  time.Duration // TCP_USER_TIMEOUT; 0 is the kernel's
	Keepalive    Keepalive

	// Operating.
	File         string                // that FromFile reads the rest from; empty is none
	StateDir     string                // what must survive a restart; empty until DefaultStateDir fills it
	Admin        Endpoint              // the operator's door; the zero Endpoint is off
	AdminToken   Token                 // what it asks for; empty is nothing
	AdminMode    fs.FileMode           // of its unix socket
	User         Account               // whom the program becomes once it listens; the zero Account is nobody else
	LogLevel     slog.Level            // of all that LogParts does not name
	LogParts     map[string]slog.Level // by part, see engine/logs
	LogFormat    LogFormat
	LogSample    int // lines about single clients, a second and loop; 0 is all
	LogAddresses Addresses
	Watch        bool   // reload when File changes
	ShowSecrets  bool   // print secrets whole where links are printed
	PublicHost   string // what links name; empty is found from the listeners
	PublicPort   int    // what links name; 0 is the first listener's

	listens  bool              // somebody said where to listen
	source   map[string]string // flag name to the variable that set it
	mistakes []error           // what the values' parsers refused
}

// Default returns the settings of a program started without flags.
func Default() *Settings {
	return &Settings{
		Listen:           []Listen{{Name: "port1", Endpoint: mustEndpoint(DefaultListen)}},
		PortSettings:     PortSettings{Allow: AllowOf(codec.Secure, codec.TLS)},
		DefaultDC:        defaultDC,
		FrontSilence:     defaultFrontSilence,
		FrontIdle:        defaultFrontIdle,
		FrontTime:        defaultFrontTime,
		FrontMeasure:     defaultFrontMeasure,
		ProxyTimeout:     defaultProxyTimeout,
		ReplayMemory:     defaultReplayMemory,
		QueueLimit:       defaultQueueLimit,
		Upstream:         UpstreamAuto,
		Split:            Split{BackName: split.BackName, ServeBackAllow: []string{split.FrontName}},
		Prefer:           PreferV4,
		UpstreamRcvbuf:   defaultUpstreamRcvbuf,
		TelegramSecret:   DefaultTelegramSecret,
		TelegramConfig:   DefaultTelegramConfig,
		TelegramConfigV6: DefaultTelegramConfigV6,
		Pin:              PinAuto,
		Poller:           PollerHybrid,
		SecretDrain:      defaultSecretDrain,
		ListRefresh:      defaultListRefresh,
		TableMax:         defaultTableMax,
		AddressWindow:    defaultAddressWindow,
		HandshakeTimeout: defaultHandshakeTimeout,
		FirstByteTimeout: defaultFirstByteTimeout,
		IdleTimeout:      defaultIdleTimeout,
		StallTimeout:     defaultStallTimeout,
		CompactAfter:     defaultCompactAfter,
		Drain:            defaultDrain,
		ClockWindow:      defaultClockWindow,
		Backlog:          defaultBacklog,
		NotSentLowat:     defaultNotSentLowat,
		UserTimeout:      defaultUserTimeout,
		Keepalive:        Keepalive{Idle: defaultKeepIdle, Interval: defaultKeepInterval, Count: defaultKeepCount},
		Admin:            mustEndpoint(DefaultAdmin),
		AdminMode:        defaultAdminMode,
		LogLevel:         slog.LevelInfo,
		LogFormat:        LogText,
		LogSample:        defaultLogSample,
	}
}

// Tagged reports whether anybody's clients carry an ad tag.
func (s *Settings) Tagged() bool {
	return s.Tag != nil || slices.ContainsFunc(s.Listen, func(l Listen) bool { return l.PortSettings != nil && l.Tag != nil }) ||
		slices.ContainsFunc(s.Secrets, func(n NamedSecret) bool { return n.Tag != nil })
}

// Middle reports whether clients go to middle proxies: asked for, or because there is a tag.
func (s *Settings) Middle() bool {
	return s.Upstream == UpstreamMiddle || s.Upstream == UpstreamAuto && s.Tagged()
}

// Fallback reports whether clients may go to a datacenter directly while no link of it works. With a tag they may not,
// unless it is optional: what looks like service would earn its owner nothing.
func (s *Settings) Fallback() bool { return s.Middle() && (!s.Tagged() || s.TagOptional) }

// MiddleFamilies returns the address families of links, the preferred one first: IPv4 alone unless MiddleV6.
func (s *Settings) MiddleFamilies() []dcmap.Family {
	switch {
	case !s.MiddleV6 || s.Prefer == OnlyV4:
		return []dcmap.Family{dcmap.V4}
	case s.Prefer == OnlyV6:
		return []dcmap.Family{dcmap.V6}
	case s.Prefer == PreferV6:
		return []dcmap.Family{dcmap.V6, dcmap.V4}
	}
	return []dcmap.Family{dcmap.V4, dcmap.V6}
}

// DefaultStateDir says where state lives when nobody named a place: what systemd gives ($STATE_DIRECTORY),
// /var/lib/epoxy for root, else the XDG state directory of the user. It is empty when not even $HOME is set.
func DefaultStateDir(getenv func(string) string, uid int) string {
	if dir := getenv("STATE_DIRECTORY"); dir != "" {
		return dir
	}
	if uid == 0 {
		return "/var/lib/epoxy"
	}
	if dir := getenv("XDG_STATE_HOME"); dir != "" {
		return dir + "/epoxy"
	}
	if home := getenv("HOME"); home != "" {
		return home + "/.local/state/epoxy"
	}
	return ""
}
