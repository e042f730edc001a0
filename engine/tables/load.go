package tables

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"runtime/debug"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"epoxy/engine/policy"
)

// guarded runs fn and returns its panic as an error: bbolt panics on pages that make no sense, and a file
// that is too short for its map faults.
func guarded(fn func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", errPanic, p)
		}
	}()
	return fn()
}

var (
	errPanic = errors.New("tables: it makes no sense")
	errShort = errors.New("tables: it is cut short")
	errSum   = errors.New("tables: a key's checksum is wrong")
	errCount = errors.New("tables: keys are missing")
)

// sumOf returns the checksum of a key and its table: bbolt has none.
func sumOf(table, key []byte) []byte {
	castagnoli := crc32.MakeTable(crc32.Castagnoli) // made once, in crc32
	return binary.BigEndian.AppendUint32(nil, crc32.Update(crc32.Checksum(table, castagnoli), castagnoli, key))
}

// load opens the file, checks it and reads it into t. The error is a *Damaged when the file is.
func load(path string, t *policy.Tables) (db *bbolt.DB, err error) {
	before, statErr := os.Stat(path)
	err = guarded(func() (err error) {
		db, err = bbolt.Open(path, 0o600, &bbolt.Options{Timeout: lockTime, FreelistType: bbolt.FreelistMapType})
		return err
	})
	if err != nil {
		if errors.Is(err, berrors.ErrInvalid) || errors.Is(err, berrors.ErrVersionMismatch) || errors.Is(err, berrors.ErrChecksum) ||
			errors.Is(err, errPanic) || statErr == nil && before.Mode().IsRegular() && before.Size() < minFile && !isFile(err) {
			err = &Damaged{Path: path, Err: err}
		}
		return nil, err
	}
	err = guarded(func() error { return db.View(func(tx *bbolt.Tx) error { return read(tx, path, t) }) })
	if err == nil {
		return db, nil
	}
	if !errors.Is(err, policy.ErrFull) && !isFile(err) {
		err = &Damaged{Path: path, Err: err}
	}
	if closeErr := db.Close(); closeErr != nil {
		return nil, errors.Join(closeErr, err)
	}
	return nil, err
}

// isFile tells an error of the file system from one of the content.
func isFile(err error) bool {
	var p *fs.PathError
	return errors.As(err, &p) || errors.Is(err, berrors.ErrTimeout)
}

// read checks a file and puts what it holds into t.
func read(tx *bbolt.Tx, path string, t *policy.Tables) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if info.Size() < tx.Size() {
		return errShort
	}
	if err := checkPages(tx, path); err != nil {
		return err
	}
	return tx.ForEach(func(name []byte, b *bbolt.Bucket) error {
		table := string(name)
		if err := policy.CheckName(table); err != nil {
			return err
		}
		keys := make([]policy.Key, 0, loadBatch)
		n := uint64(0)
		err := b.ForEach(func(text, sum []byte) error {
			if !bytes.Equal(sum, sumOf(name, text)) {
				return errSum
			}
			k, err := policy.ParseLine(string(text))
			if err != nil {
				return err
			}
			n++
			if keys = append(keys, k); len(keys) == loadBatch {
				_, err = t.Add(table, keys...)
				keys = keys[:0]
			}
			return err
		})
		switch {
		case err != nil:
			return err
		case n != b.Sequence():
			return errCount
		}
		_, err = t.Add(table, keys...)
		return err
	})
}
