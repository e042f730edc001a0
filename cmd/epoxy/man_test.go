package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// deploy/man has a page for every command that has something to say, as make docs writes them, and no other.
func TestManual(t *testing.T) {
	const dir = "../../deploy/man"
	pages := manual(newWorld(t).root())
	for name, page := range pages {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || string(text) != page {
			t.Errorf("%s is not what the command says (%v): run make docs", name, err)
		}
	}
	there, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range there {
		if _, ok := pages[f.Name()]; !ok {
			t.Errorf("%s is of no command: run make docs", f.Name())
		}
	}
	for _, want := range []string{"epoxy.1", "epoxy-run.1", "epoxy-config-show.1"} {
		if pages[want] == "" {
			t.Errorf("there is no %s", want)
		}
	}
	again := manual(newWorld(t).root())
	for name := range pages {
		if pages[name] != again[name] {
			t.Errorf("%s is another each time", name)
		}
	}
}

// epoxy man writes the pages, takes those away that are no longer there, and leaves the rest alone.
func TestManCommand(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "man")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"epoxy-old.1", "other.1"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w := newWorld(t)
	if code := w.do("man", dir); code != exitOK {
		t.Fatalf("exit %d, %s", code, w.errs)
	}
	for name, want := range map[string]bool{"epoxy.1": true, "epoxy-run.1": true, "other.1": true, "epoxy-old.1": false} {
		if _, err := os.Stat(filepath.Join(dir, name)); (err == nil) != want {
			t.Errorf("%s: %v", name, err)
		}
	}
	if code := newWorld(t).do("man"); code != exitUsage {
		t.Errorf("without a directory: exit %d", code)
	}
}

// What roff would take for its own is printed as it stands.
func TestRoff(t *testing.T) {
	for text, want := range map[string]string{
		"--a-b": `\-\-a\-b`, `a\b`: `a\eb`, ".SH": `\&.SH`, "'s": `\(aqs`, "ä": `\[u00E4]`, "a.b": "a.b",
	} {
		if got := roff(text); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}

// groff finds nothing to warn of in any page.
func TestManualLint(t *testing.T) {
	groff, err := exec.LookPath("groff")
	if err != nil {
		t.Skip("groff is not installed")
	}
	for name, page := range manual(newWorld(t).root()) {
		cmd := exec.CommandContext(t.Context(), groff, "-man", "-ww", "-Tascii", "-z")
		cmd.Stdin = strings.NewReader(page)
		if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}
