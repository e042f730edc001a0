package config

import (
	"io/fs"
	"strconv"
	"strings"
)

// Token is the password of the operator's door; no print of it shows it.
type Token string

// String returns nothing of the token.
func (t Token) String() string {
	if t == "" {
		return ""
	}
	return "..."
}

// GoString is String.
func (t Token) GoString() string { return t.String() }

// MarshalText is String, for logs as JSON.
func (t Token) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// parseToken reads a token, which stands in a header of HTTP. Empty is none.
func parseToken(text string) (Token, error) {
	const cure = "write 16 or more letters and digits, such as those that epoxy secret prints"
	switch {
	case text == "":
	case len(text) < minToken:
		return "", wrong("is short enough to be guessed (not shown)", cure)
	case len(text) > maxToken:
		return "", wrong("is longer than "+strconv.Itoa(maxToken)+" bytes (not shown)", cure)
	case strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }):
		return "", wrong("has characters that a header of HTTP does not have (not shown)", cure)
	}
	return Token(text), nil
}

// parseMode reads the permissions of a unix socket in octal. Its owner must be able to use it.
func parseMode(text string) (fs.FileMode, error) {
	const cure = "write octal digits such as 0600, or 0660 for the group too"
	n, err := strconv.ParseUint(text, 8, 32)
	switch {
	case err != nil, n > 0o777:
		return 0, wrong("is no mode of a file", cure)
	case n&0o600 != 0o600:
		return 0, wrong("keeps the owner out", cure)
	}
	return fs.FileMode(n), nil
}

func showMode(m fs.FileMode) string { return "0" + strconv.FormatUint(uint64(m), 8) }

// door adds the flags of the operator's door.
func (r registrar) door() {
	s := r.s
	scalar(r, &s.Admin, "admin", "ADDR", parseAdmin, Endpoint.String, "the operator's door (metrics, health, commands): a loopback address, with --admin-token any other, unix:/path, or off")
	r.add(&value{
		name: "admin-token", kind: "TEXT", hidden: true,
		parse: func(text string, _ bool) (err error) {
			t, err := parseToken(text)
			if err == nil {
				s.AdminToken = t
			}
			return err
		},
	}, "what the door asks for on every page but /healthz and /readyz, 16 characters or more; better in EPOXY_ADMIN_TOKEN than on a command line. The way there is not encrypted")
	scalar(r, &s.AdminMode, "admin-mode", "MODE", parseMode, showMode, "permissions of the door's unix socket")
}

// door checks that others do not get in.
func (c *checker) door() {
	if a := c.Admin.Addr; a.IsValid() && !a.Addr().IsLoopback() && c.AdminToken == "" {
		c.wrong("admin", c.Admin.String(), "without "+c.where("admin-token")+" the door opens on loopback only",
			"add "+c.where("admin-token")+", or write 127.0.0.1:8888, [::1]:8888, unix:/path or off")
	}
	for _, l := range c.Listen {
		if !c.Admin.IsZero() && l.overlaps(c.Admin) {
			c.wrong("admin", c.Admin.String(), "clients connect there ("+c.where("listen")+" "+l.Endpoint.String()+")", "choose another port")
		}
	}
}
