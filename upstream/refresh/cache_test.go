package refresh

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"epoxy/upstream/dcmap"
)

// TestCacheStart is fault 34 with a cache: the first snapshot is there before the network is asked, as
// old as it may be, and its age is logged.
func TestCacheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, dir := newWeb(), t.TempDir()
		o, _ := options(t, base, w)
		o.StateDir = filepath.Join(dir, "deeper", "state")
		_, stop := start(t, o)
		time.Sleep(time.Second)
		stop()

		saved := time.Now().Add(-90 * 24 * time.Hour)
		for _, k := range []Kind{Secret, ConfigV4, ConfigV6} {
			path := newCache(o.StateDir).path(k)
			info, err := os.Stat(path)
			if err != nil || info.Mode().Perm() != 0o600 {
				t.Fatalf("%v: %v, %v", k, info, err)
			}
			if err := os.Chtimes(path, saved, saved); err != nil {
				t.Fatal(err)
			}
		}
		if info, err := os.Stat(o.StateDir); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("the directory: %v, %v", info, err)
		}
		if left, _ := filepath.Glob(filepath.Join(o.StateDir, "*.tmp")); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}

		down := newWeb()
		clear(down.pages)
		o2, j := options(t, base, down)
		o2.StateDir = o.StateDir
		r, err := New(o2)
		if err != nil {
			t.Fatal(err)
		}
		s := r.Current()
		if s == nil || !s.Secret.Equal(dcmap.Secret(secretA)) || s.V4.Len() != 4 || s.V6.Len() != 1 || s.Generation != 1 {
			t.Fatalf("snapshot %v", s)
		}
		if st := r.Status().Resources[Secret]; !st.FromCache || st.Age(time.Now()) != 90*24*time.Hour {
			t.Errorf("status %+v", st)
		}
		if j.count("starting from the cache") != 3 || j.count("age=2160h0m0s") != 3 {
			t.Errorf("log:\n%s", j)
		}
		var first *dcmap.Snapshot
		r.Subscribe(func(s *dcmap.Snapshot) { first = s })
		run(t, r)
		time.Sleep(time.Hour)
		synctest.Wait()
		if r.Current() != s || first != s {
			t.Error("a failure changed the snapshot, or Run did not begin with it")
		}
		down.set("/secret", page{body: secretA})
		time.Sleep(time.Hour)
		synctest.Wait()
		if st := r.Status().Resources[Secret]; r.Current() != s || st.FromCache || st.Age(time.Now()) > time.Hour {
			t.Errorf("the same secret again: %+v", st)
		}
	})
}

// TestCacheDamaged flips, cuts and lengthens a cached file everywhere: it is never used.
func TestCacheDamaged(t *testing.T) {
	c := newCache(t.TempDir())
	body := []byte("proxy_for 1 192.0.2.1:443;")
	if err := c.save(ConfigV4, "a", body); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(c.path(ConfigV4))
	if err != nil {
		t.Fatal(err)
	}
	if got, _, err := c.load(ConfigV4, "a"); err != nil || !bytes.Equal(got, body) {
		t.Fatalf("%q, %v", got, err)
	}
	if _, err := dcmap.Parse(good, dcmap.V4); err != nil {
		t.Errorf("a cached list is no list any more: %v", err)
	}
	if _, _, err := c.load(ConfigV4, "b"); !errors.Is(err, errForeign) {
		t.Errorf("from another source: %v", err)
	}
	if _, _, err := c.load(ConfigV6, "a"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
	try := func(what string, i int, p []byte) {
		t.Helper()
		if err := os.WriteFile(c.path(ConfigV4), p, 0o600); err != nil {
			t.Fatal(err)
		}
		if got, _, err := c.load(ConfigV4, "a"); err == nil {
			t.Errorf("%s at %d: %q was used", what, i, got)
		}
	}
	for i := range good {
		flipped := bytes.Clone(good)
		flipped[i] ^= 0x10
		try("flipped", i, flipped)
		try("cut", i, good[:i])
		try("cut in front", i, good[i+1:])
	}
	try("lengthened", len(good), append(bytes.Clone(good), '\n'))
	try("doubled", len(good), append(bytes.Clone(good), good...))
	try("huge", 0, make([]byte, maxCached+1))
	if _, _, err := newCache("").load(Secret, "a"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without a directory: %v", err)
	}
	if err := newCache("").save(Secret, "a", body); err != nil {
		t.Errorf("without a directory: %v", err)
	}
}

// FuzzUnseal gives any file: what comes out is what trailer sealed.
func FuzzUnseal(f *testing.F) {
	for _, body := range []string{"", secretA, listV4, cacheMark} {
		f.Add([]byte(body+trailer([]byte(body), "a")), "a")
		f.Add([]byte(body+trailer([]byte(body), "a")), "b")
	}
	f.Fuzz(func(t *testing.T, all []byte, source string) {
		body, err := unseal(all, source)
		if err == nil && string(all) != string(body)+trailer(body, source) {
			t.Fatalf("%q gives %q", all, body)
		}
		if back, err := unseal([]byte(string(all)+trailer(all, source)), source); err != nil || !bytes.Equal(back, all) {
			t.Fatalf("%q sealed gives %q, %v", all, back, err)
		}
	})
}

// TestCacheIgnored starts with a damaged cache, a cached secret that is none, and a directory that
// cannot be written: warnings, and everything comes from the network.
func TestCacheIgnored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, dir := newWeb(), t.TempDir()
		c := newCache(dir)
		if err := c.save(Secret, base+"/secret", []byte("too short")); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(c.path(ConfigV4), []byte(listV4[:50]), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Join(c.path(ConfigV6), "x"), 0o700); err != nil { // a directory in its place
			t.Fatal(err)
		}
		dead := c.path(Secret) + ".1.tmp" // of a process that died
		if err := os.WriteFile(dead, []byte(secretB), 0o600); err != nil {
			t.Fatal(err)
		}
		if old := time.Now().Add(-2 * tempAge); os.Chtimes(dead, old, old) != nil {
			t.Fatal("the time cannot be set")
		}
		o, j := options(t, base, w)
		o.StateDir = dir
		r, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		if r.Current() != nil || j.count("level=WARN msg=\"telegram: the cache is ignored\"") != 3 {
			t.Errorf("%v\n%s", r.Current(), j)
		}
		if _, err := os.Stat(dead); err == nil {
			t.Error("a dead process's file is still there")
		}
		run(t, r)
		time.Sleep(time.Second)
		synctest.Wait()
		if s := r.Current(); s == nil || s.V4.Len() != 4 || s.V6.Len() != 1 || j.count("cannot be cached") != 1 {
			t.Errorf("%v\n%s", s, j)
		}
	})
}

