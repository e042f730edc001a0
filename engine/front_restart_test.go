package engine_test

import (
	"os"
	"path/filepath"
	"testing"

	"epoxy/codec"
)

// size adds up the files below dir.
func size(t *testing.T, dir string) (n int64) {
	t.Helper()
	err := filepath.WalkDir(dir, func(_ string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			n += info.Size()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// A hello that a former process answered is a copy after a restart, be it one in good order or one by kill -9, of which the
// state of a second after the hello is left.
func TestFrontRestart(t *testing.T) {
	dir, killed := t.TempDir(), t.TempDir()
	s := newSite(t)
	at := func(dir string) *house {
		set := fronted(s)
		set.StateDir = dir
		return start(t, set)
	}
	h := at(dir)
	before := size(t, dir)
	hello := greet(t, nil)
	wantFlight(t, stranger(t, h.addr, hello), hello)
	eventually(t, func() bool { return size(t, dir) > before }, func() string { return "the hello is not on disk" })
	if err := os.CopyFS(killed, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	last := greet(t, nil) // and nobody waits until it is on disk
	wantFlight(t, stranger(t, h.addr, last), last)
	h.Stop()

	h = at(killed)
	s.spliced(t, stranger(t, h.addr, hello), hello)
	h.strangers(t, codec.ReasonReplay, 1)
	h.Stop()
	for range 2 { // a copy of a copy, too
		h = at(dir)
		s.spliced(t, stranger(t, h.addr, hello), hello)
		s.spliced(t, stranger(t, h.addr, last), last)
		h.strangers(t, codec.ReasonReplay, 2)
		h.Stop()
	}
	h = start(t, fronted(s)) // another proxy has not seen them
	wantFlight(t, stranger(t, h.addr, hello), hello)
}
