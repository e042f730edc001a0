package lists

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

const (
	base = "https://user:hunter2@lists.example/net.set"
	four = "192.0.2.1\n192.0.2.2\n198.51.100.0/24\n2001:db8::/32\n"
)

func options(specs ...Spec) (Options, *journal) {
	j := &journal{}
	return Options{Lists: specs, Log: slog.New(slog.NewTextHandler(j, nil)), Jitter: func() float64 { return 0.5 }}, j
}

func start(t *testing.T, o Options) *Set {
	t.Helper()
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { s.Run(ctx) })
	t.Cleanup(func() { cancel(); wg.Wait() })
	return s
}

// verdict returns action and list in a word.
func verdict(s *Set, addr string) string {
	v := s.Lookup(netip.MustParseAddr(addr))
	if v.List == nil {
		return v.Action.String()
	}
	return v.Action.String() + " " + v.List.Name
}

func expect(t *testing.T, s *Set, want map[string]string) {
	t.Helper()
	for addr, w := range want {
		if got := verdict(s, addr); got != w {
			t.Errorf("%s: %s, want %s", addr, got, w)
		}
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestModes asks lists of all modes: block lists first, in their order, then the allow lists together.
func TestModes(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		write(t, filepath.Join(dir, name), text)
		return filepath.Join(dir, name)
	}
	bad := Spec{"bad", BlockDrop, file("bad", "10.0.0.0/8\n192.0.2.1")}
	odd := Spec{"odd", BlockFront, "file://" + file("odd", "10.1.0.0/16\n11.0.0.0/8")}
	home := Spec{"home", AllowDrop, file("home", "10.0.0.0/7\n192.0.2.0/24\n2001:db8::/32")}
	more := Spec{"more", AllowFront, file("more", "203.0.113.0/24")}
	o, _ := options(bad, odd)
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	expect(t, s, map[string]string{
		"10.1.2.3": "drop bad", "11.1.2.3": "front odd", "::ffff:10.0.0.1": "drop bad", "192.0.2.1": "drop bad", // B01
		"192.0.2.2": "pass", "2001:db8::1": "pass", "::": "pass",
	})
	if v := s.Lookup(netip.Addr{}); v != (Verdict{}) {
		t.Errorf("no address: %v", v)
	}
	if v := (*Set)(nil).Lookup(netip.MustParseAddr("10.1.2.3")); v != (Verdict{}) {
		t.Errorf("no set: %v", v)
	}
	o, _ = options(home, bad, more, odd)
	if s, err = New(o); err != nil {
		t.Fatal(err)
	}
	expect(t, s, map[string]string{
		"10.1.2.3": "drop bad", "11.1.2.3": "front odd", "192.0.2.1": "drop bad", "192.0.2.2": "pass", "203.0.113.1": "pass",
		"2001:db8::1": "pass", "1.1.1.1": "drop home", "2001:db9::1": "drop home", "::ffff:192.0.2.2": "pass",
	})
	o, j := options(Spec{"gone", AllowFront, filepath.Join(dir, "nothing")}, Spec{"none", BlockDrop, filepath.Join(dir, "nothing")})
	if s, err = New(o); err != nil {
		t.Fatal(err)
	}
	expect(t, s, map[string]string{"1.1.1.1": "front gone"})
	if j.count("nobody passes by it") != 1 || j.count("lists: not read") != 2 || s.Status()[1].Err == "" || s.Status()[1].Loaded {
		t.Errorf("%+v\n%s", s.Status(), &j.b)
	}
	o, _ = options(bad, bad, Spec{"", BlockDrop, ""}, Spec{"x", 9, "y"})
	if _, err := New(o); err == nil || strings.Count(err.Error(), "\n") != 2 {
		t.Errorf("mistakes: %v", err)
	}
}

// TestFile follows a file through an atomic replacement, a slow write, nonsense and its absence.
func TestFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "set")
		write(t, path, "10.0.0.1")
		o, j := options(Spec{"own", BlockDrop, path})
		s := start(t, o)
		step := func(what, addr, want string) {
			t.Helper()
			time.Sleep(3 * watchEvery)
			synctest.Wait()
			if got := verdict(s, addr); got != want {
				t.Errorf("%s: %s is %s, want %s\n%s", what, addr, got, want, &j.b)
			}
		}
		step("at first", "10.0.0.1", "drop own")
		write(t, path+".new", "10.0.0.2")
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
		step("replaced", "10.0.0.2", "drop own")
		step("replaced", "10.0.0.1", "pass")
		write(t, path, "")
		step("emptied by its owner", "10.0.0.2", "pass")
		write(t, path, "10.0.0.3\nwhat\n")
		step("written in place", "10.0.0.3", "drop own")
		if st := s.Status()[0]; st.BadLines != 1 || st.Entries != 1 || !st.Loaded || st.Err != "" {
			t.Errorf("%+v", st)
		}
		write(t, path, "<html>")
		step("nonsense", "10.0.0.3", "drop own")
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		step("gone", "10.0.0.3", "drop own")
		if st := s.Status()[0]; st.Failures != 2 || st.Err == "" || !st.Loaded || j.count("lists: not read") != 2 {
			t.Errorf("%+v\n%s", st, &j.b)
		}
		write(t, path, "10.0.0.4")
		step("back", "10.0.0.4", "drop own")
		if st := s.Status()[0]; st.Failures != 0 || st.Err != "" {
			t.Errorf("%+v", st)
		}
		for i := range 2 * int(watchEvery/time.Second) { // it never rests
			write(t, path, fmt.Sprintf("10.0.1.%s1", strings.Repeat("0", i&1)))
			time.Sleep(watchEvery)
		}
	})
}

