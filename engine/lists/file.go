package lists

import (
	"errors"
	"io"
	"io/fs"
	"os"
)

var (
	errNotRegular = errors.New("lists: not a regular file")
	errTooLarge   = errors.New("lists: larger than a list may be")
	errUnsettled  = errors.New("lists: the file changes while it is read")
)

// readFile returns a regular file's content, up to limit bytes, and what it looked like. A pipe is refused
// before it can block.
func readFile(path string, limit int64) (string, fs.FileInfo, error) {
	if info, err := os.Stat(path); err != nil {
		return "", nil, err
	} else if !info.Mode().IsRegular() {
		return "", nil, errNotRegular
	}
	f, err := os.Open(path)
	if err != nil {
		return "", nil, err
	}
	defer f.Close()
	before, err := f.Stat()
	if err != nil {
		return "", nil, err
	}
	body, err := readAll(f, limit)
	if err != nil {
		return "", nil, err
	}
	after, err := f.Stat()
	if err == nil && !same(before, after) {
		err = errUnsettled
	}
	return body, after, err
}

// readAll reads to the end, which comes after limit bytes at most.
func readAll(r io.Reader, limit int64) (string, error) {
	body, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(body)) > limit {
		err = errTooLarge
	}
	if err != nil {
		return "", err
	}
	return string(body), nil
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
// there. A file that is gone, or cannot be read, is an error once.
func (w *watch) look() (body string, changed bool, err error) {
	now, err := os.Stat(w.path)
	if err != nil {
		now = nil
	}
	first, settled := !w.looked, same(now, w.seen)
	w.looked, w.seen = true, now
	if !first && (!settled || same(now, w.taken)) {
		return "", false, nil
	}
	w.taken = now
	if err != nil {
		return "", false, err
	}
	body, info, err := readFile(w.path, maxFile)
	switch {
	case errors.Is(err, errUnsettled):
		w.seen, w.taken = nil, nil // look again until it rests
		return "", false, nil
	case err != nil:
		return "", false, err
	}
	w.taken = info
	return body, true, nil
}
