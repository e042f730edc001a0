package quota

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// use makes a ledger with a file and has a secret carry n bytes up.
func use(t *testing.T, path, name string, n int) *Ledger {
	t.Helper()
	l, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	l.Configure(options, []Limits{{Name: name}})
	s := newSide(l)
	p := s.admit(t, name, "192.0.2.1")
	p.send(n)
	pass(settleTime+1, nil, s)
	return l
}

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state", "quota.db")
	for want := uint64(100); want <= 300; want += 100 {
		l := use(t, path, "a", 100)
		if u := usage(t, l, "a"); u.Up != want || u.AllUp != 100 {
			t.Fatalf("%d bytes of all time, %d of this process; want %d and 100", u.Up, u.AllUp, want)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if err := l.Flush(); err != nil {
			t.Fatalf("after Close: %v", err)
		}
	}
	// A name that is gone is forgotten, one that is new begins at zero.
	if err := use(t, path, "b", 50).Close(); err != nil {
		t.Fatal(err)
	}
	l := use(t, path, "a", 10)
	if u := usage(t, l, "a"); u.Up != 10 {
		t.Errorf("a forgotten name begins at %d bytes", u.Up-10)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// What is flushed survives a process that is killed: here one that never closes its copy of the file.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "quota.db")
	l := use(t, path, "a", 100)
	if err := l.Flush(); err != nil {
		t.Fatal(err)
	}
	image, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, image, 0o600); err != nil {
		t.Fatal(err)
	}
	l = use(t, path, "a", 1)
	if u := usage(t, l, "a"); u.Up != 101 {
		t.Errorf("%d bytes, want 101", u.Up)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestLocked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "quota.db")
	first := use(t, path, "a", 1)
	second, err := Open(path)
	if !errors.Is(err, ErrLocked) {
		t.Fatalf("a second opening: %v", err)
	}
	second.Configure(options, []Limits{{Name: "a"}})
	s := newSide(second)
	s.admit(t, "a", "192.0.2.1").send(100)
	pass(settleTime+1, nil, s)
	if second.Retry() || second.Flush() != nil {
		t.Error("it has a file that another process has")
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if !second.Retry() || second.Retry() {
		t.Error("it does not take the file, or takes it twice")
	}
	if u := usage(t, second, "a"); u.Up != 101 || u.AllUp != 100 {
		t.Errorf("%d bytes of both, %d of this process; want 101 and 100", u.Up, u.AllUp)
	}
	if err := second.Close(); err != nil {
		t.Fatal(err)
	}
	third := use(t, path, "a", 1)
	if u := usage(t, third, "a"); u.Up != 102 {
		t.Errorf("%d bytes in the file, want 102", u.Up)
	}
	if err := third.Close(); err != nil {
		t.Error(err)
	}
}

// Whatever stands in the file, there is a ledger that works, and what was there is kept aside.
func TestDamaged(t *testing.T) {
	good := filepath.Join(t.TempDir(), "quota.db")
	if err := use(t, good, "a", 100).Close(); err != nil {
		t.Fatal(err)
	}
	image, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	at := strings.Index(string(image), "a\x00\x00\x00\x00\x00\x00\x00\x64") // the record
	if at < 0 {
		t.Fatal("no record in the file")
	}
	flipped := append([]byte(nil), image...)
	flipped[at+8] ^= 1
	for name, bytes := range map[string][]byte{
		"text": []byte("no database"), "cut": image[:len(image)/2], "short": image[:100], "zeros": make([]byte, 1<<15), "bit": flipped,
	} {
		path := filepath.Join(t.TempDir(), "quota.db")
		if err := os.WriteFile(path, bytes, 0o600); err != nil {
			t.Fatal(err)
		}
		l, err := Open(path)
		damaged, ok := errors.AsType[*Damaged](err)
		if !ok {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if kept, err := os.ReadFile(damaged.Moved); err != nil || len(kept) < len(bytes) {
			t.Errorf("%s: %d bytes kept aside, %v", name, len(kept), err)
		}
		l.Configure(options, []Limits{{Name: "a"}})
		if u := usage(t, l, "a"); u.Up != 0 {
			t.Errorf("%s: %d bytes from a damaged file", name, u.Up)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
}

// A record is what was written under its name, and nothing else.
func TestRecord(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := record{rapid.Uint64().Draw(t, "up"), rapid.Uint64().Draw(t, "down"), rapid.Uint32().Draw(t, "period")}
		p := appendRecord(nil, []byte("name"), r)
		if got, ok := parseRecord([]byte("name"), p); !ok || got != r {
			t.Fatalf("%v comes back as %v, %v", r, got, ok)
		}
		i := rapid.IntRange(0, len(p)-1).Draw(t, "at")
		if _, ok := parseRecord([]byte("name"), p[:i]); ok {
			t.Fatal("a record that is cut passes")
		}
		p[i] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		if _, ok := parseRecord([]byte("name"), p); ok {
			t.Fatal("a record with a wrong bit passes")
		}
		if _, ok := parseRecord([]byte("nama"), appendRecord(nil, []byte("name"), r)); ok {
			t.Fatal("another name's record passes")
		}
	})
}

func FuzzRecord(f *testing.F) {
	f.Add([]byte("a"), appendRecord(nil, []byte("a"), record{1, 2, 3}))
	f.Fuzz(func(t *testing.T, name, p []byte) {
		if r, ok := parseRecord(name, p); ok && string(appendRecord(nil, name, r)) != string(p) {
			t.Fatal("a record that is read is written otherwise")
		}
	})
}
