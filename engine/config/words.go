package config

import (
	"strings"

	"epoxy/codec"
)

// Allow is the set of protocols that the ports accept.
type Allow uint8

// AllowOf returns the set of the given protocols.
func AllowOf(protocols ...codec.Protocol) Allow {
	var a Allow
	for _, p := range protocols {
		a |= 1 << p
	}
	return a
}

// Has reports whether p is in the set.
func (a Allow) Has(p codec.Protocol) bool { return p != codec.ProtocolNone && a&(1<<p) != 0 }

// String returns the words that ParseAllow takes.
func (a Allow) String() string {
	var words []string
	for _, p := range []codec.Protocol{codec.Classic, codec.Secure, codec.TLS} {
		if a.Has(p) {
			words = append(words, p.String())
		}
	}
	return strings.Join(words, ",")
}

// ParseAllow reads words of classic, secure and tls with commas between.
func ParseAllow(text string) (Allow, error) {
	var a Allow
	for word := range strings.SplitSeq(text, ",") {
		switch strings.ToLower(strings.TrimSpace(word)) {
		case "classic":
			a |= AllowOf(codec.Classic)
		case "secure":
			a |= AllowOf(codec.Secure)
		case "tls":
			a |= AllowOf(codec.TLS)
		default:
			return 0, wrong("names a protocol that does not exist", "write one or more of classic, secure, tls with commas between")
		}
	}
	return a, nil
}

// Upstream is the way to Telegram.
type Upstream uint8

// The ways. Auto is middle when there is a tag, else direct; back is another server.
const (
	UpstreamAuto Upstream = iota
	UpstreamDirect
	UpstreamMiddle
	UpstreamBack
)

// Prefer says which address family of a DC is tried.
type Prefer uint8

// The preferences: which first, or which alone.
const (
	PreferV4 Prefer = iota
	PreferV6
	OnlyV4
	OnlyV6
)

// Migrate says whose streams change to another link when theirs ends (spec upstream-protocols 4.4).
type Migrate uint8

// The choices. Idle is those without an outstanding answer.
const (
	MigrateIdle Migrate = iota
	MigrateAlways
	MigrateNever
)

// Filter says which answers that are the transport error -404 clients do not get (spec client-protocols 2.4).
type Filter uint8

// The choices. First is the first answer of a stream.
const (
	FilterFirst Filter = iota
	FilterOff
	FilterAlways
)

// Pin says whether a loop locks its thread to a CPU; auto is what measurements advise.
type Pin uint8

// The choices.
const (
	PinAuto Pin = iota
	PinOn
	PinOff
)

// Poller is how a loop waits for events.
type Poller uint8

// The wait strategies of engine/reactor.
const (
	PollerGnet Poller = iota
	PollerHybrid
)

// LogFormat is how log lines look.
type LogFormat uint8

// The formats of log/slog.
const (
	LogText LogFormat = iota
	LogJSON
)

var (
	upstreamWords = []string{UpstreamAuto: "auto", UpstreamDirect: "direct", UpstreamMiddle: "middle", UpstreamBack: "back"}
	preferWords   = []string{PreferV4: "prefer-v4", PreferV6: "prefer-v6", OnlyV4: "only-v4", OnlyV6: "only-v6"}
	migrateWords  = []string{MigrateIdle: "idle", MigrateAlways: "always", MigrateNever: "never"}
	filterWords   = []string{FilterFirst: "first", FilterOff: "off", FilterAlways: "always"}
	pinWords      = []string{PinAuto: "auto", PinOn: "on", PinOff: "off"}
	pollerWords   = []string{PollerGnet: "gnet", PollerHybrid: "hybrid"}
	formatWords   = []string{LogText: "text", LogJSON: "json"}
)

// String returns the word of the flag.
func (u Upstream) String() string { return word(upstreamWords, u) }

// String returns the word of the flag.
func (p Prefer) String() string { return word(preferWords, p) }

// String returns the word of the flag.
func (m Migrate) String() string { return word(migrateWords, m) }

// String returns the word of the flag.
func (f Filter) String() string { return word(filterWords, f) }

// String returns the word of the flag.
func (p Pin) String() string { return word(pinWords, p) }

// String returns the word of the flag.
func (p Poller) String() string { return word(pollerWords, p) }

// String returns the word of the flag.
func (f LogFormat) String() string { return word(formatWords, f) }

func word[E ~uint8](words []string, e E) string {
	if int(e) < len(words) {
		return words[e]
	}
	return "unknown"
}

// parseWord finds text among words; the index is the enum's value.
func parseWord[E ~uint8](words []string, text string) (E, error) {
	for i, w := range words {
		if strings.EqualFold(w, text) {
			return E(i), nil
		}
	}
	return 0, wrong("is not a word of this flag", "write one of "+strings.Join(words, ", "))
}
