package config

import (
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"

	"epoxy/engine/logs"
)

const cureLevel = "write debug, info, warn or error, and behind it what parts have of their own, such as info,middle=debug"

// Addresses is how log lines name clients.
type Addresses uint8

// The choices.
const (
	AddressesMasked Addresses = iota // the network alone: /24, /48
	AddressesFull
)

var (
	addressWords = []string{AddressesMasked: "masked", AddressesFull: "full"}
	levelWords   = []string{"debug", "info", "warn", "error"}
)

// String returns the word of the flag.
func (a Addresses) String() string { return word(addressWords, a) }

// logs adds what is written to the log.
func (r registrar) logs() {
	s := r.s
	r.add(&value{
		name: "log-level", kind: "LEVEL[,PART=LEVEL]", choices: levelWords, open: true,
		parse: func(text string, _ bool) error {
			level, parts, err := parseLevels(text)
			if err == nil {
				s.LogLevel, s.LogParts = level, parts
			}
			return err
		},
		show: func() string { return showLevels(s.LogLevel, s.LogParts) },
	}, "least level that is logged: debug, info, warn, error; behind it other levels for some parts, such as info,middle=debug. Parts: "+strings.Join(logs.Parts(), ", "))
	choice(r, &s.LogFormat, "log-format", "FORMAT", formatWords, "log lines as text or json")
	scalar(r, &s.LogSample, "log-sample", "N", parseInt(0, maxLogSample), strconv.Itoa, "lines a second and loop about single clients and strangers, which session=debug writes; what is left out is counted in the next one; 0 is all")
	choice(r, &s.LogAddresses, "log-addresses", "HOW", addressWords, "clients in these lines by their network alone (/24, /48), or by their full address")
}

// parseLevels reads "LEVEL[,PART=LEVEL]...", the level of all and those of some parts; the former may be left out for info.
func parseLevels(text string) (slog.Level, map[string]slog.Level, error) {
	level, parts := slog.LevelInfo, map[string]slog.Level(nil)
	for i, piece := range strings.Split(text, ",") {
		part, word, named := strings.Cut(strings.TrimSpace(piece), "=")
		if !named {
			part, word = "", part
		}
		l, err := logs.ParseLevel(strings.TrimSpace(word))
		if err != nil {
			return 0, nil, wrong("has something that is no log level", cureLevel)
		}
		part = strings.ToLower(strings.TrimSpace(part))
		switch {
		case (!named || part == "all") && i == 0:
			level = l
		case !named:
			return 0, nil, wrong("has two levels for the same lines", cureLevel)
		case !slices.Contains(logs.Parts(), part):
			return 0, nil, wrong("has a part that there is not", "parts are "+strings.Join(logs.Parts(), ", "))
		default:
			if _, twice := parts[part]; twice {
				return 0, nil, wrong("has two levels for the same lines", cureLevel)
			}
			if parts == nil {
				parts = map[string]slog.Level{}
			}
			parts[part] = l
		}
	}
	return level, parts, nil
}

// showLevels returns what parseLevels takes, parts in the order of their names.
func showLevels(level slog.Level, parts map[string]slog.Level) string {
	text := strings.ToLower(level.String())
	for _, part := range slices.Sorted(maps.Keys(parts)) {
		text += "," + part + "=" + strings.ToLower(parts[part].String())
	}
	return text
}

// Account is a user and group of this machine, by names or numbers. It is looked up by the program.
type Account struct {
	User  string // empty is none
	Group string // empty is the user's own
}

// String returns what --user takes.
func (a Account) String() string {
	if a.Group == "" {
		return a.User
	}
	return a.User + ":" + a.Group
}

// account adds whom the program becomes.
func (r registrar) account() {
	scalar(r, &r.s.User, "user", "NAME[:GROUP]", parseAccount, Account.String,
		"started as root, become this user once the ports are open; ports below 1024 stay within reach of a reload. --state-dir is given to that user. Under systemd leave it out and set User= in the unit")
}

// parseAccount reads "NAME[:GROUP]"; empty text is nobody.
func parseAccount(text string) (Account, error) {
	const cure = "write the name of a user of this machine, such as nobody, or NAME:GROUP"
	user, group, named := strings.Cut(text, ":")
	switch {
	case text == "":
		return Account{}, nil
	case user == "" || named && group == "":
		return Account{}, wrong("lacks a name", cure)
	case strings.ContainsAny(text, " \t\n/,") || strings.Contains(group, ":"):
		return Account{}, wrong("is not the name of a user", cure)
	}
	return Account{user, group}, nil
}
