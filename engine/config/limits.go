package config

import "time"

// Defaults. The listener's is a port that needs no privilege, so that a first start just works; a real install says
// --listen :443, where the TLS costume belongs. The door's is loopback, which asks for no token.
const (
	DefaultListen = ":1443"
	DefaultAdmin  = "127.0.0.1:8888"

	defaultDC               = 2
	defaultHandshakeTimeout = 10 * time.Second // phones on bad radio need some seconds; a stranger gets no more
	defaultFirstByteTimeout = 60 * time.Second // apps connect ahead and speak later
	defaultIdleTimeout      = 20 * time.Minute // apps ping every few minutes
	defaultStallTimeout     = 15 * time.Second // DESIGN section 5
	defaultCompactAfter     = 30 * time.Second // DESIGN section 4.11
	defaultDrain            = 30 * time.Second
	defaultClockWindow      = 600 * time.Second // both ways (spec client-protocols 4)
	defaultBacklog          = 4096
	defaultNotSentLowat     = 128 << 10         // bytes unsent in the kernel per client
	defaultUpstreamRcvbuf   = 256 << 10         // bytes waiting in the kernel per upstream socket
	defaultUserTimeout      = 240 * time.Second // longer than all keep-alive probes take: it ends a socket whatever their number
	defaultKeepIdle         = 60 * time.Second
	defaultKeepInterval     = 30 * time.Second
	defaultKeepCount        = 4
	defaultFrontSilence     = 10 * time.Second // as the official proxy (spec client-protocols 6)
	defaultFrontIdle        = 60 * time.Second // the same
	defaultFrontTime        = 10 * time.Minute // the same
	defaultFrontMeasure     = 4 * time.Hour    // certificates change every few weeks
	defaultProxyTimeout     = 500 * time.Millisecond
	defaultReplayMemory     = 64 << 20
	defaultListRefresh      = time.Hour
	defaultTableMax         = 1_000_000
	defaultQueueLimit       = 1 << 20 // DESIGN section 5
	defaultLogSample        = 100     // lines a second
	defaultSecretDrain      = 10 * time.Second
	defaultAddressWindow    = time.Minute // phones change networks, and come back
	defaultAdminMode        = 0o600       // whoever opens the socket may do everything
)

// Telegram's own addresses of what middle proxies need (spec upstream-protocols 1.1).
const (
	DefaultTelegramSecret   = "https://core.telegram.org/getProxySecret"
	DefaultTelegramConfig   = "https://core.telegram.org/getProxyConfig"
	DefaultTelegramConfigV6 = "https://core.telegram.org/getProxyConfigV6"
)

// memoryShare is the part of the memory, in percent, that is ours when --memory does not say (DESIGN section 5).
const memoryShare = 80

// Bounds: beyond them a value is a slip of the pen, not a choice.
const (
	maxDuration   = 7 * 24 * time.Hour
	maxLoops      = 1024
	maxClients    = 1 << 24
	maxBacklog    = 1 << 20
	maxSocketSize = 1 << 30
	maxKeepCount  = 127   // the kernel's MAX_TCP_KEEPCNT
	maxKeepTime   = 32767 // seconds, the kernel's MAX_TCP_KEEPIDLE and _KEEPINTVL
	maxLogSample  = 1_000_000
	maxRate       = 10_000_000 // connections a second
	maxName       = 32         // bytes of a name of ours: it becomes a metric label
	maxWord       = 21         // bytes of an unknown name that are told whole: every secret is longer
	maxInterface  = 15         // bytes, the kernel's IFNAMSIZ less its zero
	maxUnixPath   = 107        // bytes, the kernel's sun_path less its zero
	minMSS        = 88         // the kernel's TCP_MIN_MSS
	maxMSS        = 1460
	minReplay     = 1 << 20
	maxReplay     = 64 << 30
	maxTable      = 100_000_000
	minMeasure    = 10 * time.Minute
	minQueueLimit = 128 << 10 // a session stops its source at 64 KiB
	minMemory     = 64 << 20
	maxMemory     = 64 << 40
	minToken      = 16 // bytes: others may guess as fast as HTTP goes
	maxToken      = 512
)
