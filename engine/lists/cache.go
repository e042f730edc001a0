package lists

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Why a cached file is not used.
var (
	errDamaged = errors.New("lists: the cached file is damaged")
	errForeign = errors.New("lists: the cached file came from another source")
)

// mark is what the server said of a download, so that it can be asked for changes only.
type mark struct {
	ETag     string `json:"etag,omitempty"`
	Modified string `json:"modified,omitempty"`
}

// seal is a cached file's last line.
type seal struct {
	Source string `json:"source"` // the start of the SHA-256 of the URL, which may hold a password
	mark
	Sum string `json:"sum"` // SHA-256 of all else
}

// sealMark begins the last line, a comment, so that a cached list remains a list:
//
//	body | "\n# epoxy-cache " JSON "\n"
const sealMark = "\n# epoxy-cache "

// maxSealed is the largest cached file.
const maxSealed = maxBody + 2048

func newSeal(body, source string, m mark) seal {
	from := sha256.Sum256([]byte(source))
	s := seal{Source: hex.EncodeToString(from[:8]), mark: m}
	h := sha256.New()
	for _, part := range []string{s.Source, "\n", m.ETag, "\n", m.Modified, "\n", body} {
		_, _ = io.WriteString(h, part) // a hash takes everything
	}
	s.Sum = hex.EncodeToString(h.Sum(nil))
	return s
}

// line returns the last line of a cached file.
func (s seal) line() string {
	text, _ := json.Marshal(s) // strings only
	return sealMark + string(text) + "\n"
}

// unseal returns the body of a cached file and its mark. Errors: errDamaged, errForeign.
func unseal(all, source string) (string, mark, error) {
	at := strings.LastIndex(all, sealMark)
	if at < 0 {
		return "", mark{}, errDamaged
	}
	body, line := all[:at], all[at:]
	var s seal
	if json.Unmarshal([]byte(line[len(sealMark):]), &s) != nil {
		return "", mark{}, errDamaged
	}
	want := newSeal(body, source, s.mark)
	switch {
	case s == want && want.line() == line:
		return body, s.mark, nil
	case s.Source != want.Source:
		return "", mark{}, errForeign
	}
	return "", mark{}, errDamaged
}

// cache keeps downloads in the state directory. A file's time is the time of the download, or when the
// server last said that it is the newest.
type cache struct{ dir string } // empty keeps nothing

func (c cache) path(name string) string { return filepath.Join(c.dir, "list-"+name) }

// load returns the body saved under name, and when. The error is fs.ErrNotExist when there is none,
// errDamaged or errForeign when it may not be used.
func (c cache) load(name, source string) (body string, m mark, saved time.Time, err error) {
	if c.dir == "" {
		return "", mark{}, time.Time{}, fs.ErrNotExist
	}
	all, info, err := readFile(c.path(name), maxSealed)
	if err != nil {
		return "", mark{}, time.Time{}, err
	}
	body, m, err = unseal(all, source)
	return body, m, info.ModTime(), err
}

// save keeps body, mode 0600. Whoever reads the file, after a crash too, finds the former one or this one,
// whole.
func (c cache) save(name, source, body string, m mark) error {
	if c.dir == "" {
		return nil
	}
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return err
	}
	temp, err := os.CreateTemp(c.dir, "list-"+name+".*.tmp") // mode 0600
	if err != nil {
		return err
	}
	_, err = io.WriteString(temp, body)
	if err == nil {
		_, err = io.WriteString(temp, newSeal(body, source, m).line())
	}
	err = errors.Join(err, temp.Sync(), temp.Close())
	if err == nil {
		err = os.Rename(temp.Name(), c.path(name))
	}
	if err != nil {
		return errors.Join(err, os.Remove(temp.Name()))
	}
	d, err := os.Open(c.dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// touch notes that what is saved is the newest.
func (c cache) touch(name string, now time.Time) {
	if c.dir != "" {
		_ = os.Chtimes(c.path(name), now, now) // else it is asked for earlier
	}
}

// sweep removes what processes that died between write and rename left behind.
func (c cache) sweep(now time.Time) {
	if c.dir == "" {
		return
	}
	left, _ := filepath.Glob(filepath.Join(c.dir, "list-*.tmp")) // the pattern is right
	for _, name := range left {
		if info, err := os.Lstat(name); err == nil && now.Sub(info.ModTime()) > tempAge {
			_ = os.Remove(name) // the next start tries again
		}
	}
}
