package config

import (
	"strings"

	"epoxy/codec"
)

// Mistake is one wrong setting, told to the operator: where it was written, what was written, what is wrong
// with it and what to write instead. Value is empty when it must not be shown.
type Mistake struct {
	Where, Value, Problem, Cure string
}

// Error returns `--flag "value": problem; cure`.
func (m *Mistake) Error() string {
	var b strings.Builder
	b.WriteString(m.Where)
	if m.Value != "" {
		b.WriteString(" \"" + m.Value + "\"")
	}
	b.WriteString(": " + m.Problem)
	if m.Cure != "" {
		b.WriteString("; " + m.Cure)
	}
	return b.String()
}

// tell sets the value that was refused, unless it has 32 hex digits in a row: a secret in the place of something else.
func (m *Mistake) tell(text string) {
	if m.Value == "" {
		m.Value = text
	}
	if keyInside(m.Value) {
		m.Value = ""
	}
}

func keyInside(text string) bool {
	run := 0
	for _, c := range []byte(text) {
		if run++; !('0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'f') {
			run = 0
		}
		if run == 2*codec.KeySize {
			return true
		}
	}
	return false
}

// wrong is what a parser returns: it does not know the flag or variable that brought the text.
func wrong(problem, cure string) *Mistake { return &Mistake{Problem: problem, Cure: cure} }
