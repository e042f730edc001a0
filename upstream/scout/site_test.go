package scout

import (
	"strings"
	"testing"
)

func TestNewSite(t *testing.T) {
	for _, c := range []struct {
		site            Site
		host, path, sni string
		addr            string
	}{
		{Site{Target: "Front.Example.:443"}, "front.example", "", "front.example", ""},
		{Site{Target: "192.0.2.1:443"}, "", "", "", "192.0.2.1:443"},
		{Site{Target: "[::ffff:192.0.2.1]:443"}, "", "", "", "192.0.2.1:443"},
		{Site{Target: "[2001:db8::1]:65535"}, "", "", "", "[2001:db8::1]:65535"},
		{Site{Target: "/run/web.sock", Domain: "A.Example."}, "", "/run/web.sock", "a.example", ""},
		{Site{Target: "unix:/run/web.sock"}, "", "/run/web.sock", "", ""},
		{Site{Target: "localhost:8443", Domain: "xn--a-b.example", Proxy: 2}, "localhost", "", "xn--a-b.example", ""},
		{Site{Domain: "a.example", Off: true}, "", "", "", ""},
	} {
		s, err := newSite(c.site, "")
		if err != nil || s.host != c.host || s.path != c.path || s.sni != c.sni {
			t.Errorf("%+v: %+v, %v", c.site, s, err)
			continue
		}
		if c.addr != "" != (len(s.addrs) == 1) || c.addr != "" && s.addrs[0].String() != c.addr {
			t.Errorf("%+v: %v", c.site, s.addrs)
		}
	}
	if s, err := newSite(Site{Target: "front.example:443"}, "given.example"); err != nil || s.sni != "given.example" {
		t.Errorf("%+v, %v", s, err)
	}
}

// Every mistake is named, with the flag.
func TestMistakes(t *testing.T) {
	w := newWeb()
	o, _ := options(w,
		Site{Target: "front.example"}, Site{Target: "front.example:0"}, Site{Target: "front.example:65536"},
		Site{Target: "front example:443"}, Site{Target: "1.2.3:443"}, Site{Target: "0.0.0.0:443"}, Site{Target: "224.0.0.1:443"},
		Site{Target: ""}, Site{Target: "web.sock"}, Site{Target: "192.0.2.1:443", Proxy: 3},
		Site{Target: "192.0.2.1:443", Off: true}, Site{Domain: "../a", Target: "192.0.2.1:443"},
		Site{Domain: "-a.example", Target: "192.0.2.1:443"}, Site{Domain: "a..example", Target: "192.0.2.1:443"},
		Site{Domain: strings.Repeat("a.", 128), Target: "192.0.2.1:443"}, Site{Domain: strings.Repeat("a", 64), Target: "192.0.2.1:443"},
		Site{Domain: "a.example", Off: true}, Site{Domain: "A.example", Off: true},
	)
	o.Default = "not a name"
	s, err := New(o)
	if s != nil || err == nil {
		t.Fatal("taken")
	}
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != len(o.Sites) { // one of the last two is right; the default is wrong
		t.Errorf("%d mistakes of %d:\n%v", len(lines), len(o.Sites), err)
	}
	for _, line := range lines[1:] {
		if !strings.Contains(line, "--front ") {
			t.Error(line)
		}
	}
	if len(w.asked) != 0 {
		t.Errorf("asked %v", w.asked)
	}
}