// TestURL follows a URL: conditional requests, back-off, what is not believed, and the cache.
func TestURL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &web{status: 200, body: strings.Repeat("# x\n", 9) + four, etag: `"1"`}
		o, j := options(Spec{"far", BlockFront, base})
		o.Transport, o.StateDir = w, filepath.Join(t.TempDir(), "state")
		step := func(s *Set, what string, d time.Duration, want string, full, saved, failed int) {
			t.Helper()
			time.Sleep(d)
			synctest.Wait()
			f, u, x := w.counts()
			if got := verdict(s, "198.51.100.9"); got != want || f != full || u != saved || x != failed {
				t.Errorf("%s: %s, want %s; %d full, %d saved, %d failed\n%s", what, got, want, f, u, x, &j.b)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		s, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		wg.Go(func() { s.Run(ctx) })
		step(s, "at first", time.Second, "front far", 1, 0, 0)
		step(s, "unchanged", 3*time.Hour, "front far", 1, 3, 0)
		w.set(500, "", "")
		step(s, "down", time.Hour+90*time.Second, "front far", 1, 3, 4) // at 0, 5, 20 and 80 s
		if st := s.Status()[0]; st.Failures != 4 || st.Err != "lists: status 500" || st.Entries != 4 {
			t.Errorf("%+v", st)
		}
		w.set(200, " <!doctype html>", `"2"`)
		step(s, "a page", 6*time.Minute, "front far", 2, 3, 4)
		w.set(200, "# nothing", `"3"`)
		step(s, "empty", time.Hour, "front far", 3, 3, 4)
		w.set(200, "0.0.0.0/0", `"4"`)
		step(s, "everybody", time.Hour, "front far", 4, 3, 4)
		if got := verdict(s, "8.8.8.8"); got != "pass" {
			t.Errorf("everybody is blocked: %s", got)
		}
		if j.count("is not believed") != 3 || j.count("hunter2") != 0 {
			t.Errorf("%s", &j.b)
		}
		var many strings.Builder
		for i := range 100 {
			fmt.Fprintf(&many, "198.51.100.%d\n", i)
		}
		w.set(200, many.String(), `"5"`)
		step(s, "grown", time.Hour, "front far", 5, 3, 4)
		w.set(200, "8.8.8.8\n9.9.9.0/24", `"6"`)
		step(s, "shrunk", time.Hour, "front far", 6, 3, 4)
		if st := s.Status()[0]; st.Entries != 100 || !strings.Contains(st.Err, "from 100 entries to 2; if that is right") {
			t.Errorf("%+v", st)
		}
		cancel()
		wg.Wait()

		// A new process starts from the cache, and asks for changes only.
		w.set(200, many.String(), `"5"`)
		s = start(t, o)
		if got := verdict(s, "198.51.100.9"); got != "front far" || !s.Status()[0].Cached {
			t.Errorf("from the cache: %s, %+v", got, s.Status()[0])
		}
		step(s, "from the cache", time.Hour, "front far", 6, 4, 4)
		if st := s.Status()[0]; st.Cached || st.Entries != 100 {
			t.Errorf("%+v", st)
		}
	})
}