// killEnv makes the test binary save a secret into the directory that it names, and die before the rename.
const killEnv = "REFRESH_TEST_KILL"

// TestKilled kills a process between write and rename: the old cache stays, and the next start removes
// what is left once it is old.
func TestKilled(t *testing.T) {
	if dir := os.Getenv(killEnv); dir != "" {
		c := newCache(dir)
		c.rename = func(string, string) error { return syscall.Kill(os.Getpid(), syscall.SIGKILL) }
		t.Fatal(c.save(Secret, "a", []byte(secretB)))
	}
	c := newCache(t.TempDir())
	if err := c.save(Secret, "a", []byte(secretA)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), testWait)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run", "^TestKilled$")
	cmd.Env = append(os.Environ(), killEnv+"="+c.dir)
	out, err := cmd.CombinedOutput()
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); err == nil || !ok || status.Signal() != syscall.SIGKILL || ctx.Err() != nil {
		t.Fatalf("the process was not killed: %v\n%s", err, out)
	}
	left := func() []string {
		l, err := filepath.Glob(filepath.Join(c.dir, "*.tmp"))
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	if body, _, err := c.load(Secret, "a"); err != nil || string(body) != secretA || len(left()) != 1 {
		t.Fatalf("%v; %v", err, left())
	}
	if c.sweep(time.Now()); len(left()) != 1 {
		t.Error("removed what may belong to a living process")
	}
	if c.sweep(time.Now().Add(2 * tempAge)); len(left()) != 0 {
		t.Errorf("still there: %v", left())
	}
	if body, _, err := c.load(Secret, "a"); err != nil || string(body) != secretA {
		t.Errorf("after the sweep: %v", err)
	}
	// A rename that fails leaves the old one, and nothing else.
	c.rename = func(string, string) error { return fs.ErrPermission }
	if err := c.save(Secret, "a", []byte(secretB)); !errors.Is(err, fs.ErrPermission) || len(left()) != 0 {
		t.Errorf("%v; %v", err, left())
	}
}

// TestOptions names everything that is wrong, and no password.
func TestOptions(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	for _, c := range []struct {
		o    Options
		want []string
	}{
		{Options{}, []string{"secret needs", "configuration needs"}},
		{Options{Secret: "ftp://x/y", ConfigV4: "https://"}, []string{"http or https URL, or a file (secret)", "names no host (config_v4)"}},
		{Options{Secret: "file://host/x", ConfigV6: "http://me:hunter2@ bad/"}, []string{"(secret)", "(config_v6)"}},
		{Options{Secret: "s", ConfigV4: "c", LookupV4: []string{"http://a/", "gopher://x"}}, []string{"(own_v4)"}},
	} {
		c.o.Log = log
		_, err := New(c.o)
		if err == nil {
			t.Errorf("%+v is taken", c.o)
			continue
		}
		for _, part := range c.want {
			if !strings.Contains(err.Error(), part) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%v does not say %q", err, part)
			}
		}
	}
	if err := checkRedirect(&http.Request{URL: mustURL(t, "http://a/")}, []*http.Request{{URL: mustURL(t, "https://a/")}}); !errors.Is(err, errDowngrade) {
		t.Errorf("https to http: %v", err)
	}
}
