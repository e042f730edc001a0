package replay

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func flock(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) }

// open opens a journal, which is closed at the latest at the test's end, and wants as many warnings.
func open(t *testing.T, dir string, now int64, warnings int) *Store {
	t.Helper()
	s, warned := Open(dir, Options{Memory: 1 << 20, Now: now, Key: [16]byte{9}, Lock: flock})
	if len(warned) != warnings {
		t.Fatalf("%d warnings, not %d: %v", len(warned), warnings, warned)
	}
	t.Cleanup(func() { kill(s) })
	return s
}

// kill ends a store as kill -9 does: the descriptors close and nothing is written.
func kill(s *Store) {
	s.flushing.Lock()
	defer s.flushing.Unlock()
	for _, f := range []*os.File{s.journal.file, s.journal.lock} {
		if f != nil {
			f.Close()
		}
	}
	s.journal = journal{closed: true}
}

func flush(t *testing.T, s *Store, now int64) {
	t.Helper()
	if err := s.Flush(now); err != nil {
		t.Fatal(err)
	}
}

// known counts the keys of fill that a store remembers, without inserting one.
func known(s *Store, from, n uint64, now int64) (count uint64) {
	for i := from; i < from+n; i++ {
		hash := s.key.sum(uint64(Hello), key(i))
		p := &s.parts[hash>>shardShift]
		a, b := p.pair(tagOf(hash))
		if a.has(tagOf(hash), unitOf(now)) || b.has(tagOf(hash), unitOf(now)) {
			count++
		}
	}
	return count
}

func wantKnown(t *testing.T, s *Store, from, n uint64, now int64, want uint64) {
	t.Helper()
	if got := known(s, from, n, now); got != want {
		t.Fatalf("%d of %d handshakes are remembered, not %d", got, n, want)
	}
}

// copyDir returns a copy of a journal.
func copyDir(t *testing.T, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return to
}

func segments(t *testing.T, dir string) (names []string) {
	t.Helper()
	all, err := list(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range all {
		names = append(names, filepath.Join(dir, g.name()))
	}
	return names
}

// B12, after a restart: what was seen is refused by the next process until its 48 h are over.
func TestRestart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "here")
	s := open(t, dir, start, 0)
	fill(s, 0, 3000, start)
	flush(t, s, start+1)
	fill(s, 3000, 3000, start+7200)
	if err := s.Close(start + 7201); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, start+7300, 0)
	wantKnown(t, s, 0, 7000, start+7300, 6000)
	wantKnown(t, s, 0, 7000, start+Keep, 6000)
	wantKnown(t, s, 0, 7000, start+Keep+16, 3000)
	if n := len(segments(t, dir)); n != 1 {
		t.Fatalf("%d segments after a restart", n)
	}
	fill(s, 6000, 10, start+7400)
	flush(t, s, start+7400)
	kill(s)
	s = open(t, dir, start+Keep+100, 0)
	wantKnown(t, s, 0, 7000, start+Keep+100, 3010)
	if st := s.Stats(); st.JournalBytes == 0 || st.Entries != 3010 || st.Checks != 0 {
		t.Fatalf("%+v", st)
	}
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if info, _ := d.Info(); err == nil && !d.IsDir() && info.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v", name, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// What came after the last Flush is lost by kill -9, and nothing else is, wherever the last write was torn.
func TestKilled(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, start, 0)
	fill(s, 0, 10, start)
	flush(t, s, start)
	whole := s.Stats().JournalBytes
	fill(s, 10, 5, start)
	flush(t, s, start)
	fill(s, 15, 50, start)
	name := segments(t, dir)[0]
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	kill(s)
	for cut := range len(data) + 1 {
		if err := os.WriteFile(name, data[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		want := uint64(0)
		if cut >= int(whole) {
			want = 10
		}
		if cut == len(data) {
			want = 15
		}
		s := open(t, dir, start, 0)
		wantKnown(t, s, 0, 200, start, want)
		fill(s, 500, 5, start)
		flush(t, s, start)
		kill(s)
		s = open(t, dir, start, 0)
		wantKnown(t, s, 500, 10, start, 5)
		wantKnown(t, s, 0, 200, start, want)
		kill(s)
		for _, other := range segments(t, dir) {
			os.Remove(other)
		}
	}
}

// A damaged byte costs the block that it is in, and a warning, and nothing more.
func TestDamage(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, start, 0)
	for i := range uint64(4) {
		fill(s, i*5, 5, start)
		flush(t, s, start)
	}
	kill(s)
	name := segments(t, dir)[0]
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	const block = blockHeader + 5*slotSize
	for at := range data {
		bad := append([]byte(nil), data...)
		bad[at] ^= 0x5a
		if err := os.WriteFile(name, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		want, warnings := uint64(15), 1
		switch {
		case at < fileHeader-4:
			want = 0 // the hash key is lost
		case at < fileHeader:
			want, warnings = 20, 0 // means nothing
		case at >= len(data)-block:
			warnings = 0 // as if torn
		}
		s := open(t, dir, start, warnings)
		wantKnown(t, s, 0, 100, start, want)
		kill(s)
		for _, other := range segments(t, dir)[1:] {
			os.Remove(other)
		}
	}
}

// A damaged header costs nothing while another segment has the key.
func TestDamagedHeader(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, start, 0)
	fill(s, 0, 100, start)
	flush(t, s, start)
	fill(s, 100, 100, start+segmentAge)
	flush(t, s, start+segmentAge)
	fill(s, 200, 100, start+segmentAge+1)
	flush(t, s, start+segmentAge+1)
	kill(s)
	names := segments(t, dir)
	if len(names) != 2 {
		t.Fatalf("%d segments after 12 h", len(names))
	}
	for _, name := range names {
		at := copyDir(t, dir)
		f, err := os.OpenFile(filepath.Join(at, filepath.Base(name)), os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt([]byte("?"), 3); err != nil {
			t.Fatal(err)
		}
		f.Close()
		wantKnown(t, open(t, at, start+segmentAge+2, 1), 0, 300, start+segmentAge+2, 300)
	}
}

// Segments go when their 48 h are over, and the oldest first when there are too many bytes.
func TestPrune(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, start, 0)
	for hour := range int64(200) {
		now := start + hour*3600
		fill(s, uint64(hour)*10, 10, now)
		flush(t, s, now)
		if n := len(segments(t, dir)); n > 6 || hour > 60 && n < 4 {
			t.Fatalf("%d segments after %d h", n, hour)
		}
		if hour >= 48 {
			wantKnown(t, s, uint64(hour-48)*10, 500, now, 490)
		}
	}
	now := int64(start + 200*3600)
	for i := range uint64(20) {
		fill(s, 1e6+i*20_000, 20_000, now)
		flush(t, s, now)
	}
	st := s.Stats()
	if limit := uint64(1<<20/4*5 + 1<<20/4 + 21_000*slotSize); st.JournalBytes > limit || st.JournalBytes < 1<<20 {
		t.Fatalf("%d bytes on disk for a table of 1 MiB", st.JournalBytes)
	}
	before := known(s, 1e6+19*20_000, 20_000, now)
	kill(s)
	s = open(t, dir, now, 0)
	if after := known(s, 1e6+19*20_000, 20_000, now); after < before*9/10 {
		t.Fatalf("%d of the last %d handshakes are there after a restart", after, before)
	}
	if onDisk := s.Stats().JournalBytes; onDisk != st.JournalBytes {
		t.Fatalf("%d bytes on disk, it was %d", onDisk, st.JournalBytes)
	}
}