// TestCache: a file that is damaged, or of another source, is not used; a dead process's file goes.
func TestCache(t *testing.T) {
	dir := t.TempDir()
	c := cache{dir}
	if err := c.save("far", base, four, mark{`"1"`, "Mon"}); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(c.path("far"))
	if err != nil {
		t.Fatal(err)
	}
	if body, m, _, err := c.load("far", base); err != nil || body != four || m != (mark{`"1"`, "Mon"}) {
		t.Fatalf("%q, %v, %v", body, m, err)
	}
	if _, err := parse(string(good)); err != nil || bytes.Contains(good, []byte("hunter2")) {
		t.Errorf("the cached list: %v\n%s", err, good)
	}
	for i := range good {
		flipped := bytes.Clone(good)
		flipped[i] ^= 0x10
		for what, file := range map[string][]byte{"flipped": flipped, "cut": good[:i], "cut in front": good[i+1:]} {
			write(t, c.path("far"), string(file))
			if body, _, _, err := c.load("far", base); err == nil {
				t.Errorf("%s at %d: %q was used", what, i, body)
			}
		}
	}
	for _, file := range []string{string(good) + "\n", string(good)} {
		write(t, c.path("far"), file)
		dead := filepath.Join(dir, "list-far.1.tmp")
		write(t, dead, "x")
		old := time.Now().Add(-2 * tempAge)
		if err := os.Chtimes(dead, old, old); err != nil {
			t.Fatal(err)
		}
		o, j := options(Spec{"far", BlockDrop, base + "x"})
		o.StateDir = dir
		s, err := New(o)
		if err != nil || s.Status()[0].Loaded || j.count("the cache is ignored") != 1 {
			t.Errorf("%+v, %v\n%s", s.Status(), err, &j.b)
		}
		if _, err := os.Stat(dead); err == nil {
			t.Error("a dead process's file is still there")
		}
	}
}

// TestServer downloads over a real connection, with Last-Modified, a redirect and a body that is too long.
func TestServer(t *testing.T) {
	w := &web{status: 200, body: four, modified: "Mon, 23 Nov 2026 00:00:00 GMT"}
	mux := http.NewServeMux()
	mux.Handle("/list", w)
	mux.Handle("/moved", http.RedirectHandler("/list", http.StatusFound))
	mux.Handle("/loop", http.RedirectHandler("/loop", http.StatusFound))
	mux.HandleFunc("/long", func(rw http.ResponseWriter, _ *http.Request) {
		for range maxBody>>20 + 1 {
			rw.Write(make([]byte, 1<<20))
		}
	})
	server := httptest.NewServer(mux)
	defer server.Close()
	client := newClient(nil)
	a, err := get(t.Context(), client, server.URL+"/moved", mark{})
	if err != nil || a.body != four || a.mark.Modified != w.modified || a.mark.ETag != "" {
		t.Fatalf("%+v, %v", a, err)
	}
	if a, err = get(t.Context(), client, server.URL+"/list", a.mark); err != nil || !a.unchanged {
		t.Errorf("%+v, %v", a, err)
	}
	for path, want := range map[string]string{"/loop": "redirects", "/long": "larger", "/none": "404"} {
		if _, err := get(t.Context(), client, server.URL+path, mark{}); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "127.0.0.1") {
			t.Errorf("%s: %v", path, err)
		}
	}
	if _, err := get(t.Context(), client, "http://u:hunter2@127.0.0.1:1/?hunter2", mark{}); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("%v", err)
	}
}

// million returns a set of one list with n prefixes of all lengths.
func million(n int) *Set {
	r := rand.New(rand.NewPCG(1, 2))
	tab := new(table)
	for range n {
		var ip [4]byte
		binary.BigEndian.PutUint32(ip[:], r.Uint32())
		tab.add(ends(netip.PrefixFrom(netip.AddrFrom4(ip), 17+r.IntN(16))))
	}
	tab.build()
	s := &Set{lists: []*list{{spec: Spec{"big", BlockDrop, "x"}}}, tables: []*table{tab}}
	s.publish()
	return s
}

func TestLookupAllocs(t *testing.T) {
	s := million(1000)
	a := netip.MustParseAddr("::ffff:192.0.2.1")
	if n := testing.AllocsPerRun(100, func() { s.Lookup(a); a = a.Next() }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkLookup(b *testing.B) {
	s := million(1_000_000)
	r := rand.New(rand.NewPCG(3, 4))
	addrs := make([]netip.Addr, 1<<16)
	for i := range addrs {
		addrs[i] = netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, r.Uint32())))
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		s.Lookup(addrs[i&(len(addrs)-1)])
		i++
	}
}
