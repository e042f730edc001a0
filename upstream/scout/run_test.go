package scout

import (
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A front that is down, silent, or no TLS site is tried again, later and later, and stops nothing;
// when it is well it is measured.
func TestUnwell(t *testing.T) {
	const addr = "192.0.2.1:443"
	flight := "\x16\x03\x03\x00\x7a\x02\x00\x00\x76\x03\x03" + strings.Repeat("x", 60)
	well := serveTLS(config(t, 2000, 0), 0, 100)
	for name, c := range map[string]struct {
		serve func(net.Conn)
		want  string
	}{
		"refuses":       {nil, "connection refused"},
		"closes":        {func(c net.Conn) { c.Close() }, "closed pipe"},
		"reads, closes": {serveRaw("", false), "no answer to a hello: EOF"},
		"silent":        {serveRaw("", true), "i/o timeout"},
		"half":          {serveRaw(flight, true), "in the middle"},
		"half, closes":  {serveRaw(flight, false), "in the middle"},
		"http":          {serveRaw("HTTP/1.1 400 Bad Request\r\n\r\n", false), "a port for https?"},
		"alert":         {serveRaw("\x15\x03\x03\x00\x02\x02\x70", false), "sent alert 112"},
		"endless":       {serveRaw(strings.Repeat("\x17\x03\x03\x00\x01x", 20000), true), "a port for https?"},
	} {
		bubble(t, name, func(t *testing.T) {
			w := newWeb()
			w.site(addr, c.serve)
			o, j := options(w, Site{Domain: domain, Target: addr})
			s, _ := start(t, o)
			after(20 * time.Second)
			v := s.Current()
			if st := v.Sites[0]; !strings.Contains(st.Err, c.want) || st.TLS13 || !st.Measured.IsZero() || len(v.Profiles) != 0 {
				t.Errorf("%+v", st)
			}
			if v.Targets.ByDomain[domain].Addrs[0].String() != addr || v.Targets.Default != nil {
				t.Error("no target for strangers")
			}
			after(time.Hour)
			if n := w.count(addr); n != 4 { // at 0, 30 s, 2.5 min, 12.5 min; then 72.5 min
				t.Errorf("%d connections", n)
			}
			if n := j.count("not measured"); n != 1 {
				t.Errorf("%d lines", n)
			}
			w.site(addr, well)
			after(15 * time.Minute)
			if v := s.Current(); len(v.Profiles) != 1 || v.Sites[0].Err != "" {
				t.Errorf("well again: %+v", v.Sites)
			}
		})
	}
}

// A failed measurement does not take the profile away; a site that lost TLS 1.3 has none. Each warning is
// said once until it changes.
func TestProfileStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const addr = "192.0.2.1:443"
		w, old := newWeb(), config(t, 2000, 0)
		old.MaxVersion = 0x0303
		w.site(addr, serveTLS(config(t, 2000, 0), 0, 100))
		o, j := options(w, Site{Domain: domain, Target: addr})
		o.Measure = time.Hour
		s, _ := start(t, o)
		synctest.Wait()
		told := 0
		s.Subscribe(func(*View) { told++ })
		after(time.Minute)
		first := s.Current().Profiles[domain]
		w.site(addr, nil)
		after(time.Hour)
		if v := s.Current(); v.Profiles[domain] != first || first.AppData == 0 || !strings.Contains(v.Sites[0].Err, "refused") || !v.Sites[0].TLS13 {
			t.Errorf("%+v", v)
		}
		w.site(addr, serveTLS(old, 0, 100))
		after(5 * time.Hour)
		if v := s.Current(); len(v.Profiles) != 0 || v.Sites[0].TLS13 || v.Sites[0].Err != "" {
			t.Errorf("%+v", v)
		}
		if n := j.count("no TLS 1.3"); n != 1 {
			t.Errorf("%d warnings", n)
		}
		if told != 2 {
			t.Errorf("told %d times", told)
		}
	})
}

