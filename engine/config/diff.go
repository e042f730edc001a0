package config

import (
	"reflect"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// Change is one difference between two Settings.
type Change struct {
	What     string // a flag's name, port NAME or secret NAME
	From, To string // texts, empty where they must not be shown or there is none
	Restart  bool   // it needs a restart to take effect
}

// restart lists the settings that a running program cannot change.
var restart = []string{"loops", "pin", "poller", "state-dir", "admin", "user", "log-format", "admin-token", "admin-mode", "replay-memory", "table-max",
	"back", "back-name", "serve-back", "serve-back-allow", "serve-back-streams", "serve-back-opens"}

// Diff returns what differs between two Settings that Validate accepted, in the order of the flags, then ports and secrets.
func Diff(from, to *Settings) (all []Change) {
	old := flagTexts(from)
	now := flagTexts(to)
	for _, n := range now {
		if n.name == "listen" || n.name == "secret" {
			continue
		}
		i := slices.IndexFunc(old, func(o flagText) bool { return o.name == n.name })
		if old[i].text == n.text && !changedInSilence(n.name, from, to) {
			continue
		}
		c := Change{What: n.name, Restart: slices.Contains(restart, n.name)}
		if !n.hidden {
			c.From, c.To = withoutPassword(old[i].text), withoutPassword(n.text)
		}
		all = append(all, c)
	}
	all = append(all, diffNamed("port", from.Listen, to.Listen, func(l Listen) string { return l.Endpoint.String() }, samePort)...)
	return append(all, diffNamed("secret", from.Secrets, to.Secrets, func(n NamedSecret) string { return n.Name }, sameSecret)...)
}

type flagText struct {
	name, text string
	hidden     bool
}

// flagTexts returns the texts of all flags, those that must not be shown too.
func flagTexts(s *Settings) (all []flagText) {
	shadow := *s
	shadow.PortSettings = *s.clone()
	fs := pflag.NewFlagSet("", pflag.ContinueOnError)
	fs.SortFlags = false
	Register(fs, &shadow)
	fs.VisitAll(func(f *pflag.Flag) {
		if v, ok := f.Value.(*value); ok {
			text := ""
			if v.show != nil {
				text = v.show()
			}
			all = append(all, flagText{f.Name, text, v.hidden})
		}
	})
	return all
}

// changedInSilence reports whether a setting that has no text to show differs.
func changedInSilence(name string, from, to *Settings) bool {
	switch name {
	case "admin-token":
		return from.AdminToken != to.AdminToken
	case "sni-salt":
		return from.SNISalt != to.SNISalt
	case "upstream-proxy":
		return !slices.Equal(from.UpstreamProxies, to.UpstreamProxies)
	}
	return false
}

// diffNamed returns what came, went and changed in a list whose members have keys.
func diffNamed[T any](what string, from, to []T, key func(T) string, same func(a, b T) bool) (all []Change) {
	find := func(list []T, k string) int { return slices.IndexFunc(list, func(t T) bool { return key(t) == k }) }
	for _, t := range to {
		switch i := find(from, key(t)); {
		case i < 0:
			all = append(all, Change{What: what + " " + key(t), To: "added"})
		case !same(from[i], t):
			all = append(all, Change{What: what + " " + key(t), From: "as it was", To: "changed"})
		}
	}
	for _, f := range from {
		if find(to, key(f)) < 0 {
			all = append(all, Change{What: what + " " + key(f), From: "there", To: "removed"})
		}
	}
	return all
}

func samePort(a, b Listen) bool {
	return a.Name == b.Name && a.PortMax == b.PortMax && slices.Equal(a.Secrets, b.Secrets) && reflect.DeepEqual(a.PortSettings, b.PortSettings)
}

func sameSecret(a, b NamedSecret) bool {
	return a.Secret.Equal(b.Secret) && reflect.DeepEqual(a.SecretSettings, b.SecretSettings)
}

// String is a line for people: "max-clients: 100 becomes 200".
func (c Change) String() string {
	var b strings.Builder
	b.WriteString(c.What)
	switch {
	case strings.HasPrefix(c.What, "port ") || strings.HasPrefix(c.What, "secret "):
		b.WriteString(" " + c.To)
	case c.From == "" && c.To == "":
		b.WriteString(" changed")
	default:
		b.WriteString(": " + quoteEmpty(c.From) + " becomes " + quoteEmpty(c.To))
	}
	if c.Restart {
		b.WriteString(" (after a restart)")
	}
	return b.String()
}

func quoteEmpty(text string) string {
	if text == "" {
		return "nothing"
	}
	return text
}
