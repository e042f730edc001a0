package refresh

import (
	"errors"
	"io"
	"io/fs"
	"os"
)

var (
	errNotRegular = errors.New("refresh: not a regular file")
	errTooLarge   = errors.New("refresh: larger than it can be")
	errUnsettled  = errors.New("refresh: the file changes while it is read")
)

// readFile returns a regular file's content, up to limit bytes, and what it looked like before and
// after. A pipe is refused before it can block.
func readFile(path string, limit int64) ([]byte, fs.FileInfo, error) {
	if info, err := os.Stat(path); err != nil {
		return nil, nil, err
	} else if !info.Mode().IsRegular() {
		return nil, nil, errNotRegular
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	before, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	body, err := readAll(f, limit)
	if err != nil {
		return nil, nil, err
	}
	after, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	if !same(before, after) {
		return nil, nil, errUnsettled
	}
	return body, after, nil
}

// readAll reads to the end, which comes after limit bytes at most.
func readAll(r io.Reader, limit int64) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(body)) > limit {
		return nil, errTooLarge
	}
	return body, nil
}

// same reports whether nothing happened to a file between two looks; nil is no file.
func same(a, b fs.FileInfo) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

// watch notices changes of one file by looking at it.
type watch struct {
	path   string
	looked bool
	seen   fs.FileInfo // at the last look; nil for no file
	taken  fs.FileInfo // when it was last read; nil when it was gone
}

// look returns the file's content, or changed = false when it is what it was. A change is taken when it
// looks the same twice, so that a file written in place is not read half; the first look takes what is
// there. With force the file is read whatever it looks like. A file that is gone is an error once.
func (w *watch) look(limit int64, force bool) (body []byte, changed bool, err error) {
	now, err := os.Stat(w.path)
	if err != nil {
		now = nil
	}
	first, settled := !w.looked, same(now, w.seen)
	w.looked, w.seen = true, now
	if !first && !force && (!settled || same(now, w.taken)) {
		return nil, false, nil
	}
	if err != nil {
		w.taken = nil
		return nil, false, err
	}
	body, info, err := readFile(w.path, limit)
	switch {
	case err == nil:
		w.taken = info
	case !errors.Is(err, errUnsettled):
		w.taken = now // not worth another read until it changes
	}
	return body, err == nil, err
}
