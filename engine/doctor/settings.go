package doctor

import (
	"context"
	"errors"

	"epoxy/engine/config"
)

// settings tells what Validate said, and what is there and does nothing.
func (d *doctor) settings(context.Context) (found []Finding) {
	for _, err := range mistakes(d.Mistakes) {
		f := Finding{Check: "settings", Name: "mistake", Level: Fault, Text: err.Error()}
		if m, ok := errors.AsType[*config.Mistake](err); ok {
			bare := *m
			bare.Cure = ""
			f.Text, f.Cure = bare.Error(), m.Cure
		}
		found = append(found, f)
	}
	for _, name := range d.Unknown {
		found = append(found, Finding{Check: "settings", Name: "unknown_variable", Level: Warning,
			Text: "the variable " + name + " belongs to no flag and does nothing", Cure: "correct its name (epoxy run --help lists the flags), or unset it"})
	}
	if len(found) == 0 {
		found = one(Finding{Check: "settings", Text: "flags and variables fit together"})
	}
	skipped := "the clock, the domain, fronts and Telegram were not looked at"
	switch {
	case d.Mistakes != nil:
		found = append(found, Finding{Check: "settings", Name: "skipped", Level: Note, Text: skipped, Cure: "correct the settings first"})
	case d.Offline:
		found = append(found, Finding{Check: "settings", Name: "skipped", Level: Note, Text: skipped + ": offline"})
	}
	return found
}

// mistakes parts what errors.Join joined.
func mistakes(err error) []error {
	switch joined, ok := err.(interface{ Unwrap() []error }); {
	case err == nil:
		return nil
	case ok:
		return joined.Unwrap()
	}
	return []error{err}
}
