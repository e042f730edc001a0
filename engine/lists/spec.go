package lists

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// Mode says what a list is for.
type Mode uint8

// The modes.
const (
	BlockDrop  Mode = iota // who is in it is dropped
	BlockFront             // who is in it sees the front
	AllowDrop              // who is in no allow list is dropped
	AllowFront             // who is in no allow list sees the front
)

var modeWords = []string{"block-drop", "block-front", "allow-drop", "allow-front"}

// String returns the word of m.
func (m Mode) String() string {
	if int(m) < len(modeWords) {
		return modeWords[m]
	}
	return "mode"
}

// allows reports whether m is of an allow list.
func (m Mode) allows() bool { return m == AllowDrop || m == AllowFront }

// action returns what happens to whom the list turns away.
func (m Mode) action() Action {
	if m == BlockDrop || m == AllowDrop {
		return Drop
	}
	return Front
}

// Action is what to do with a client.
type Action uint8

// The actions.
const (
	Pass  Action = iota // nothing against it
	Drop                // close
	Front               // treat as a stranger, who sees the front
)

// String returns the word of a.
func (a Action) String() string {
	switch a {
	case Pass:
		return "pass"
	case Drop:
		return "drop"
	case Front:
		return "front"
	}
	return "action"
}

// Spec is one list as the operator names it.
type Spec struct {
	Name   string // for logs and metrics
	Mode   Mode
	Source string // an http or https URL, a file URL without host, or a path
}

// String returns the spec as ParseSpec reads it, without what a URL keeps secret.
func (s Spec) String() string {
	source := s.Source
	if u, err := url.Parse(source); err == nil && u.Host != "" {
		if u.RawQuery != "" {
			u.RawQuery = "xxxxx"
		}
		source = u.Redacted()
	}
	return s.Name + " " + s.Mode.String() + " " + source
}

// ParseSpec reads "NAME MODE SOURCE", with spaces between. MODE is block-drop, block-front, allow-drop or
// allow-front; allow alone is allow-front, which does not show that a proxy is here.
func ParseSpec(text string) (Spec, error) {
	name, rest, _ := strings.Cut(strings.TrimSpace(text), " ")
	mode, source, ok := strings.Cut(strings.TrimSpace(rest), " ")
	if !ok {
		return Spec{}, errors.New("lists: a list is NAME MODE SOURCE; write one like: scanners block-front /etc/epoxy/scanners.netset")
	}
	if mode == "allow" {
		mode = AllowFront.String()
	}
	m := slices.Index(modeWords, mode)
	if m < 0 {
		return Spec{}, fmt.Errorf("lists: %q is no mode; one of %s", mode, strings.Join(modeWords, ", "))
	}
	s := Spec{Name: name, Mode: Mode(m), Source: strings.TrimSpace(source)}
	return s, s.check()
}

// check says what is wrong with the name or the source.
func (s Spec) check() error {
	ok := len(s.Name) > 0 && len(s.Name) <= maxName
	for i := 0; ok && i < len(s.Name); i++ {
		c := s.Name[i]
		ok = 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '-' || c == '.'
	}
	if !ok {
		return fmt.Errorf("lists: %q cannot be a list's name; take 1 to %d of letters, digits and _ - . only", s.Name, maxName)
	}
	if int(s.Mode) >= len(modeWords) {
		return fmt.Errorf("lists: the list %s has no mode", s.Name)
	}
	if _, _, err := s.source(); err != nil {
		return fmt.Errorf("%w (list %s)", err, s.Name)
	}
	return nil
}

var (
	errScheme = errors.New("lists: a source is an http or https URL, or a file")
	errHost   = errors.New("lists: the URL names no host")
)

// source returns where the list comes from, a URL or a path; the other one is empty.
func (s Spec) source() (web, path string, err error) {
	scheme, rest, ok := strings.Cut(s.Source, "://")
	if !ok {
		if s.Source == "" {
			return "", "", errScheme
		}
		return "", s.Source, nil
	}
	switch strings.ToLower(scheme) {
	case "http", "https":
		if u, err := url.Parse(s.Source); err != nil || u.Host == "" {
			return "", "", errHost // the error of url.Parse would show a password
		}
		return s.Source, "", nil
	case "file":
		if !strings.HasPrefix(rest, "/") {
			return "", "", errHost
		}
		return "", rest, nil
	}
	return "", "", errScheme
}
