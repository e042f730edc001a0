package refresh

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"epoxy/upstream/dcmap"
)

func mustURL(t *testing.T, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// serve puts w on a loopback port.
func serve(t *testing.T, w *web) (url string) {
	s := httptest.NewServer(w)
	t.Cleanup(s.Close)
	return s.URL
}

// filled returns a state directory with all three resources, as downloaded from url.
func filled(t *testing.T, url string) string {
	t.Helper()
	c := newCache(t.TempDir())
	for k, body := range map[Kind]string{Secret: secretA, ConfigV4: listV4, ConfigV6: listV6} {
		if err := c.save(k, url+"/"+strings.TrimPrefix(k.String(), "config_"), []byte(body)); err != nil {
			t.Fatal(err)
		}
	}
	return c.dir
}

// TestServer fetches over a real connection and caches; a changed resource replaces only itself.
func TestServer(t *testing.T) {
	w := newWeb()
	url := serve(t, w)
	o, j := options(t, url, nil)
	o.StateDir = t.TempDir()
	r, stop := start(t, o)
	j.wait(t, "msg=\"telegram: refreshed\"", 3)
	stop()
	if s := r.Current(); s == nil || !s.Secret.Equal(dcmap.Secret(secretA)) || s.V4.Len() != 4 || s.V6.Len() != 1 {
		t.Fatalf("snapshot %v", s)
	}
	if a := w.agents(); len(a) != 0 {
		t.Errorf("User-Agent %q", a)
	}
	w.set("/v4", page{body: otherV4})
	o, j = options(t, url, nil)
	o.StateDir = filled(t, url)
	r, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	was := r.Current()
	published := make(chan *dcmap.Snapshot, 9)
	r.Subscribe(func(s *dcmap.Snapshot) { published <- s })
	stop = run(t, r)
	j.wait(t, "changed=true", 1)
	stop()
	if s := <-published; s != was {
		t.Error("Run does not begin with the cached snapshot")
	}
	s := <-published
	added, removed := was.Changes(s)
	if s.Generation != 2 || s.Default() != 4 || len(added) != 1 || len(removed) != 2 || s.Old != nil || len(published) != 0 {
		t.Errorf("generation %d, added %v, removed %v", s.Generation, added, removed)
	}
}

// B21, B22: whatever the server says, a bad body is refused and the cached one stays (faults 31 and 33).
func TestRefused(t *testing.T) {
	long := strings.Repeat("s", 257)
	for _, c := range []struct {
		name, path string
		p          page
	}{
		{"31 bytes", "/secret", page{body: long[:31]}},
		{"257 bytes", "/secret", page{body: long}},
		{"a megabyte of secret", "/secret", page{body: strings.Repeat(long, 4096)}},
		{"no bytes", "/secret", page{}},
		{"no selector", "/secret", page{body: "\x00\x00\x00\x00" + long[:60]}},
		{"a secret cut off", "/secret", page{body: secretB + secretB, cut: true}},
		{"not found", "/secret", page{status: http.StatusNotFound, body: secretB}},
		{"empty", "/v4", page{}},
		{"HTML", "/v4", page{body: "<html><body>502 Bad Gateway</body></html>"}},
		{"no targets", "/v4", page{body: "default 2;\r\n"}},
		{"names only", "/v4", page{body: "proxy_for 1 dc.example.org:443;"}},
		{"IPv6 only", "/v4", page{body: listV6}},
		{"cut off", "/v4", page{body: otherV4, cut: true}},
		{"cut short", "/v4", page{body: otherV4[:len(otherV4)-5]}},
		{"less than half the DCs", "/v4", page{body: halfV4}},
		{"above 1 MiB", "/v4", page{body: otherV4 + "#" + strings.Repeat("x", dcmap.MaxText)}},
		{"a NUL", "/v4", page{body: otherV4 + "\x00"}},
		{"moved", "/v4", page{status: http.StatusNoContent}},
		{"IPv4 only", "/v6", page{body: otherV4}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWeb()
			w.set(c.path, c.p)
			url := serve(t, w)
			o, j := options(t, url, nil)
			o.StateDir = filled(t, url)
			r, stop := start(t, o)
			was := r.Current()
			j.wait(t, "not refreshed", 1)
			stop()
			if r.Current() != was || was == nil {
				t.Errorf("the snapshot changed\n%s", j)
			}
			again, err := New(o)
			if err != nil {
				t.Fatal(err)
			}
			if s := again.Current(); s == nil || !s.Secret.Equal(was.Secret) || !s.V4.Equal(was.V4) || !s.V6.Equal(was.V6) {
				t.Errorf("the cache changed: %v", s)
			}
		})
	}
}

// B22: CRLF, garbage between statements and IPv6 in the IPv4 list are read over a real connection too.
func TestOddLists(t *testing.T) {
	w := newWeb()
	w.set("/v4", page{body: "default   4 ;\r\n\r\nwhat is this;\r\n" + strings.ReplaceAll(listV4, "\n", "\r\n") + listV6})
	o, j := options(t, serve(t, w), nil)
	r, stop := start(t, o)
	j.wait(t, "msg=\"telegram: refreshed\"", 3)
	stop()
	if s := r.Current(); s.V4.Len() != 4 || s.V4.Skipped != 2 || s.V4.Default != 2 {
		t.Errorf("%s (%d skipped)", s.V4.AppendText(nil), s.V4.Skipped)
	}
}

// TestHalfTwice takes less than half the DCs when they come twice in a row (spec upstream-protocols 1.3).
func TestHalfTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWeb()
		o, _ := options(t, base, w)
		r, _ := start(t, o)
		time.Sleep(time.Minute)
		w.set("/v4", page{body: halfV4})
		time.Sleep(time.Hour)
		synctest.Wait()
		if s := r.Current(); s.V4.Len() != 1 {
			t.Errorf("%d ids", s.V4.Len())
		}
		if st := r.Status().Resources[ConfigV4]; st.Failures != 1 || st.InRow != 0 {
			t.Errorf("status %+v", st)
		}
	})
}

