package tables

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"epoxy/engine/policy"
)

func open(t testing.TB, path string) (*policy.Tables, *Store) {
	t.Helper()
	tables := policy.NewTables(0)
	s, err := Open(path, tables)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return tables, s
}

// dump returns all tables as text.
func dump(t *policy.Tables) string {
	var b strings.Builder
	for _, info := range t.Names() {
		fmt.Fprintf(&b, "[%s]\n%s", info.Name, t.Export(info.Name))
	}
	return b.String()
}

// some is a table's text with n keys and some of each kind.
func some(n int) string {
	b := []byte("client_ip 192.0.2.1\nclient_subnet 2001:db8::/32\nport main\nsecret bob\n")
	for i := range n {
		b = fmt.Appendf(b, "tls_domain host-%d.example.org\n", i)
	}
	return string(b)
}

func TestAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deeper", "tables.db")
	tables, s := open(t, path)
	for _, name := range []string{"a", "b", "gone"} {
		if _, err := tables.Import(name, some(3*loadBatch)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	tables.Drop("gone")
	tables.Del("b", tables.List("b")[7:100]...)
	tables.Add("b", tables.List("a")[9], tables.List("a")[10])
	tables.Add("c", tables.List("a")[0])
	tables.Del("c", tables.List("a")[0])
	want := dump(tables)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("closed again: %v", err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	tables.Drop("a") // stays in memory
	if n, err := s.Pending(); n != 0 || err != nil {
		t.Errorf("%d pending, %v", n, err)
	}
	tables, s = open(t, path)
	if got := dump(tables); got != want || s.Damaged() != nil {
		t.Errorf("read again: %d bytes, want %d; %v", len(got), len(want), s.Damaged())
	}
}

// TestDurable: within a second a change is on disk, as a process finds it that reads the file's copy while
// the first one lives on, or was killed.
func TestDurable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		path := filepath.Join(dir, "tables.db")
		tables, s := open(t, path)
		for i, text := range []string{some(10), "port second", some(5000)} {
			if _, err := tables.Import(fmt.Sprint("t", i), text); err != nil {
				t.Fatal(err)
			}
			if n, _ := s.Pending(); n == 0 {
				t.Error("nothing is pending")
			}
			time.Sleep(time.Second)
			synctest.Wait()
			if n, err := s.Pending(); n != 0 || err != nil {
				t.Errorf("%d pending after a second, %v", n, err)
			}
			file, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			killed := filepath.Join(dir, fmt.Sprint("killed", i))
			if err := os.WriteFile(killed, file, 0o600); err != nil {
				t.Fatal(err)
			}
			after, _ := open(t, killed)
			if dump(after) != dump(tables) {
				t.Errorf("step %d: another table after the kill", i)
			}
		}
	})
}

// TestLocked: two stores of one file are refused.
func TestLocked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tables.db")
	_, s := open(t, path)
	if _, err := Open(path, policy.NewTables(0)); !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), path) {
		t.Errorf("the second: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, path)
}

// TestDamaged cuts and flips a file everywhere: it is read as it was, or moved away and the tables are empty
// and work.
func TestDamaged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tables.db")
	tables, s := open(t, path)
	tables.Import("a", some(400))
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	tables.Import("b", some(3))
	want := dump(tables)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	damaged := 0
	try := func(what string, file []byte) {
		t.Helper()
		dir, err := os.MkdirTemp(t.TempDir(), "")
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, "tables.db")
		if err := os.WriteFile(path, file, 0o600); err != nil {
			t.Fatal(err)
		}
		tables := policy.NewTables(0)
		s, err := Open(path, tables)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		defer s.Close()
		d := s.Damaged()
		if d == nil {
			if got := dump(tables); got != want && len(file) > 0 && !strings.HasPrefix(want, got) {
				t.Errorf("%s: not damaged, and other tables:\n%s", what, got)
			}
			return
		}
		damaged++
		moved, err := os.ReadFile(d.Moved)
		if err != nil || !bytes.Equal(moved, file) || !strings.HasPrefix(d.Moved, path+".damaged-") || !strings.Contains(d.Error(), d.Moved) {
			t.Errorf("%s: %v: %v", what, d, err)
		}
		if tables.Len() != 0 {
			t.Errorf("%s: damaged, and %d keys", what, tables.Len())
		}
		if _, err := tables.Import("new", some(1)); err != nil || s.Flush() != nil {
			t.Errorf("%s: does not work: %v", what, err)
		}
	}
	try("none", nil)
	try("text", []byte("hello"))
	try("zero", make([]byte, 1<<16))
	for n := 1; n < len(good); n += 1500 {
		try(fmt.Sprint("cut at ", n), good[:n])
	}
	if damaged < len(good)/1500/2 {
		t.Errorf("only %d were found damaged", damaged)
	}
	rings := 0
	for at := 0; at < len(good); at += os.Getpagesize() {
		flags, count := binary.NativeEndian.Uint16(good[at+8:]), binary.NativeEndian.Uint16(good[at+10:])
		if flags != branchPage || count == 0 {
			continue
		}
		file := bytes.Clone(good)
		copy(file[at+headSize+8:], file[at:at+8]) // its own child
		before := damaged
		try(fmt.Sprint("a ring at ", at), file)
		rings += damaged - before
	}
	if rings == 0 {
		t.Error("no branch was made a ring")
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		file, at := bytes.Clone(good), r.IntN(len(good))
		if r.IntN(2) == 0 {
			at = at&^4095 | r.IntN(64) // a page's head
		}
		file[at] ^= 1 << r.IntN(8)
		try(fmt.Sprint("flipped at ", at), file)
	}
	t.Log(damaged, "damaged")
}

// TestRefused: what is no damage is an error and leaves the file alone.
func TestRefused(t *testing.T) {
	dir := t.TempDir()
	if _, err := Open(dir, policy.NewTables(0)); err == nil {
		t.Error("a directory is taken")
	}
	path := filepath.Join(dir, "tables.db")
	tables, s := open(t, path)
	tables.Import("a", some(5))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path, policy.NewTables(3)); !errors.Is(err, policy.ErrFull) || !strings.Contains(err.Error(), "--table-max") {
		t.Errorf("too small tables: %v", err)
	}
	tables, _ = open(t, path)
	if tables.Len() != 9 {
		t.Errorf("%d keys", tables.Len())
	}
}

// TestFailure: changes that cannot be written stay pending, the newest of each key.
func TestFailure(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tables.db")
	tables, s := open(t, path)
	s.db.MaxSize = 1 // no growth
	tables.Import("a", some(5000))
	if err := s.Flush(); err == nil {
		t.Fatal("written without room")
	}
	if n, err := s.Pending(); n != 5004 || err == nil {
		t.Fatalf("%d pending, %v", n, err)
	}
	gone := tables.List("a")[:10]
	tables.Del("a", gone...)
	s.Flush()
	s.db.MaxSize = 0
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	want := dump(tables)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if tables, _ = open(t, path); dump(tables) != want {
		t.Error("another table after the failure")
	}
}

func BenchmarkImport(b *testing.B) {
	for b.Loop() {
		tables, s := open(b, filepath.Join(b.TempDir(), "tables.db"))
		tables.Import("a", some(100_000))
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
