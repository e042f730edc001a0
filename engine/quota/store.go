package quota

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// ErrLocked is why Open returns a Ledger without a file when another process has it.
var ErrLocked = errors.New("quota: another process has the file; stop it, or give each a state directory of its own")

// Damaged says that the file could not be read and where it is now. What was used until then is forgotten.
type Damaged struct {
	Path, Moved string
	Err         error
}

// Error says what happened.
func (d *Damaged) Error() string {
	return fmt.Sprintf("quota: %s is damaged (%v) and was moved to %s; all quotas begin anew", d.Path, d.Err, d.Moved)
}

// Unwrap returns what was found wrong.
func (d *Damaged) Unwrap() error { return d.Err }

var (
	errPanic  = errors.New("quota: it makes no sense")
	errShort  = errors.New("quota: it is cut short")
	errRecord = errors.New("quota: a record's checksum is wrong")
)

// store is the file: one bucket with a record for each name.
type store struct{ db *bbolt.DB }

var bucketName = []byte("usage")

// Open returns a Ledger that begins with what the file at path holds, and writes it by Flush. The Ledger is always
// usable; an error other than a *Damaged means that it keeps nothing on disk: ErrLocked, or one of the
// file system.
func Open(path string) (*Ledger, error) {
	l := New()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return l, fmt.Errorf("quota: %w", err)
	}
	db, saved, err := load(path, lockTime)
	damaged, bad := errors.AsType[*Damaged](err)
	if bad {
		damaged.Moved = fmt.Sprintf("%s.damaged-%d", path, time.Now().Unix())
		if err := os.Rename(path, damaged.Moved); err != nil {
			return l, errors.Join(damaged, err)
		}
		db, saved, err = load(path, lockTime)
	}
	switch {
	case errors.Is(err, berrors.ErrTimeout):
		l.path = path
		return l, fmt.Errorf("%w (%s)", ErrLocked, path)
	case err != nil:
		return l, fmt.Errorf("quota: %w", err)
	}
	l.store, l.saved = &store{db}, saved
	if bad {
		return l, damaged
	}
	return l, nil
}

