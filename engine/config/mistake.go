package config

import "strings"

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

// wrong is what a parser returns: it does not know the flag or variable that brought the text.
func wrong(problem, cure string) *Mistake { return &Mistake{Problem: problem, Cure: cure} }
