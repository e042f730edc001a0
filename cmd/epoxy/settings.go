package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"epoxy/engine/config"
)

const maxSettings = 16 << 20 // bytes of a settings file; a secret with all it may have takes 200

// warning is what does not keep a command from its work.
type warning struct {
	text, key, value string // key and value as a log line has them
}

func (w warning) String() string { return w.text + ": " + w.value }

// settings fills s from the variables and the file that the flags of cmd left open, validates, and finds the state
// directory.
func (a *app) settings(cmd *cobra.Command, s *config.Settings) ([]warning, error) {
	return a.fill(cmd.Flags(), s)
}

// load reads the settings anew, from args (the flags of run as they were typed), the variables and the file that
// either names, which may have changed. Call it as often as settings are wanted; no two results share anything.
func (a *app) load(args []string) (*config.Settings, []warning, error) {
	s := config.Default()
	fs := pflag.NewFlagSet("run", pflag.ContinueOnError)
	fs.SetOutput(io.Discard)
	config.Register(fs, s)
	if err := fs.Parse(args); err != nil {
		return nil, nil, usage(errors.New("a flag is written wrongly")) // the parser's words may hold a secret
	}
	warnings, err := a.fill(fs, s)
	if err != nil {
		return nil, nil, err
	}
	return s, warnings, nil
}

// typed returns the flags of the command that runs, as they were typed, for load.
func (a *app) typed(cmd *cobra.Command) []string {
	_, flags, err := cmd.Root().Find(a.args)
	if err != nil {
		return nil // the command would not run
	}
	return flags
}

// fill does the work of settings on any flags.
func (a *app) fill(fs *pflag.FlagSet, s *config.Settings) ([]warning, error) {
	warnings, err := a.read(fs, s)
	if err != nil {
		return nil, err
	}
	if err := s.Validate(); err != nil {
		return nil, usage(err)
	}
	return warnings, nil
}

// read is fill without Validate, for who wants to tell mistakes in another way. The error is a file that cannot be read.
func (a *app) read(fs *pflag.FlagSet, s *config.Settings) (warnings []warning, err error) {
	for _, name := range config.FromEnv(fs, a.environ) {
		warnings = append(warnings, warning{"this variable belongs to no flag", "variable", name})
	}
	if s.File != "" {
		text, mode, err := readSettings(s.File)
		if err != nil {
			return nil, usage(fmt.Errorf("the settings file %q %w", s.File, err))
		}
		if secrets := config.FromFile(fs, s, s.File, text); secrets && mode&0o077 != 0 {
			warnings = append(warnings, warning{"others may read the secrets in the settings file; chmod 600 it", "file", s.File})
		}
	}
	if s.StateDir == "" {
		s.StateDir = config.DefaultStateDir(a.getenv, a.uid)
	}
	return warnings, nil
}

// readSettings returns a settings file's text and permissions.
func readSettings(path string) ([]byte, os.FileMode, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, cannotRead(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, 0, cannotRead(err)
	}
	if info.IsDir() {
		return nil, 0, errors.New("is a directory; name the file in it")
	}
	text, err := io.ReadAll(io.LimitReader(f, maxSettings+1))
	switch {
	case err != nil:
		return nil, 0, cannotRead(err)
	case len(text) > maxSettings:
		return nil, 0, errors.New("is longer than 16 MiB; name a file of settings")
	}
	return text, info.Mode().Perm(), nil
}

// cannotRead words the error of a file whose path was told already.
func cannotRead(err error) error {
	if e, ok := errors.AsType[*os.PathError](err); ok {
		err = e.Err
	}
	return fmt.Errorf("cannot be read: %w", err)
}
