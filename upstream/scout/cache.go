package scout

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"epoxy/codec/faketls"
)

var errDamaged = errors.New("scout: the cached file is damaged")

// cache keeps one JSON file for each site in the directory front of the state directory.
type cache struct {
	dir string // empty keeps nothing
}

// cached is such a file: whose it is, and what was found.
type cached struct {
	Domain, Target, SNI string
	Found               finding
}

func newCache(state string) cache {
	if state == "" {
		return cache{}
	}
	return cache{filepath.Join(state, "front")}
}

// path returns the file of a domain. Neither "@" nor capital letters are in a domain; a long one is hashed to fit.
func (c cache) path(domain string) string {
	switch {
	case domain == "":
		domain = "@default"
	case len(domain) > 128:
		sum := sha256.Sum256([]byte(domain))
		domain = "@" + hex.EncodeToString(sum[:])
	}
	return filepath.Join(c.dir, domain+".json")
}

// load returns what was found before, or nil when that is nothing, too old, or of another target.
func (c cache) load(t *site, now time.Time) (*finding, error) {
	if c.dir == "" {
		return nil, nil
	}
	f, err := os.Open(c.path(t.Domain))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	body, err := io.ReadAll(io.LimitReader(f, maxCached+1))
	if err != nil {
		return nil, err
	}
	var kept cached
	if len(body) > maxCached || json.Unmarshal(body, &kept) != nil || !kept.Found.sane() {
		return nil, errDamaged
	}
	age := now.Sub(kept.Found.Measured)
	if kept.Domain != t.Domain || kept.Target != t.Target || kept.SNI != t.sni || age > cacheAge || age < -cacheSkew {
		return nil, nil
	}
	kept.Found.cached = true
	return &kept.Found, nil
}

// sane reports whether everything is in its range.
func (f *finding) sane() bool {
	ok := f.FirstFlight >= 0 && f.FirstFlight <= maxFlight && f.Records >= 0 && f.Records <= maxFlight &&
		f.DelayLow >= 0 && f.DelayLow <= f.DelayHigh && f.DelayHigh <= mostDelay && len(f.ALPN) <= 255
	p := f.Profile
	if p == nil || !ok {
		return ok
	}
	return (p.Suite == 0 || p.Suite >= 0x1301 && p.Suite <= 0x1303) &&
		(p.Group == faketls.X25519 || p.Group == faketls.X25519MLKEM768) &&
		p.AppData >= faketls.MinAppData && p.AppData <= faketls.MaxAppData &&
		int64(p.DelayLow) == f.DelayLow.Milliseconds() && int64(p.DelayHigh) == f.DelayHigh.Milliseconds()
}

// save keeps t's finding, mode 0600. Whoever reads the file, after a crash too, finds the former one or
// this one, whole.
func (c cache) save(t *site) error {
	if c.dir == "" {
		return nil
	}
	body, err := json.MarshalIndent(cached{t.Domain, t.Target, t.sni, t.found}, "", "\t")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return err
	}
	temp, err := os.CreateTemp(c.dir, "*.tmp") // mode 0600
	if err != nil {
		return err
	}
	_, err = temp.Write(append(body, '\n'))
	err = errors.Join(err, temp.Sync(), temp.Close())
	if err == nil {
		err = os.Rename(temp.Name(), c.path(t.Domain))
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

// sweep removes what processes that died between write and rename left behind.
func (c cache) sweep(now time.Time) {
	if c.dir == "" {
		return
	}
	left, _ := filepath.Glob(filepath.Join(c.dir, "*.tmp")) // the pattern is right
	for _, name := range left {
		if info, err := os.Lstat(name); err == nil && now.Sub(info.ModTime()) > time.Minute {
			_ = os.Remove(name) // the next start tries again
		}
	}
}
