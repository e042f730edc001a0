package config

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"epoxy/codec/rpc"
	"epoxy/codec/secret"
)

// NamedSecret is a secret and the name that logs and metrics use for it. The kind of the secret says only which
// links are made from it; its key serves every protocol that Allow has, because that is what --allow promises.
type NamedSecret struct {
	Name   string
	Secret secret.Secret
	SecretSettings

	own []setting
}

// SecretSettings is what a secret may have of its own.
type SecretSettings struct {
	Disabled     bool
	MaxClients   int       // at once; 0 is no limit
	MaxAddresses int       // unique ones at once and for --address-window after; 0 is no limit
	Quota        int64     // bytes, both directions together; 0 is no limit
	QuotaReset   Reset     // when used bytes are forgotten
	Expires      time.Time // zero is never
	RateUp       int64     // bytes a second from all its clients together; 0 is no limit
	RateDown     int64     // the same, to them
	Tag          *rpc.Tag  // the ad tag instead of the port's; nil is the port's
}

// Reset says when a quota begins anew.
type Reset uint8

// The choices. Never waits for the command.
const (
	ResetNever Reset = iota
	ResetMonthly
)

var resetWords = []string{ResetNever: "never", ResetMonthly: "monthly"}

// String returns the word of the setting.
func (r Reset) String() string { return word(resetWords, r) }

// ParseSecret reads "[NAME=]SECRET[?SETTING=VALUE&...]"; Name is empty when there is none. No error holds a byte of the
// secret. The settings are checked by Validate.
func ParseSecret(text string) (NamedSecret, error) {
	text, own, err := splitOwn(text)
	if err != nil {
		return NamedSecret{}, err
	}
	name, body, named := strings.Cut(text, "=")
	if !named || strings.Trim(body, "=") == "" { // the = of base64 padding
		name, body = "", text
	} else if err := checkName(name); err != nil {
		return NamedSecret{}, err
	}
	s, err := secret.Parse(body)
	if err != nil {
		problem := strings.TrimPrefix(err.Error(), "secret: ") // a fixed text, see codec/secret
		return NamedSecret{}, wrong("is no secret: "+problem+" ("+strconv.Itoa(len(body))+" characters, not shown)",
			"epoxy secret makes a good one")
	}
	return NamedSecret{Name: name, Secret: s, own: own}, nil
}

// secretWords returns the settings that n may have; they write to n.
func (n *NamedSecret) secretWords(s *Settings) words {
	w := words{}
	r := registrar{sink: w.take, s: s}
	o := &n.SecretSettings
	r.add(&value{
		name: "enabled", kind: kindBool,
		parse: func(text string, _ bool) error {
			on, err := parseBool(text)
			o.Disabled = !on
			return err
		},
		show: func() string { return strconv.FormatBool(!o.Disabled) },
	}, "false turns its clients away without forgetting it")
	scalar(r, &o.MaxClients, "max-clients", "N", parseInt(0, maxClients), strconv.Itoa, "clients at once; 0 is no limit")
	scalar(r, &o.MaxAddresses, "max-addresses", "N", parseInt(0, maxClients), strconv.Itoa, "addresses at once, and for --address-window after; IPv6 counts by /64; 0 is no limit")
	scalar(r, &o.Quota, "quota", "SIZE", parseBytes, showMemory, "bytes that it may carry, both directions together; 0 is no limit")
	choice(r, &o.QuotaReset, "quota-reset", "WHEN", resetWords, "when its quota begins anew: never (by epoxy secrets reset), monthly")
	scalar(r, &o.Expires, "expires", "DATE", parseExpiry, showExpiry, "when it ends: 2027-01-31 (the end of that day, UTC) or 2027-01-31T12:00:00Z")
	scalar(r, &o.RateUp, "rate-up", "SIZE", parseBytes, showMemory, "bytes a second from all its clients together; 0 is no limit")
	scalar(r, &o.RateDown, "rate-down", "SIZE", parseBytes, showMemory, "bytes a second to all its clients together; 0 is no limit")
	scalar(r, &o.Tag, "tag", "HEX", parseTag, showTag, "its own ad tag, instead of its port's")
	return w
}

// parseExpiry reads a day, which ends at midnight UTC, or a moment.
func parseExpiry(text string) (time.Time, error) {
	if text == "" || text == "never" {
		return time.Time{}, nil
	}
	if t, err := time.Parse(time.DateOnly, text); err == nil {
		return t.AddDate(0, 0, 1), nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, wrong("is neither a day nor a moment", "write 2027-01-31 or 2027-01-31T12:00:00Z")
	}
	return t.UTC(), nil
}

func showExpiry(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// String returns the name alone: a secret is not for reading.
func (n NamedSecret) String() string { return fmt.Sprintf("%s (%s)", n.Name, n.Secret.Kind) }