// A second process beside the first one does not write, knows what the first knew, and takes over.
func TestTwoProcesses(t *testing.T) {
	dir := t.TempDir()
	first := open(t, dir, start, 0)
	second := open(t, dir, start, 1) // with the key of the first one, before anything was written
	fill(first, 0, 100, start)
	flush(t, first, start)
	fill(second, 1000, 100, start)
	flush(t, second, start)
	third := open(t, dir, start, 1)
	wantKnown(t, third, 0, 2000, start, 100)
	fill(first, 100, 100, start)
	if err := first.Close(start); err != nil {
		t.Fatal(err)
	}
	wantKnown(t, second, 0, 2000, start, 100)
	flush(t, second, start+1)
	wantKnown(t, second, 0, 2000, start+1, 300)
	flush(t, third, start+1)
	kill(second)
	flush(t, third, start+2)
	wantKnown(t, third, 0, 2000, start+2, 300)
	kill(third)
	wantKnown(t, open(t, dir, start+3, 0), 0, 2000, start+3, 300)
}

// A directory that cannot be used is a warning; the store works in memory.
func TestNoDirectory(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(t, name, start, 1)
	fill(s, 0, 100, start)
	flush(t, s, start)
	wantKnown(t, s, 0, 100, start, 100)
	if err := s.Close(start); err != nil {
		t.Fatal(err)
	}
}

// A failing disk costs neither a check nor, when it is well again, a handshake.
func TestFailingDisk(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, start, 0)
	fill(s, 0, 100, start)
	s.journal.file.Close() // every write fails from now on, and truncating too
	err := s.Flush(start)
	if !errors.Is(err, os.ErrClosed) || !strings.HasPrefix(err.Error(), "replay: ") {
		t.Fatal(err)
	}
	fill(s, 100, 100, start)
	if st := s.Stats(); st.FlushErrors != 1 || st.Entries != 200 {
		t.Fatalf("%+v", st)
	}
	flush(t, s, start)
	flush(t, s, start)
	kill(s)
	wantKnown(t, open(t, dir, start, 0), 0, 200, start, 200)
}

// Without a Flush what waits for the disk is bounded and counted.
func TestUnsaved(t *testing.T) {
	s := open(t, t.TempDir(), start, 0)
	fill(s, 0, maxBlock+maxBlock/4, start)
	st := s.Stats()
	if st.Unsaved < maxBlock/4 || st.Unsaved > maxBlock/3 {
		t.Fatalf("%+v", st)
	}
	flush(t, s, start)
	if n := s.Stats().JournalBytes; n > blockHeader+fileHeader+maxBlock*slotSize {
		t.Fatalf("%d bytes", n)
	}
}

// Times of the future, as a wrong clock leaves them, count as now.
func TestFutureJournal(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, start+1e9, 0)
	fill(s, 0, 100, start+1e9)
	flush(t, s, start+1e9)
	kill(s)
	s = open(t, dir, start, 0)
	wantKnown(t, s, 0, 100, start+Keep, 100)
	wantKnown(t, s, 0, 100, start+Keep+16, 0)
}
