package config

import (
	"errors"
	"strings"

	"github.com/spf13/pflag"
)

// value is one setting as a pflag.Value. Set never fails: a wrong text becomes a Mistake of the Settings, so
// that all of them are told at once, in our words, and a secret is not echoed by the flag parser.
type value struct {
	settings *Settings
	name     string // of the flag
	kind     string // what help calls the text
	section  string // the heading that it stands under
	list     bool   // repeatable; the first text replaces the default
	hidden   bool   // the text is a secret
	flagOnly bool   // it stands in no file
	touched  bool
	order    int      // among the words of a port or secret
	choices  []string // the words that it takes; nil when there are others
	open     bool     // others than choices, too
	place    string   // where the text was written, when that is not for the Settings to say
	usage    string
	parse    func(text string, first bool) error
	show     func() string
	masked   func() string              // what may be shown of a secret; nil is nothing of it
	split    func(text string) []string // of a variable's text into a list's
}

// Set takes one text from a flag or variable.
func (v *value) Set(text string) error {
	err := v.parse(text, !v.touched)
	v.touched = true
	if err == nil {
		return nil
	}
	m := &Mistake{Problem: err.Error()}
	if w, ok := errors.AsType[*Mistake](err); ok {
		*m = *w
	}
	if m.Where = v.place; m.Where == "" {
		m.Where = v.settings.where(v.name)
	}
	if !v.hidden {
		m.tell(text)
	}
	v.settings.mistakes = append(v.settings.mistakes, m)
	return nil
}

// String returns the present value as Set takes it, nothing for a secret.
func (v *value) String() string {
	if v.show == nil || v.hidden {
		return ""
	}
	return v.show()
}

// Type returns the word that help puts behind the flag.
func (v *value) Type() string { return v.kind }

// IsBoolFlag lets a flag stand alone.
func (v *value) IsBoolFlag() bool { return v.kind == kindBool }

const kindBool = "bool"

// ownValue returns the setting behind a flag, nil for a flag of somebody else's or none.
func ownValue(f *pflag.Flag) *value {
	if f == nil {
		return nil
	}
	v, _ := f.Value.(*value)
	return v
}

// Choices returns the words that a flag of ours takes, nil when it takes others; files says that it takes a file's name,
// dirs a directory's. It is for a shell's completion.
func Choices(f *pflag.Flag) (words []string, files, dirs bool) {
	v := ownValue(f)
	if v == nil {
		return nil, false, false
	}
	return v.choices, strings.HasSuffix(v.kind, "FILE"), v.kind == "DIR"
}

// where names what set a flag: the flag itself, its variable, or a line of a file.
func (s *Settings) where(flag string) string {
	if variable, ok := s.source[flag]; ok {
		return variable
	}
	return "--" + flag
}

// Variable returns the environment variable of a flag: EPOXY_ and the flag in capitals.
func Variable(flag string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

const envPrefix = "EPOXY_"

// splitList cuts a variable's text at commas and line ends, dropping blanks.
func splitList(text string) []string {
	var out []string
	for piece := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == ',' || r == '\n' || r == '\r' }) {
		if piece = strings.TrimSpace(piece); piece != "" {
			out = append(out, piece)
		}
	}
	return out
}

// splitPlaces is splitList for --listen and --secret, whose texts may have lists of their own behind a ?: a piece without a
// setting's or a place's shape belongs to the one before.
func splitPlaces(text string) []string {
	var out []string
	for _, piece := range splitList(text) {
		if n := len(out) - 1; n >= 0 && strings.Contains(out[n], "?") && !strings.ContainsAny(piece, "?=") && !strings.Contains(piece, ":") && len(piece) < 32 {
			out[n] += "," + piece
			continue
		}
		out = append(out, piece)
	}
	return out
}

// splitRoutes is splitList for --dc, whose texts have commas of their own: a piece without = belongs to the one before.
func splitRoutes(text string) []string {
	var out []string
	for _, piece := range splitList(text) {
		if len(out) > 0 && !strings.Contains(piece, "=") {
			out[len(out)-1] += "," + piece
			continue
		}
		out = append(out, piece)
	}
	return out
}
