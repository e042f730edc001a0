package main

import (
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"epoxy/engine/config"
	"epoxy/engine/doctor"
)

// report is what --json prints.
type report struct {
	Level    string
	Findings []struct{ Check, Name, Level, Text, Cure string }
}

// examined runs check offline and returns its report and exit code, which must fit each other.
func examined(t *testing.T, w *world, args ...string) (r report, code int) {
	t.Helper()
	code = w.do(append([]string{"check", "--offline", "--json", "--admin", "off"}, args...)...)
	if err := json.Unmarshal([]byte(w.out.String()), &r); err != nil {
		t.Fatalf("%v in %q, exit %d, %s", err, w.out, code, w.errs)
	}
	if want := map[string]int{"ok": 0, "note": 0, "warning": 1, "fault": 2}[r.Level]; code != want {
		t.Errorf("exit %d for %s", code, r.Level)
	}
	return r, code
}

// has reports whether there is a finding of this name with this text.
func (r report) has(name, text string) bool {
	for _, f := range r.Findings {
		if f.Name == name && strings.Contains(f.Text, text) {
			return true
		}
	}
	return false
}

func TestCheckCommand(t *testing.T) {
	t.Run("faults", func(t *testing.T) {
		w := newWorld(t)
		r, code := examined(t, w, "--listen", "127.0.0.1:0", "--secret", "alice=00112233445566778899aabbccddeeff")
		if code != exitFaults || !r.has("secret_public", "alice") || !r.has("skipped", "offline") {
			t.Errorf("exit %d, %+v", code, r)
		}
		if strings.Contains(w.out.String()+w.errs.String(), "00112233") {
			t.Error("a secret is shown")
		}
		if !strings.Contains(w.errs.String(), "epoxy: check: faults: 1") {
			t.Errorf("%q on standard error", w.errs)
		}
	})
	t.Run("mistakes", func(t *testing.T) {
		w := newWorld(t)
		w.environ = []string{"EPOXY_LISTN=:1"}
		r, code := examined(t, w, "--listen", "127.0.0.1:0", "--loops", "many")
		if code != exitFaults || !r.has("mistake", "--loops") || !r.has("unknown_variable", "EPOXY_LISTN") {
			t.Errorf("exit %d, %+v", code, r)
		}
	})
	t.Run("port", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		w := newWorld(t)
		r, code := examined(t, w, "--listen", l.Addr().String())
		if code != exitFaults || !r.has("port_taken", "is taken by epoxy.test (pid ") {
			t.Errorf("exit %d, %+v", code, r)
		}
	})
	t.Run("kept secret", func(t *testing.T) {
		w, dir := newWorld(t), t.TempDir()
		name := filepath.Join(dir, secretFile)
		if err := os.WriteFile(name, []byte(testKey+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if r, _ := examined(t, w, "--listen", "127.0.0.1:0", "--state-dir", dir); !r.has("", "secret secret1 cannot be guessed") {
			t.Errorf("%+v", r)
		}
		if err := os.Chmod(name, 0o644); err != nil {
			t.Fatal(err)
		}
		w = newWorld(t)
		if r, code := examined(t, w, "--listen", "127.0.0.1:0", "--state-dir", dir); code != exitFaults || !r.has("secret_kept", "others may read") {
			t.Errorf("%+v", r)
		}
	})
	t.Run("wrongly asked", func(t *testing.T) {
		w := newWorld(t)
		if code := w.do("check", "--offline", "--timeout", "0s"); code != exitUsage {
			t.Errorf("exit %d", code)
		}
	})
}

// TestCheckText prints findings by check, and a cure that several share once.
func TestCheckText(t *testing.T) {
	w := newWorld(t)
	w.printFindings([]doctor.Finding{
		{Check: "clock", Text: "right"},
		{Check: "ports", Level: doctor.Fault, Text: "one", Cure: "move"},
		{Check: "ports", Level: doctor.Warning, Text: "two", Cure: "move"},
	})
	if want := "clock\n  ok    right\nports\n  FAIL  one\n  WARN  two\n        -> move\n"; w.out.String() != want {
		t.Errorf("printed %q, want %q", w.out, want)
	}
}

// TestCheckExits says by the exit code what the worst finding is.
func TestCheckExits(t *testing.T) {
	for somaxconn, want := range map[string]int{"4096": exitOK, "128": exitWarnings} {
		w := newWorld(t)
		s := config.Default()
		s.Admin = config.Endpoint{}
		o := doctor.Options{Offline: true, Timeout: time.Minute, Mistakes: s.Validate(), Bind: func(string) error { return nil }, Root: fstest.MapFS{
			"proc/self/limits":            {Data: []byte("Max open files 1024 1048576 files\n")},
			"proc/sys/net/core/somaxconn": {Data: []byte(somaxconn + "\n")},
		}}
		code := exitOK
		if err := w.examine(t.Context(), s, o, false, nil); err != nil {
			code = err.(*exitError).code
		}
		if code != want {
			t.Errorf("exit %d, want %d: %s", code, want, w.out)
		}
	}
}
