package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// A watched file is worth a reload once for each version, when it has settled: written, replaced by another, or back after it was gone.
func TestWatcher(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "epoxy.toml")
	at := time.Date(2026, 11, 23, 1, 0, 0, 0, time.UTC)
	write := func(name, text string) {
		at = at.Add(time.Second)
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(name, at, at); err != nil {
			t.Fatal(err)
		}
	}
	write(path, "a")
	w := watcher{used: stampOf(path), last: stampOf(path)}
	looks := func(want ...bool) {
		t.Helper()
		for i, yes := range want {
			if got := w.look(stampOf(path)); got != yes {
				t.Errorf("look %d says %v", i+1, got)
			}
		}
	}
	looks(false, false)
	write(path, "ab")
	looks(false, true, false, false)
	write(path, "abc")
	looks(false)
	write(path, "abcd") // still being written
	looks(false, true, false)
	write(filepath.Join(dir, "new"), "abcd")
	if err := os.Rename(filepath.Join(dir, "new"), path); err != nil {
		t.Fatal(err)
	}
	looks(false, true, false)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	looks(false, false, false)
	write(path, "e")
	looks(false, true, false)
}
