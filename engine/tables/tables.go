// Package tables keeps policy tables on disk.
//
// One bbolt file holds them: a bucket for each table, whose sequence is how many keys it has, and for each
// line of the table ("tls_domain example.org") a key with a checksum. Changes are written by one goroutine
// within a second, a large import as fast as the disk takes it. A process that is killed loses what was not
// yet written, and never the file, which does not shrink.
package tables

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"epoxy/engine/policy"
)

// ErrLocked is what Open returns when another process has the file.
var ErrLocked = errors.New("tables: another process has the file; stop it, or give each a state directory of its own")

// Damaged says that a file could not be read and where it is now. Service goes on with empty tables.
type Damaged struct {
	Path, Moved string
	Err         error
}

// Error says what to do about it.
func (d *Damaged) Error() string {
	return fmt.Sprintf("tables: %s is damaged (%v) and was moved to %s; the tables are empty, import them again", d.Path, d.Err, d.Moved)
}

// Unwrap returns what was found wrong.
func (d *Damaged) Unwrap() error { return d.Err }

// Store writes the changes of policy.Tables to a file. Its methods may be called by anybody.
type Store struct {
	db      *bbolt.DB
	damaged *Damaged
	kick    chan struct{} // holds one
	stop    chan struct{}
	stopped sync.WaitGroup
	once    sync.Once

	writing sync.Mutex // one writer at a time

	mu      sync.Mutex // guards what follows
	pending map[line]bool
	err     error // of the last write
	closed  bool
}

// line is a line of a table; in pending true when it was added, false when deleted.
type line struct{ table, text string }

// Open reads the file at path, made when missing, into t, which is empty, and from then on writes every
// change of t. A damaged file is renamed to path.damaged-UNIX and t stays empty: see Damaged. Errors are
// ErrLocked, policy.ErrFull when the file has more keys than t may hold, and those of the file system.
func Open(path string, t *policy.Tables) (*Store, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("tables: %w", err)
	}
	db, err := load(path, t)
	var damaged *Damaged
	if errors.As(err, &damaged) {
		for _, info := range t.Names() {
			t.Drop(info.Name)
		}
		damaged.Moved = fmt.Sprintf("%s.damaged-%d", path, time.Now().Unix())
		if err := os.Rename(path, damaged.Moved); err != nil {
			return nil, errors.Join(damaged, err)
		}
		db, err = load(path, t)
	}
	switch {
	case errors.Is(err, berrors.ErrTimeout):
		return nil, fmt.Errorf("%w (%s)", ErrLocked, path)
	case errors.Is(err, policy.ErrFull):
		return nil, fmt.Errorf("tables: %s holds too much: %w", path, err)
	case err != nil:
		return nil, fmt.Errorf("tables: %w", err)
	}
	s := &Store{
		db:      db,
		damaged: damaged,
		kick:    make(chan struct{}, 1),
		stop:    make(chan struct{}),
		pending: make(map[line]bool),
	}
	t.Keep(s)
	s.stopped.Go(s.run)
	return s, nil
}

// Damaged returns what was wrong with the file, nil when nothing was.
func (s *Store) Damaged() *Damaged { return s.damaged }

// Changed takes note of changes; policy.Tables calls it.
func (s *Store) Changed(changes []policy.Change) {
	s.mu.Lock()
	if !s.closed {
		for _, c := range changes {
			s.pending[line{c.Table, c.Key.String()}] = c.Added
		}
	}
	s.mu.Unlock()
	select {
	case s.kick <- struct{}{}:
	default:
	}
}

// run writes what is pending, a moment after it came.
func (s *Store) run() {
	wait := time.NewTimer(0)
	<-wait.C
	for {
		select {
		case <-s.stop:
			return
		case <-s.kick:
		}
		wait.Reset(gather)
		for {
			select {
			case <-s.stop:
				return
			case <-wait.C:
			}
			if s.Flush() == nil {
				break
			}
			wait.Reset(again)
		}
	}
}

// Flush writes what is pending and returns when it is on disk.
func (s *Store) Flush() error {
	s.writing.Lock()
	defer s.writing.Unlock()
	s.mu.Lock()
	work := s.pending
	s.pending = make(map[line]bool)
	s.mu.Unlock()
	// In the order of the file, which makes writing cheap.
	lines := slices.SortedFunc(maps.Keys(work), func(a, b line) int {
		return cmp.Or(strings.Compare(a.table, b.table), strings.Compare(a.text, b.text))
	})
	var err error
	for some := range slices.Chunk(lines, batch) {
		err = guarded(func() error { return s.db.Update(func(tx *bbolt.Tx) error { return write(tx, some, work) }) })
		if err != nil {
			break
		}
		for _, l := range some {
			delete(work, l)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		err = fmt.Errorf("tables: changes are not on disk: %w", err)
		for l, added := range s.pending { // newer than what failed
			work[l] = added
		}
		s.pending = work
	}
	s.err = err
	return err
}

// write puts lines, sorted, into the file.
func write(tx *bbolt.Tx, lines []line, added map[line]bool) error {
	for len(lines) > 0 {
		table := lines[0].table
		n := slices.IndexFunc(lines, func(l line) bool { return l.table != table })
		if n < 0 {
			n = len(lines)
		}
		b, err := tx.CreateBucketIfNotExists([]byte(table))
		if err != nil {
			return err
		}
		size := b.Sequence()
		for _, l := range lines[:n] {
			if err := put(b, l, added[l], &size); err != nil {
				return err
			}
		}
		if err := b.SetSequence(size); err != nil {
			return err
		}
		if size == 0 {
			if err := tx.DeleteBucket([]byte(table)); err != nil {
				return err
			}
		}
		lines = lines[n:]
	}
	return nil
}

// put writes or deletes one line and counts it.
func put(b *bbolt.Bucket, l line, added bool, size *uint64) error {
	key := []byte(l.text)
	switch has := b.Get(key) != nil; {
	case has == added:
		return nil
	case added:
		*size++
		return b.Put(key, sumOf([]byte(l.table), key))
	}
	*size--
	return b.Delete(key)
}

// Pending returns how many changes are not on disk yet, and why the last write failed, nil if it did not.
// After a failure it is tried again every second, and what changes meanwhile is kept in memory.
func (s *Store) Pending() (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.pending), s.err
}

// Close writes what is pending and gives the file free. Later changes of the tables stay in memory.
func (s *Store) Close() (err error) {
	s.once.Do(func() {
		close(s.stop)
		s.stopped.Wait()
		s.mu.Lock()
		s.closed = true
		s.mu.Unlock()
		err = errors.Join(s.Flush(), s.db.Close())
	})
	return err
}