// Names: no answer at the start, then one; the same in another order; others; none any more.
func TestResolve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWeb()
		w.name("slow.example") // never answers
		o, j := options(w, Site{Target: "Front.Example.:443"}, Site{Domain: "a.example", Target: "slow.example:8443"}, Site{Domain: "OFF.example", Off: true})
		o.Every = 10 * time.Second
		begin := time.Now()
		s, _ := start(t, o)
		if d := time.Since(begin); d != startTime {
			t.Errorf("New took %v", d)
		}
		v := s.Current()
		if v.Targets.Default == nil || v.Targets.Default.Addrs != nil || len(v.Targets.ByDomain) != 2 || !v.Targets.ByDomain["off.example"].Off {
			t.Errorf("targets %+v", v.Targets)
		}
		if v.Sites[0].Err != errDNS.Error() || !strings.Contains(v.Sites[1].Err, "not resolved") && !strings.Contains(v.Sites[1].Err, "deadline") {
			t.Errorf("%+v", v.Sites)
		}
		var views []*View
		s.Subscribe(func(v *View) { views = append(views, v) })
		addrs := func(want ...string) {
			t.Helper()
			after(16 * time.Second)
			var got []string
			for _, a := range s.Current().Targets.Default.Addrs {
				got = append(got, a.String())
			}
			if !slices.Equal(got, want) {
				t.Errorf("addresses %v, want %v", got, want)
			}
		}
		addrs()
		w.name("front.example", "192.0.2.1", "::ffff:192.0.2.2", "2001:db8::1", "0.0.0.0", "224.0.0.1", "192.0.2.1")
		addrs("192.0.2.1:443", "192.0.2.2:443", "[2001:db8::1]:443")
		n := len(views)
		w.name("front.example", "192.0.2.2", "2001:db8::1", "192.0.2.1")
		addrs("192.0.2.1:443", "192.0.2.2:443", "[2001:db8::1]:443")
		if len(views) != n || s.Current().Targets != views[n-1].Targets || s.Current().Targets == v.Targets {
			t.Errorf("%d and %d views", n, len(views))
		}
		w.name("front.example", "192.0.2.9")
		addrs("192.0.2.9:443")
		w.name("front.example", "224.0.0.1")
		addrs("192.0.2.9:443")
		w.name("front.example", "0.0.0.0")
		addrs("192.0.2.9:443")
		if err := s.Current().Sites[0].Err; err != errNoAddress.Error() {
			t.Errorf("error %q", err)
		}
		if j.count("front: other addresses") != 1 {
			t.Errorf("log:\n%s", &j.text)
		}
		if w.count("off.example") != 0 || w.count("a.example") != 0 {
			t.Error("asked for a name that is none of a target")
		}
	})
}

// Who clients say they want should resolve to where we are.
func TestOtherNetwork(t *testing.T) {
	const addr = "192.0.2.1:443"
	serve := serveTLS(config(t, 2000, 0), 0, 100)
	for name, c := range map[string]struct {
		v4, v6 string
		answer []string
		want   bool
	}{
		"near":        {"203.0.113.7", "", []string{"198.51.100.1", "203.0.113.200"}, false},
		"far":         {"203.0.113.7", "", []string{"203.0.112.7"}, true},
		"unknown":     {"", "", []string{"203.0.112.7"}, false},
		"other kind":  {"203.0.113.7", "", []string{"2001:db8::1"}, false},
		"IPv6 near":   {"203.0.113.7", "2001:db8:1::1", []string{"203.0.112.7", "2001:db8:1:ff::2"}, false},
		"IPv6 far":    {"", "2001:db8:1::1", []string{"2001:db8:2::2"}, true},
		"no such one": {"203.0.113.7", "", nil, false},
	} {
		bubble(t, name, func(t *testing.T) {
			w := newWeb()
			w.site(addr, serve)
			if c.answer != nil {
				w.name(domain, c.answer...)
			}
			o, j := options(w, Site{Target: addr})
			o.Default, o.Measure = domain, time.Hour
			if c.v4 != "" {
				o.PublicV4 = netip.MustParseAddr(c.v4)
			}
			if c.v6 != "" {
				o.PublicV6 = netip.MustParseAddr(c.v6)
			}
			s, _ := start(t, o)
			after(5*time.Hour - time.Minute)
			st := s.Current().Sites[0]
			if got := len(st.Warnings) == 1 && strings.Contains(st.Warnings[0], "other networks"); got != c.want || !c.want && st.Warnings != nil {
				t.Errorf("%q", st.Warnings)
			}
			if n := j.count("other networks"); n != len(st.Warnings) {
				t.Errorf("%d lines", n)
			}
		})
	}
}

// A certificate for somebody else.
func TestOtherName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWeb()
		w.site("192.0.2.1:443", serveTLS(config(t, 2000, 0), 0, 100))
		o, _ := options(w, Site{Domain: "other.example", Target: "192.0.2.1:443"})
		s, _ := start(t, o)
		after(time.Minute)
		if st := s.Current().Sites[0]; len(st.Warnings) != 1 || !strings.Contains(st.Warnings[0], "does not name other.example") || !st.TLS13 {
			t.Errorf("%+v", st)
		}
	})
}
