package replay

import (
	"cmp"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

const lockName = "replay.lock"

var errNoLock = errors.New("replay: state directory is in use by another process: handshakes are kept in memory until it ends")

// Options of a store with a journal.
type Options struct {
	Memory int   // bytes of a full table, as for New
	Now    int64 // unix seconds

	// Key is the hash key of a new journal; one that is there brings its own. Zero is a random one.
	Key [16]byte

	// Lock takes the exclusive lock on an open file at once or fails, such as flock with LOCK_EX|LOCK_NB. It
	// must end with the file. Nil is for a caller who knows that the directory is his alone.
	Lock func(*os.File) error
}

// journal is the store on disk: segments replay-<n>.bin of at most segmentAge. The last one is written. All are
// bounded by 5/4 of the table's memory and one segment; that many hold all that a full table does.
type journal struct {
	dir      string
	take     func(*os.File) error
	lock     *os.File // nil: another process has the journal, and we write nothing
	file     *os.File // the last of segments; nil: the next write begins a new one
	segments []segment
	next     uint64
	limit    int64  // bytes of closed segments
	full     int64  // bytes of a segment that is closed
	block    []byte // what is to be written; stays when that fails
	closed   bool
}

type segment struct {
	n           uint64
	size        int64
	first, last int64 // times of its blocks; 0 without any
}

func (g segment) name() string { return fmt.Sprintf("replay-%d.bin", g.n) }

// Open returns a store that is kept in dir, which is made when missing, and loads what is there. It always
// returns a store: what could not be read is in warnings, and a store that cannot write keeps its handshakes
// in memory. While another process has the lock, Flush tries to take over.
func Open(dir string, o Options) (s *Store, warnings []error) {
	if o.Key == [16]byte{} {
		_, _ = rand.Read(o.Key[:]) // never fails
	}
	s = newStore(o.Memory, o.Key)
	j := &s.journal
	j.dir, j.take, j.next = dir, o.Lock, 1
	memory := int64(s.parts[0].max) * shards * slots * slotSize
	j.limit, j.full = memory/4*5, min(memory/4, segmentBytes)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return s, []error{fmt.Errorf("replay: handshakes are kept in memory only: %w", err)}
	}
	s.saved = true
	if err := j.acquire(); err != nil {
		warnings = append(warnings, err)
	}
	warnings = append(warnings, s.load(o.Now, true)...)
	if j.lock != nil && j.file == nil {
		if err := j.begin(s.key.bytes()); err != nil { // at once, so that a process beside us finds our key
			warnings = append(warnings, fmt.Errorf("replay: the journal cannot be written: %w", err))
		}
		s.onDisk.Store(j.bytes())
	}
	return s, warnings
}

// acquire takes the lock, unless it is ours.
func (j *journal) acquire() error {
	if j.lock != nil {
		return nil
	}
	f, err := os.OpenFile(filepath.Join(j.dir, lockName), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("replay: handshakes are kept in memory only: %w", err)
	}
	if j.take != nil && j.take(f) != nil {
		f.Close()
		return errNoLock
	}
	j.lock = f
	return nil
}

// load reads all segments, the oldest first, and opens the last one for writing when the journal is ours.
func (s *Store) load(now int64, fresh bool) (warnings []error) {
	j := &s.journal
	list, err := list(j.dir)
	if err != nil {
		return []error{fmt.Errorf("replay: the journal is not read: %w", err)}
	}
	known := !fresh
	for i := len(list) - 1; i >= 0 && !known; i-- {
		if key, err := readKey(filepath.Join(j.dir, list[i].name())); err == nil {
			s.key, known = newSipKey(key), true
		}
	}
	for i := range list {
		g := &list[i]
		last := i == len(list)-1
		j.next = max(j.next, g.n+1)
		whole, err := s.loadSegment(g, now, known, last)
		if errors.Is(err, fs.ErrNotExist) {
			continue // the other process deletes old ones
		}
		if err != nil {
			warnings = append(warnings, fmt.Errorf("%s: %w", g.name(), err))
		}
		if last && whole >= 0 && j.lock != nil {
			j.reopen(g, whole)
		}
	}
	if j.lock != nil {
		j.segments = list
		s.onDisk.Store(j.bytes())
	}
	return warnings
}

// loadSegment reads a segment's file and remembers what it holds, as absorb says.
func (s *Store) loadSegment(g *segment, now int64, known, last bool) (whole int64, err error) {
	f, err := os.Open(filepath.Join(s.journal.dir, g.name()))
	if err != nil {
		return -1, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxSegment))
	if err != nil {
		return -1, err
	}
	if info, err := f.Stat(); err == nil {
		g.last = info.ModTime().Unix() // until a block says better, so that damaged ones grow old too
	}
	if last && len(data) < fileHeader { // killed before its first write was whole
		if s.journal.lock != nil {
			return -1, os.Remove(f.Name())
		}
		return -1, nil
	}
	g.size = int64(len(data))
	return s.absorb(data, g, now, known, last)
}

// absorb remembers what the bytes of a segment hold, and notes its times in g. Without a key, known, nothing
// in it can be understood. It returns where the segment can be written on, -1 for nowhere. Only the last one
// may have a torn tail.
func (s *Store) absorb(data []byte, g *segment, now int64, known, last bool) (whole int64, err error) {
	key, bad := parseHeader(data)
	switch {
	case bad == nil && newSipKey(key) != s.key:
		return -1, errors.New("replay: segment of another store, ignored")
	case !known:
		return -1, fmt.Errorf("%w, nor has any other: what it holds is lost", bad)
	}
	end, damaged := scan(data, func(unix int64, hashes []byte) {
		if g.first == 0 {
			g.first = unix
		}
		g.last = unix
		for ; len(hashes) > 0; hashes = hashes[slotSize:] {
			s.restore(binary.LittleEndian.Uint64(hashes), unix, now)
		}
	})
	if !last {
		damaged += len(data) - end
	}
	switch {
	case bad != nil:
		return -1, bad
	case damaged > 0:
		return int64(end), fmt.Errorf("replay: %d bytes are damaged and were passed over", damaged)
	}
	return int64(end), nil
}

// reopen goes on with a segment behind its last whole block.
func (j *journal) reopen(g *segment, whole int64) {
	f, err := os.OpenFile(filepath.Join(j.dir, g.name()), os.O_WRONLY, 0)
	if err != nil {
		return
	}
	if f.Truncate(whole) != nil {
		f.Close()
		return
	}
	g.size = whole
	j.file = f
}

// list returns the segments of a directory in the order of their numbers.
func list(dir string) ([]segment, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var all []segment
	for _, e := range entries {
		digits, ok := strings.CutPrefix(e.Name(), "replay-")
		if !ok {
			continue
		}
		n, err := strconv.ParseUint(strings.TrimSuffix(digits, ".bin"), 10, 63)
		if g := (segment{n: n}); err == nil && g.name() == e.Name() && e.Type().IsRegular() {
			all = append(all, g)
		}
	}
	slices.SortFunc(all, func(a, b segment) int { return cmp.Compare(a.n, b.n) })
	return all, nil
}

// readKey returns the hash key in a segment's header.
func readKey(name string) (key [16]byte, err error) {
	f, err := os.Open(name)
	if err != nil {
		return key, err
	}
	defer f.Close()
	var head [fileHeader]byte
	if _, err := io.ReadFull(f, head[:]); err != nil {
		return key, err
	}
	return parseHeader(head[:])
}

func (j *journal) bytes() (n int64) {
	for _, g := range j.segments {
		n += g.size
	}
	return n
}