// TestFiles watches files: written in place, replaced, gone and back, wrong and right again.
func TestFiles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		o, j := options(t, dir, nil)
		o.ConfigV4, o.ConfigV6 = "file://"+o.ConfigV4, ""
		o.StateDir = filepath.Join(dir, "state")
		written := time.Now()
		put := func(name, text string) {
			t.Helper()
			path := filepath.Join(dir, name)
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			written = written.Add(time.Second) // the disk's own clock may not tick between two writes
			if err := os.Chtimes(path, written, written); err != nil {
				t.Fatal(err)
			}
		}
		put("secret", secretA)
		put("v4", listV4)
		r, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		if s := r.Current(); s == nil || s.V4.Len() != 4 || s.V6 != nil {
			t.Fatalf("files are not read at once: %v\n%s", s, j)
		}
		run(t, r)
		is := func(what string, generation uint64, half bool) {
			t.Helper()
			time.Sleep(3 * watchEvery)
			synctest.Wait()
			if s := r.Current(); s.Generation != generation || half != (s.V4.Len() == 1) {
				t.Errorf("%s: generation %d, %d ids\n%s", what, s.Generation, s.V4.Len(), j)
			}
		}
		is("nothing happens", 1, false)
		put("v4.new", otherV4)
		if err := os.Rename(filepath.Join(dir, "v4.new"), filepath.Join(dir, "v4")); err != nil {
			t.Fatal(err)
		}
		is("replaced", 2, false)
		put("secret", secretB)
		is("written in place", 3, false)
		if s := r.Current(); !s.Secret.Equal(dcmap.Secret(secretB)) || !s.Old.Equal(dcmap.Secret(secretA)) {
			t.Error("the new secret is not there, or the old one is not kept")
		}
		put("secret", secretB[:20])
		is("damaged", 3, false)
		if st := r.Status().Resources[Secret]; st.InRow == 0 || st.Err != dcmap.ErrSecretSize.Error() {
			t.Errorf("status %+v", st)
		}
		if err := os.Remove(filepath.Join(dir, "secret")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		if n := r.Status().Resources[Secret].Failures; n < 10 || n > 20 {
			t.Errorf("%d failures in an hour without the file", n)
		}
		put("secret", secretA)
		is("back", 4, false)
		put("v4", halfV4)
		time.Sleep(20 * time.Second)
		is("half the DCs, for good", 5, true)
		if st := r.Status().Resources[ConfigV4]; st.InRow != 0 || st.Age(time.Now()) > 2*watchEvery {
			t.Errorf("status %+v", st)
		}
		if _, err := os.Stat(o.StateDir); err == nil {
			t.Error("files are cached")
		}
	})
}

// TestFileOdd refuses what is no file, and reads no file while it is being written.
func TestFileOdd(t *testing.T) {
	dir := t.TempDir()
	w := &watch{path: dir}
	if _, _, err := w.look(9, false); err == nil {
		t.Error("read a directory")
	}
	if _, changed, err := w.look(9, false); changed || err != nil {
		t.Errorf("again: %v, %v", changed, err)
	}
	w = &watch{path: filepath.Join(dir, "f")}
	if _, _, err := w.look(9, false); err == nil {
		t.Error("read nothing")
	}
	for i := range 5 { // it grows at every look
		if err := os.WriteFile(w.path, []byte("123456789"[:i+1]), 0o600); err != nil {
			t.Fatal(err)
		}
		if body, changed, err := w.look(9, false); changed || err != nil {
			t.Errorf("look %d: %q, %v", i, body, err)
		}
	}
	if body, changed, err := w.look(9, false); !changed || err != nil || string(body) != "12345" {
		t.Errorf("settled: %q, %v, %v", body, changed, err)
	}
	if body, changed, err := w.look(9, false); changed || err != nil {
		t.Errorf("unchanged: %q, %v", body, err)
	}
	if body, changed, err := w.look(4, true); changed || err == nil {
		t.Errorf("too large: %q", body)
	}
	if body, changed, err := w.look(9, true); !changed || err != nil || string(body) != "12345" {
		t.Errorf("forced: %q, %v", body, err)
	}
}

// TestFileReplaced notices a new file of the same size and time.
func TestFileReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	written := time.Unix(1e9, 0)
	put := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(name, written, written); err != nil {
			t.Fatal(err)
		}
	}
	put(path, "one")
	w := &watch{path: path}
	if body, _, err := w.look(9, false); err != nil || string(body) != "one" {
		t.Fatalf("%q, %v", body, err)
	}
	put(path+".new", "two")
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
	if _, changed, err := w.look(9, false); changed || err != nil {
		t.Errorf("not settled: %v, %v", changed, err)
	}
	if body, changed, err := w.look(9, false); !changed || err != nil || string(body) != "two" {
		t.Errorf("%q, %v, %v", body, changed, err)
	}
}

// TestOwnServer asks a lookup service over IPv4, which answers with what it sees.
func TestOwnServer(t *testing.T) {
	w := newWeb()
	w.set("/ip", page{body: "192.0.2.99\n"})
	url := serve(t, w)
	o, j := options(t, url, nil)
	o.LookupV4 = []string{url + "/ip"}
	r, stop := start(t, o)
	j.wait(t, "msg=\"telegram: refreshed\"", 4)
	stop()
	if got := r.Current().PublicAddr(netip.MustParseAddr("127.0.0.1")); got != netip.MustParseAddr("192.0.2.99") {
		t.Errorf("our address is %v", got)
	}
}
