package config

import (
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// FromEnv fills the settings behind fs from environ ("NAME=value", as os.Environ gives), for every flag that the
// command line did not set, but not for hidden ones, which are none of the command's business. Call it after fs was parsed. It returns the EPOXY_* variables that belong to no flag of
// known, in order: a slip of the pen, or something of another program's.
func FromEnv(fs *pflag.FlagSet, environ []string) (unknown []string) {
	vars := map[string]string{}
	for _, entry := range environ {
		name, text, _ := strings.Cut(entry, "=")
		if strings.HasPrefix(name, envPrefix) {
			vars[name] = text
		}
	}
	fs.VisitAll(func(f *pflag.Flag) {
		name := Variable(f.Name)
		text, set := vars[name]
		delete(vars, name)
		v, ours := f.Value.(*value)
		if !ours || !set || text == "" || f.Changed || f.Hidden {
			return
		}
		v.settings.setSource(f.Name, name)
		f.Changed = true
		texts := []string{text}
		if v.list {
			texts = v.split(text)
		}
		for _, t := range texts {
			_ = v.Set(t) // Set never fails
		}
	})
	for name := range vars {
		unknown = append(unknown, name)
	}
	slices.Sort(unknown)
	return unknown
}

func (s *Settings) setSource(flag, variable string) {
	if s.source == nil {
		s.source = map[string]string{}
	}
	s.source[flag] = variable
}
