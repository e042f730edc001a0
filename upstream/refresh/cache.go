package refresh

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"epoxy/upstream/dcmap"
)

// Why a cached file is not used.
var (
	errDamaged = errors.New("refresh: the cached file is damaged")
	errForeign = errors.New("refresh: the cached file came from another source")
)

// cache keeps what was downloaded in the state directory. A file is the body and a last line:
//
//	body | "\n# epoxy-cache " source " " sum "\n"
//
// source is the start of the SHA-256 of where it came from, sum the SHA-256 of the body, both in hex. A
// cached configuration so remains a configuration. The file's time is the time of the download.
type cache struct {
	dir    string // empty keeps nothing
	rename func(from, to string) error
}

const cacheMark = "\n# epoxy-cache "

// maxCached is the largest file: a body and its last line.
const maxCached = dcmap.MaxText + 128

func newCache(dir string) *cache { return &cache{dir: dir, rename: os.Rename} }

func (c *cache) path(k Kind) string {
	return filepath.Join(c.dir, "telegram-"+strings.ReplaceAll(k.String(), "_", "-"))
}

// trailer returns the last line for a body from source.
func trailer(body []byte, source string) string {
	from := sha256.Sum256([]byte(source))
	return fmt.Sprintf("%s%x %x\n", cacheMark, from[:8], sha256.Sum256(body))
}

// load returns the body that was saved for k and source, and when. The error is fs.ErrNotExist when
// there is none, errDamaged or errForeign when it may not be used.
func (c *cache) load(k Kind, source string) (body []byte, saved time.Time, err error) {
	if c.dir == "" {
		return nil, time.Time{}, fs.ErrNotExist
	}
	all, info, err := readFile(c.path(k), maxCached)
	if err != nil {
		return nil, time.Time{}, err
	}
	body, err = unseal(all, source)
	return body, info.ModTime(), err
}

// unseal returns the body of a cached file, a part of all. Errors: errDamaged, errForeign.
func unseal(all []byte, source string) ([]byte, error) {
	at := bytes.LastIndex(all, []byte(cacheMark))
	if at < 0 {
		return nil, errDamaged
	}
	body, last := all[:at], string(all[at:])
	want := trailer(body, source)
	sum := len(want) - len(" \n") - 2*sha256.Size // where it starts
	switch {
	case last == want:
		return body, nil
	case len(last) == len(want) && last[sum:] == want[sum:]:
		return nil, errForeign
	}
	return nil, errDamaged
}

// save keeps body for k, mode 0600. Whoever reads the file, after a crash too, finds the former one or
// this one, whole.
func (c *cache) save(k Kind, source string, body []byte) error {
	if c.dir == "" {
		return nil
	}
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return err
	}
	path := c.path(k)
	temp, err := os.CreateTemp(c.dir, filepath.Base(path)+".*.tmp") // mode 0600
	if err != nil {
		return err
	}
	_, err = temp.Write(body)
	if err == nil {
		_, err = io.WriteString(temp, trailer(body, source))
	}
	err = errors.Join(err, temp.Sync(), temp.Close())
	if err == nil {
		err = c.rename(temp.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temp.Name()))
	}
	return syncDir(c.dir)
}

// sweep removes what processes that died between write and rename left behind.
func (c *cache) sweep(now time.Time) {
	if c.dir == "" {
		return
	}
	left, _ := filepath.Glob(filepath.Join(c.dir, "telegram-*.tmp")) // the pattern is right
	for _, name := range left {
		if info, err := os.Lstat(name); err == nil && now.Sub(info.ModTime()) > tempAge {
			_ = os.Remove(name) // the next start tries again
		}
	}
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
