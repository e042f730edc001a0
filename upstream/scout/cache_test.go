package scout

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// What was measured is there at once after a restart, and before the site is.
func TestCache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const addr = "192.0.2.1:443"
		w := newWeb()
		w.site(addr, serveTLS(config(t, 2000, 0), 20*time.Millisecond, 60000))
		sites := []Site{{Target: addr}, {Domain: domain, Target: addr}, {Domain: strings.Repeat("abcdefgh.", 25) + "example", Target: addr}}
		o, _ := options(w, sites...)
		o.StateDir, o.Default = t.TempDir(), "other.example"
		s, stop := start(t, o)
		after(time.Minute)
		stop()
		first := s.Current()
		if len(first.Profiles) != 3 || len(first.Sites[0].Warnings) != 1 {
			t.Fatalf("%+v", first)
		}
		files, _ := filepath.Glob(filepath.Join(o.StateDir, "front", "*"))
		if len(files) != 3 {
			t.Errorf("files %q", files)
		}
		for _, f := range files {
			if info, err := os.Stat(f); err != nil || info.Mode().Perm() != 0o600 || len(filepath.Base(f)) > 150 {
				t.Errorf("%s: %v, %v", f, info.Mode(), err)
			}
		}
		w.site(addr, nil)
		after(29 * 24 * time.Hour)
		again, stop := start(t, o)
		v := again.Current()
		if !maps.Equal(v.Profiles, first.Profiles) || !v.Sites[1].FromCache || !v.Sites[1].Measured.Equal(first.Sites[1].Measured) ||
			v.Sites[0].Warnings[0] != first.Sites[0].Warnings[0] || v.Sites[1].DelayHigh != 20*time.Millisecond {
			t.Errorf("%+v\n%+v", v, first)
		}
		after(time.Hour)
		stop()
		if v := again.Current(); len(v.Profiles) != 3 || v.Sites[1].Err == "" {
			t.Errorf("after failed measurements: %+v", v)
		}
		other := o
		other.Sites = []Site{{Target: "192.0.2.1:444"}, {Domain: domain, Target: addr}}
		if s, err := New(other); err != nil || len(s.Current().Profiles) != 1 {
			t.Errorf("another target: %v", err)
		}
		after(24 * time.Hour)
		if s, err := New(o); err != nil || len(s.Current().Profiles) != 0 {
			t.Errorf("too old: %v", err)
		}
	})
}

// A damaged file is as none.
func TestCacheDamaged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const addr = "192.0.2.1:443"
		w := newWeb()
		w.site(addr, serveTLS(config(t, 2000, 0), 20*time.Millisecond, 60000))
		o, _ := options(w, Site{Domain: domain, Target: addr})
		o.StateDir = t.TempDir()
		_, stop := start(t, o)
		after(time.Minute)
		stop()
		path := filepath.Join(o.StateDir, "front", domain+".json")
		good, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		load := func(body []byte) (profiles, warned int) {
			if err := os.WriteFile(path, body, 0o600); err != nil {
				t.Fatal(err)
			}
			o, j := options(w, o.Sites...)
			o.StateDir = filepath.Dir(filepath.Dir(path))
			s, err := New(o)
			if err != nil {
				t.Fatal(err)
			}
			return len(s.Current().Profiles), j.count("cache is ignored")
		}
		if n, warned := load(good); n != 1 || warned != 0 {
			t.Fatalf("%d profiles, %d warnings", n, warned)
		}
		for n := range bytes.TrimSpace(good) { // the prefix loop
			if profiles, warned := load(good[:n]); profiles != 0 || warned != 1 {
				t.Fatalf("%d of %d bytes: %d profiles, %d warnings", n, len(good), profiles, warned)
			}
		}
		for field, value := range map[string]string{
			"Suite": "4868", "Group": "23", "AppData": "999", "Spread": "256", "DelayLow": "2001000000", "DelayHigh": "65536",
			"FirstFlight": "-1", "Records": "1000000", "Ramp": "7", "Measured": `"2000-02-31"`,
		} {
			at := bytes.Index(good, []byte(`"`+field+`": `))
			end := bytes.IndexAny(good[at:], ",\n")
			bad := string(good[:at]) + `"` + field + `": ` + value + string(good[at+end:])
			if profiles, warned := load([]byte(bad)); profiles != 0 || warned != 1 {
				t.Errorf("%s = %s: %d profiles, %d warnings", field, value, profiles, warned)
			}
		}
		if n, warned := load(append(bytes.Repeat([]byte(" "), maxCached), good...)); n != 0 || warned != 1 {
			t.Errorf("too large: %d profiles, %d warnings", n, warned)
		}
		future := strings.Replace(string(good), "2000-01-01T00", "2000-01-01T09", 1)
		if n, _ := load([]byte(future)); n != 0 {
			t.Error("a file from the future is used")
		}
	})
}

// A state directory that cannot be written is a line in the log.
func TestCacheUnwritable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWeb()
		w.site("192.0.2.1:443", serveTLS(config(t, 2000, 0), 0, 100))
		o, j := options(w, Site{Domain: domain, Target: "192.0.2.1:443"})
		o.StateDir = filepath.Join(t.TempDir(), "state")
		if err := os.WriteFile(o.StateDir, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		s, _ := start(t, o)
		after(time.Minute)
		if j.count("cannot be cached") != 1 || len(s.Current().Profiles) != 1 {
			t.Errorf("log:\n%s", &j.text)
		}
	})
}

// What a process left behind that died in save is removed.
func TestCacheSweep(t *testing.T) {
	c := newCache(t.TempDir())
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	left := filepath.Join(c.dir, "123.tmp")
	if err := os.WriteFile(left, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	c.sweep(time.Now())
	if _, err := os.Stat(left); err != nil {
		t.Error("removed while it may be written:", err)
	}
	c.sweep(time.Now().Add(time.Hour))
	if _, err := os.Stat(left); !os.IsNotExist(err) {
		t.Error("kept:", err)
	}
}