// Retry takes a file that another process had when it was opened, once that process is gone, and adds what it had counted: so a new
// process can take over from one that drains. It reports whether it did.
func (l *Ledger) Retry() bool {
	l.mu.Lock()
	path := l.path
	l.mu.Unlock()
	if path == "" {
		return false
	}
	db, saved, err := load(path, lockTry)
	if err != nil {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.store, l.path = &store{db}, ""
	entries := *l.entries.Load()
	for name, r := range saved {
		if e := entries[name]; e != nil {
			e.add(r)
		} else {
			l.gone = append(l.gone, name)
		}
	}
	return true
}

// load opens the file and reads it. The error is a *Damaged when the content is at fault.
func load(path string, wait time.Duration) (db *bbolt.DB, saved map[string]record, err error) {
	before, statErr := os.Stat(path)
	err = guarded(func() (err error) {
		db, err = bbolt.Open(path, 0o600, &bbolt.Options{Timeout: wait, FreelistType: bbolt.FreelistMapType})
		return err
	})
	if err != nil {
		cut := statErr == nil && before.Mode().IsRegular() && before.Size() < minFile
		if errors.Is(err, berrors.ErrInvalid) || errors.Is(err, berrors.ErrVersionMismatch) || errors.Is(err, berrors.ErrChecksum) ||
			errors.Is(err, errPanic) || cut && !ofSystem(err) {
			err = &Damaged{Path: path, Err: err}
		}
		return nil, nil, err
	}
	err = guarded(func() error {
		return db.View(func(tx *bbolt.Tx) (err error) {
			saved, err = read(tx, path)
			return err
		})
	})
	if err == nil {
		return db, saved, nil
	}
	if !ofSystem(err) {
		err = &Damaged{Path: path, Err: err}
	}
	if closeErr := db.Close(); closeErr != nil {
		return nil, nil, errors.Join(closeErr, err)
	}
	return nil, nil, err
}

func read(tx *bbolt.Tx, path string) (map[string]record, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() < tx.Size() {
		return nil, errShort
	}
	saved := map[string]record{}
	b := tx.Bucket(bucketName)
	if b == nil {
		return saved, nil
	}
	err = b.ForEach(func(name, value []byte) error {
		r, ok := parseRecord(name, value)
		if !ok {
			return errRecord
		}
		saved[string(name)] = r
		return nil
	})
	return saved, err
}

// Records in the file.
//
//	up u64be | down u64be | period u32be | CRC-32C of name and all before, u32be
const recordSize = 8 + 8 + 4 + 4

func appendRecord(dst, name []byte, r record) []byte {
	at := len(dst)
	dst = binary.BigEndian.AppendUint64(dst, r.up)
	dst = binary.BigEndian.AppendUint64(dst, r.down)
	dst = binary.BigEndian.AppendUint32(dst, r.period)
	return binary.BigEndian.AppendUint32(dst, sum(name, dst[at:]))
}

func parseRecord(name, p []byte) (record, bool) {
	if len(p) != recordSize || len(name) == 0 || len(name) > maxName || binary.BigEndian.Uint32(p[20:]) != sum(name, p[:20]) {
		return record{}, false
	}
	return record{binary.BigEndian.Uint64(p), binary.BigEndian.Uint64(p[8:]), binary.BigEndian.Uint32(p[16:])}, true
}

func sum(name, p []byte) uint32 {
	castagnoli := crc32.MakeTable(crc32.Castagnoli) // made once, in crc32
	return crc32.Update(crc32.Checksum(name, castagnoli), castagnoli, p)
}

// Flush writes what changed and returns when it is on disk. After an error it is still to be written. Somebody
// calls it every half second: a process that is killed loses no more than that, and what loops had not settled.
func (l *Ledger) Flush() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.store == nil {
		return nil
	}
	var changed []*entry
	records := map[*entry]record{}
	for _, e := range *l.entries.Load() {
		e.mu.Lock()
		if e.dirty {
			e.dirty = false
			changed = append(changed, e)
			records[e] = e.record
		}
		e.mu.Unlock()
	}
	if len(changed) == 0 && len(l.gone) == 0 {
		return nil
	}
	err := guarded(func() error { return l.store.db.Update(func(tx *bbolt.Tx) error { return write(tx, l.gone, records) }) })
	if err == nil {
		l.gone = nil
		return nil
	}
	for _, e := range changed {
		e.mu.Lock()
		e.dirty = true
		e.mu.Unlock()
	}
	return fmt.Errorf("quota: what secrets used is not on disk: %w", err)
}

func write(tx *bbolt.Tx, gone []string, records map[*entry]record) error {
	b, err := tx.CreateBucketIfNotExists(bucketName)
	if err != nil {
		return err
	}
	for _, name := range gone {
		if err := b.Delete([]byte(name)); err != nil {
			return err
		}
	}
	for e, r := range records { // after gone: a name may have come back
		name := []byte(e.name)
		if err := b.Put(name, appendRecord(nil, name, r)); err != nil {
			return err
		}
	}
	return nil
}

// Close writes what changed and gives the file free. The Ledger serves on, in memory.
func (l *Ledger) Close() error {
	err := l.Flush()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.store == nil {
		return err
	}
	err = errors.Join(err, l.store.db.Close())
	l.store = nil
	return err
}

// guarded runs fn and returns its panic as an error: bbolt panics on pages that make no sense, and a file that is too
// short for its map faults.
func guarded(fn func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", errPanic, p)
		}
	}()
	return fn()
}

// ofSystem tells an error of the file system from one of the content.
func ofSystem(err error) bool {
	_, ok := errors.AsType[*fs.PathError](err)
	return ok || errors.Is(err, berrors.ErrTimeout)
}
