package scout

import (
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func own(listeners ...string) func() []netip.AddrPort {
	var all []netip.AddrPort
	for _, l := range listeners {
		all = append(all, netip.MustParseAddrPort(l))
	}
	return func() []netip.AddrPort { return all }
}

// B19: a target that is our own listener is refused at the start, whichever way it leads there.
func TestSelfLoop(t *testing.T) {
	machine := "127.0.0.1"
	nets, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range nets { // an address that is not loopback, where there is one
		if p, err := netip.ParsePrefix(n.String()); err == nil && p.Addr().Is4() && !p.Addr().IsLoopback() {
			machine = p.Addr().String()
		}
	}
	for _, c := range []struct {
		listener, target, resolves, public string
		loop                               bool
	}{
		{"203.0.113.1:443", "203.0.113.1:443", "", "", true},
		{"203.0.113.1:443", "203.0.113.1:444", "", "", false},
		{"203.0.113.1:443", "203.0.113.2:443", "", "", false},
		{"[::ffff:203.0.113.1]:443", "203.0.113.1:443", "", "", true},
		{"0.0.0.0:443", "127.0.0.1:443", "", "", true},
		{"0.0.0.0:443", "127.9.9.9:443", "", "", true},
		{"0.0.0.0:443", "127.0.0.1:8443", "", "", false},
		{"0.0.0.0:443", "[::1]:443", "", "", false},
		{"[::]:443", "[::1]:443", "", "", true},
		{"[::]:443", "127.0.0.1:443", "", "", true},
		{"[::]:443", machine + ":443", "", "", true},
		{"0.0.0.0:443", machine + ":443", "", "", true},
		{"0.0.0.0:443", "198.51.100.1:443", "", "", false},
		{"127.0.0.1:443", "127.0.0.2:443", "", "", false},
		{"0.0.0.0:443", "front.example:443", "127.0.0.1", "", true},
		{"203.0.113.1:443", "front.example:443", "203.0.113.1", "", true},
		{"203.0.113.1:443", "front.example:443", "203.0.113.2", "", false},
		{"0.0.0.0:443", "198.51.100.1:443", "", "198.51.100.1", true},
		{"10.9.9.9:443", "front.example:443", "198.51.100.1", "198.51.100.1", true},
		{"127.0.0.1:443", "198.51.100.1:443", "", "198.51.100.1", false},
		{"203.0.113.1:443", "198.51.100.1:443", "", "198.51.100.1", false},
	} {
		bubble(t, c.listener+" "+c.target+" "+c.resolves, func(t *testing.T) {
			w := newWeb()
			w.name("front.example", "192.0.2.1", c.resolves)
			if c.resolves == "" {
				w.name("front.example", "192.0.2.1")
			}
			o, _ := options(w, Site{Domain: domain, Target: c.target})
			o.Own = own("192.0.2.200:9", c.listener)
			if c.public != "" {
				o.PublicV4 = netip.MustParseAddr(c.public)
			}
			s, err := New(o)
			switch {
			case !c.loop && err != nil || c.loop != (s == nil):
				t.Fatal(err)
			case c.loop:
				listener := strings.Replace(c.listener, "[::ffff:203.0.113.1]", "203.0.113.1", 1)
				for _, part := range []string{"--front " + c.target, "listener " + listener, c.resolves, "name the address"} {
					if !strings.Contains(err.Error(), part) {
						t.Errorf("%q is not in %q", part, err)
					}
				}
			}
		})
	}
}

// B19: a name that leads to us later loses that address, with one line in the log; old addresses stay
// when nothing else is left, but not those of a listener that came since.
func TestSelfLoopLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWeb()
		w.name("front.example", "198.51.100.1")
		o, j := options(w, Site{Target: "front.example:443"})
		listeners := make(chan []netip.AddrPort, 1)
		listeners <- own("0.0.0.0:443")()
		o.Own = func() []netip.AddrPort { l := <-listeners; listeners <- l; return l }
		s, _ := start(t, o)
		check := func(lines int, err string, want ...string) {
			t.Helper()
			after(3 * time.Minute)
			var got []string
			for _, a := range s.Current().Targets.Default.Addrs {
				got = append(got, a.String())
			}
			if strings.Join(got, " ") != strings.Join(want, " ") || s.Current().Sites[0].Err != err && !strings.Contains(s.Current().Sites[0].Err, "refused") {
				t.Errorf("addresses %v, error %q", got, s.Current().Sites[0].Err)
			}
			if n := j.count("level=ERROR"); n != lines {
				t.Errorf("%d lines of errors:\n%s", n, &j.text)
			}
		}
		check(0, "", "198.51.100.1:443")
		w.name("front.example", "127.0.0.1", "198.51.100.2")
		check(1, "", "198.51.100.2:443")
		w.name("front.example", "127.0.0.1")
		check(1, errOnlyOurs.Error(), "198.51.100.2:443")
		w.name("front.example", "127.0.0.2")
		check(2, errOnlyOurs.Error(), "198.51.100.2:443")
		<-listeners
		listeners <- own("0.0.0.0:443", "198.51.100.2:443")()
		check(2, errOnlyOurs.Error())
		if w.count("127.0.0.1:443")+w.count("127.0.0.2:443") != 0 {
			t.Error("dialled ourselves")
		}
	})
}
