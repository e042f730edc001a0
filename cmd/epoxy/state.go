package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"epoxy/codec"
	"epoxy/codec/secret"
	"epoxy/engine/config"
)

const (
	secretFile = "secret"
	maxFile    = 4 << 10 // bytes of a secret file; a sane one has 33
)

// ensureSecret gives s the secret of the state directory when it has none, and makes it first when that has none.
func (a *app) ensureSecret(s *config.Settings) (made bool, err error) {
	if len(s.Secrets) > 0 || len(s.Listen) == 0 { // a back may have no clients of its own
		return false, nil
	}
	if s.StateDir == "" {
		return false, usage(errors.New("there is no secret and no place to keep one; give --secret or --state-dir"))
	}
	kept, err := readSecret(s.StateDir)
	if errors.Is(err, fs.ErrNotExist) {
		made = true
		kept, err = a.makeSecret(s.StateDir)
	}
	if err != nil {
		return false, err
	}
	s.Secrets = []config.NamedSecret{{Name: "secret1", Secret: kept}}
	return made, nil
}

// readSecret returns the secret that dir keeps; the error is fs.ErrNotExist when it keeps none. No error holds a
// byte of the file.
func readSecret(dir string) (secret.Secret, error) {
	path := filepath.Join(dir, secretFile)
	f, err := os.Open(path)
	if err != nil {
		return secret.Secret{}, fmt.Errorf("the kept secret cannot be read: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return secret.Secret{}, fmt.Errorf("the kept secret cannot be read: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return secret.Secret{}, fmt.Errorf("others may read the secret in %s (mode %04o); chmod 600 it, or remove it for a new one if they did", path, info.Mode().Perm())
	}
	text, err := io.ReadAll(io.LimitReader(f, maxFile))
	if err != nil {
		return secret.Secret{}, fmt.Errorf("the kept secret cannot be read: %w", err)
	}
	kept, err := secret.Parse(strings.TrimSpace(string(text)))
	if err != nil {
		return secret.Secret{}, fmt.Errorf("%s is damaged (%w); restore it, or remove it for a new secret, after which old links no longer work", path, err)
	}
	return kept, nil
}

// makeSecret makes a plain secret and keeps it in dir, whole or not at all. When another process was first, its
// secret is returned.
func (a *app) makeSecret(dir string) (secret.Secret, error) {
	var key codec.Key
	if _, err := io.ReadFull(a.random, key[:]); err != nil {
		return secret.Secret{}, fmt.Errorf("no randomness for a secret: %w", err)
	}
	made, err := secret.Generate(key, secret.Plain, "")
	if err != nil {
		return secret.Secret{}, err
	}
	err = keep(dir, made.Hex()+"\n")
	if errors.Is(err, fs.ErrExist) {
		return readSecret(dir)
	}
	if err != nil {
		return secret.Secret{}, fmt.Errorf("the secret that was made cannot be kept: %w; give --secret, or a --state-dir that this user may write", err)
	}
	return made, nil
}

// keep writes text as the secret file of dir, mode 0600. A crash leaves the whole file or none; a file that is
// there already stays, with fs.ErrExist.
func keep(dir, text string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	temp, err := os.CreateTemp(dir, secretFile+".*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(temp.Name()) }() // gone already where it was renamed
	_, err = temp.WriteString(text)
	if err := errors.Join(err, temp.Sync(), temp.Close()); err != nil {
		return err
	}
	path := filepath.Join(dir, secretFile)
	err = os.Link(temp.Name(), path)
	if err != nil && !errors.Is(err, fs.ErrExist) { // a file system without hard links
		err = os.Rename(temp.Name(), path)
	}
	if err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
