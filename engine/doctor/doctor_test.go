package doctor

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"epoxy/codec"
	"epoxy/codec/secret"
	"epoxy/engine/config"
	"epoxy/upstream/faketg"
)

// TestHealthy finds nothing worse than a note in a set-up that works.
func TestHealthy(t *testing.T) {
	w := newWorld(t)
	w.fronted(w.site(nil))
	found := w.run()
	for _, f := range found {
		t.Logf("%v %s: %s", f.Level, f.Check, f.Text)
	}
	if bad := names(found); bad != nil {
		t.Errorf("found %v", bad)
	}
	for _, want := range []string{"by a link", "directly", "the front site.inside", "leads to this machine's network", "the clock is within 1s", "cannot be guessed", "config_v4 was fetched"} {
		if !slices.ContainsFunc(found, func(f Finding) bool { return f.Level == OK && strings.Contains(f.Text, want) }) {
			t.Errorf("nothing good is said of %q", want)
		}
	}
	if w.dc.Seen().Packets == 0 || w.middle.Seen().Nonces == 0 {
		t.Error("nobody was asked")
	}
}

// broken is one way to break a healthy set-up, what is then found beside notes, and words of one finding and its cure.
type broken struct {
	name      string
	spoil     func(w *world)
	want      []string
	text, fix string
}

// judge spoils a world and looks.
func (b broken) judge(t *testing.T) {
	w := newWorld(t)
	b.spoil(w)
	found := w.run()
	if bad := names(found); !slices.Equal(bad, b.want) {
		t.Errorf("found %q, want %q", bad, b.want)
	}
	if !slices.ContainsFunc(found, func(f Finding) bool {
		return f.Level > OK && strings.Contains(f.Text, b.text) && strings.Contains(f.Cure, b.fix)
	}) {
		t.Errorf("no finding says %q and cures with %q", b.text, b.fix)
	}
	for _, f := range found {
		if f.Level > Note && f.Cure == "" {
			t.Errorf("no cure for %q", f.Text)
		}
	}
	out, err := json.Marshal(found)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range w.set.Secrets {
		if strings.Contains(string(out), n.Secret.Hex()) {
			t.Error("a secret is shown")
		}
	}
	if t.Failed() {
		for _, f := range found {
			t.Logf("%v %s/%s: %s -> %s", f.Level, f.Check, f.Name, f.Text, f.Cure)
		}
	}
}

func judgeAll(t *testing.T, all []broken) {
	for _, b := range all {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel() // most of it is waiting for a front to fall silent
			b.judge(t)
		})
	}
}

// TestMachine breaks what is of this machine.
func TestMachine(t *testing.T) {
	limits := func(n int) func(*world) {
		return func(w *world) { w.write("self/limits", fmt.Sprintf("Max open files  1024  %d  files", n)) }
	}
	sysctl := func(name, text string) func(*world) {
		return func(w *world) { w.write("sys/"+name, text) }
	}
	judgeAll(t, []broken{
		{"few descriptors", limits(4096), []string{"limits/descriptors warning"}, "4096 is enough for 1751 clients, --max-clients is 20000", "LimitNOFILE="},
		{"no descriptors", limits(256), []string{"limits/descriptors fault"}, "no room", "ulimit -Hn"},
		{"nr_open", func(w *world) { limits(4096)(w); w.write("sys/fs/nr_open", "4096") }, []string{"limits/descriptors warning"}, "4096", "sysctl -w fs.nr_open="},
		{"file-max", sysctl("fs/file-max", "10000"), []string{"limits/file_max warning"}, "10000", "fs.file-max = "},
		{"memory", func(w *world) { w.set.Memory = 64 << 30 }, []string{"limits/memory fault"}, "--memory 64 GiB is more than the 15", "--memory 12800M"},
		{"clients for memory", func(w *world) { w.write("meminfo", "MemTotal: 100000 kB") }, []string{"limits/memory warning"}, "20000 clients take about 195 MiB", "--max-clients"},
		{"somaxconn", sysctl("net/core/somaxconn", "128"), []string{"sysctl/net.core.somaxconn warning"}, "is 128, 4096 are wanted", "`net.core.somaxconn = 4096` in /etc/sysctl.d/90-epoxy.conf"},
		{"syn backlog", func(w *world) {
			sysctl("net/ipv4/tcp_max_syn_backlog", "128")(w)
			w.write("sys/net/ipv4/tcp_syncookies", "0")
		},
			[]string{"sysctl/net.ipv4.tcp_max_syn_backlog warning"}, "128", "sysctl -w net.ipv4.tcp_max_syn_backlog=4096"},
		{"conntrack low", sysctl("net/netfilter/nf_conntrack_max", "16384"), []string{"sysctl/net.netfilter.nf_conntrack_max warning"}, "16384", "nf_conntrack_max = "},
		{"conntrack full", sysctl("net/netfilter/nf_conntrack_count", "260000"), []string{"sysctl/net.netfilter.nf_conntrack_max fault"}, "260000 connections of 262144", "nf_conntrack_max = 1048576"},
		{"local ports", sysctl("net/ipv4/ip_local_port_range", "32768 40000"), []string{"sysctl/net.ipv4.ip_local_port_range warning"}, "leaves 7233 ports", `sysctl -w net.ipv4.ip_local_port_range="1024 65535"`},
		{"tcp_mem", sysctl("net/ipv4/tcp_mem", "100 200 300"), []string{"sysctl/net.ipv4.tcp_mem warning"}, "200 pages", "sysctl -w net.ipv4.tcp_mem="},
		{"tcp_rmem", sysctl("net/ipv4/tcp_rmem", "4096 16777216 16777216"), []string{"sysctl/net.ipv4.tcp_rmem warning"}, "16777216", "4096 131072 6291456"},
		{"tcp_wmem", sysctl("net/ipv4/tcp_wmem", "4096 16384 65536"), []string{"sysctl/net.ipv4.tcp_wmem warning"}, "65536", "4096 16384 4194304"},
		{"bbr", func(*world) {}, nil, "tcp_congestion_control is cubic", "sysctl -w net.ipv4.tcp_congestion_control=bbr"},
		{"nat", func(w *world) { w.o.Addrs = func() ([]net.Addr, error) { return nil, nil } }, []string{"address/nat warning"}, "no interface has a public IPv4 address", "--public-ip"},
	})
}

// TestSettings breaks what the operator wrote.
func TestSettings(t *testing.T) {
	key := func(text string) func(*world) {
		return func(w *world) { w.set.Secrets[0].Secret.Key = codec.Key([]byte(text)) }
	}
	bind := func(err error) func(*world) {
		return func(w *world) { w.o.Bind = func(addr string) error { return fmt.Errorf("reactor: %s: %w", addr, err) } }
	}
	judgeAll(t, []broken{
		{"unknown variable", func(w *world) { w.o.Unknown = []string{"EPOXY_LISTN"} }, []string{"settings/unknown_variable warning"}, "EPOXY_LISTN", "unset"},
		{"mistake", func(w *world) { w.set.Allow = config.AllowOf(codec.Secure) }, []string{"settings/mistake fault"}, "its links need tls", "add tls"},
		{"public secret", key("\xd0\xd6\xe1\x11\xba\xda\x55\x11\xfc\xce\x95\x84\xde\xad\xbe\xef"), []string{"secrets/secret_public fault"}, "secret alice stands in public examples", "epoxy secret"},
		{"counting secret", key("abcdefghijklmnop"), []string{"secrets/secret_weak warning"}, "counts up or down", "epoxy secret"},
		{"repeated secret", key("\x01\xf7\x83\x99\x41\x55\xe0\x7a\x01\xf7\x83\x99\x41\x55\xe0\x7a"), []string{"secrets/secret_weak warning"}, "the same 8 bytes twice", "epoxy secret"},
		{"passphrase", key("my dog is a cat!"), []string{"secrets/secret_weak warning"}, "is text", "epoxy secret"},
		{"links of another site", func(w *world) {
			w.set.Secrets[0].Secret.Domain = "other.org"
			w.names["other.org"] = machineIP
			w.fronted(w.site(nil))
		},
			[]string{"secrets/front_mismatch warning"}, "say other.org", "--front other.org=HOST:PORT"},
		{"domain elsewhere", func(w *world) { w.names[domain] = "198.51.100.1" }, []string{"domain/domain_elsewhere warning"}, "198.51.100.1, this machine at 203.0.113.7", "A record"},
		{"domain nowhere", func(w *world) { delete(w.names, domain) }, []string{"domain/domain_unknown warning"}, "does not resolve", "domain of yours"},
		{"host nowhere", func(w *world) { w.set.PublicHost = "proxy.example.net" }, []string{"domain/host_unknown fault"}, "proxy.example.net does not resolve", "A record"},
		{"port taken", func(w *world) { w.occupy("nginx") }, []string{"ports/port_taken fault"}, "is taken by nginx (pid 4711)", "--listen"},
		{"port taken by somebody", func(w *world) { w.occupy("") }, []string{"ports/port_taken fault"}, "only root can name", "ss -ltnp"},
		{"port of an Epoxy", func(w *world) { w.occupy("epoxy") }, nil, "taken by epoxy (pid 4711)", "nothing when that is"},
		{"no privilege", bind(fs.ErrPermission), []string{"ports/port_privilege fault"}, "may not listen below port 1024", "CAP_NET_BIND_SERVICE"},
		{"no such address", bind(errors.New("cannot assign")), []string{"ports/port_unusable fault"}, "nobody can listen there", "ip address"},
		{"no directory", func(w *world) { w.set.Admin = config.Endpoint{Path: "/run/epoxy/door.sock"} }, []string{"ports/no_directory fault"}, "--admin unix:/run/epoxy/door.sock", "mkdir -p /run/epoxy"},
	})
}

// occupy has somebody listen at the first port; /proc tells who it is, unless name is empty.
func (w *world) occupy(name string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = l.Close() })
	w.set.Listen = []config.Listen{parsed(w.t, l.Addr().String())}
	w.write("net/tcp", row(l.Addr(), 12345))
	if name != "" {
		w.write("4711/comm", name)
		w.link("4711/fd/7", "socket:[12345]")
	}
}

// row is a listener's line of /proc/net/tcp, below its head.
func row(at net.Addr, inode int) string {
	return fmt.Sprintf("  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"+
		"   0: 0100007F:%04X 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 %d 1 0000000000000000 100 0 0 10 0\n", at.(*net.TCPAddr).Port, inode)
}

// TestOwnDoor takes ports that the Epoxy of these settings has for granted, whatever its program is called.
func TestOwnDoor(t *testing.T) {
	for _, answer := range []struct {
		status int
		text   string
		who    string
		ours   bool
	}{
		{200, "Epoxy, the operator's door\n", "epoxy", true},
		{200, "Epoxy, the operator's door\n", "epoxy-v9", true},
		{401, `{"error":"admin: the token is missing or wrong"}`, "epoxy", true},
		{200, "Welcome to nginx!", "nginx", false},
	} {
		w := newWorld(t)
		w.occupy(answer.who)
		door := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, _ *http.Request) {
			out.WriteHeader(answer.status)
			_, _ = out.Write([]byte(answer.text))
		}))
		t.Cleanup(door.Close)
		w.write("net/tcp6", row(door.Listener.Addr(), 12346))
		w.link("4711/fd/8", "socket:[12346]")
		w.set.Admin = config.Endpoint{Addr: netip.MustParseAddrPort(door.Listener.Addr().String())}
		found := w.run()
		if ours := Worst(found) <= Note; ours != answer.ours {
			t.Errorf("%+v: found %v", answer, names(found))
		}
		if said := slices.ContainsFunc(found, func(f Finding) bool {
			return f.Level == OK && strings.Contains(f.Text, "(pid 4711): the Epoxy whose door is at")
		}); said != answer.ours {
			t.Errorf("%+v: whose port is it?", answer)
		}
	}
}

// TestClock breaks the clock.
func TestClock(t *testing.T) {
	judgeAll(t, []broken{
		{"ahead", func(w *world) { w.behind.Store(300) }, []string{"clock/clock_wrong fault"}, "ahead of 127.0.0.1", "chrony"},
		{"behind", func(w *world) { w.behind.Store(-300) }, []string{"clock/clock_wrong fault"}, "behind 127.0.0.1", "chrony"},
		{"drift", func(w *world) { w.behind.Store(15) }, []string{"clock/clock_drift warning"}, "ahead", "chrony"},
		{"ntp", func(w *world) { w.o.TimeFrom = []string{"ntp://" + ntpClock(w.t, -90*time.Second)} }, []string{"clock/clock_wrong fault"}, "1m30", "chrony"},
		{"nobody tells", func(w *world) { w.o.TimeFrom = []string{"http://" + nobody.String()} }, []string{"clock/clock_unknown warning"}, "refused", "--time-from"},
		{"no time server", func(w *world) { w.o.TimeFrom = []string{"gopher://x"} }, []string{"clock/clock_unknown warning"}, "neither http", "--time-from"},
	})
}

// TestFront breaks the front.
func TestFront(t *testing.T) {
	front := func(at func(w *world) netip.AddrPort) func(*world) {
		return func(w *world) { w.fronted(at(w)) }
	}
	judgeAll(t, []broken{
		{"nobody", front(func(*world) netip.AddrPort { return nobody }), []string{"front/front_down fault"}, "refused", "start the web server"},
		{"no name", func(w *world) { w.fronted(nobody); delete(w.names, "site.inside") }, []string{"front/front_down fault"}, "no such host", "--front"},
		{"not TLS", front(func(w *world) netip.AddrPort { return netip.MustParseAddrPort(w.web.Listener.Addr().String()) }), []string{"front/front_not_tls fault"}, "refuses a hello", "https"},
		{"TLS 1.2", front(func(w *world) netip.AddrPort { return w.site(&tls.Config{MaxVersion: tls.VersionTLS12}) }), []string{"front/front_unfit warning"}, "no TLS 1.3", "switch it on"},
		{"HelloRetryRequest", front(func(w *world) netip.AddrPort {
			return w.site(&tls.Config{CurvePreferences: []tls.CurveID{tls.CurveP384}})
		}),
			[]string{"front/front_unfit warning"}, "HelloRetryRequest", "x25519"},
		{"loop by address", func(w *world) {
			w.set.Listen = []config.Listen{parsed(w.t, ":4439")}
			w.o.Bind = func(string) error { return nil }
			w.set.Fronts = []config.Front{{Addr: netip.MustParseAddrPort("127.0.0.1:4439")}}
		}, []string{"front/front_loop fault"}, "is our own listener", "name the address and port of the web site itself"},
		{"loop by name", func(w *world) {
			w.set.Listen = []config.Listen{parsed(w.t, "127.0.0.1:4439")}
			w.o.Bind = func(string) error { return nil }
			w.fronted(netip.MustParseAddrPort("127.0.0.1:4439"))
		}, []string{"front/front_loop fault"}, "which resolves to 127.0.0.1:4439, is our own listener", "name the address"},
	})
}

// TestOffline asks nobody.
func TestOffline(t *testing.T) {
	w := newWorld(t)
	w.o.Offline = true
	w.set.Secrets[0].Secret = secret.Secret{Key: w.set.Secrets[0].Secret.Key}
	if bad := names(w.run()); bad != nil {
		t.Errorf("found %v", bad)
	}
	if n := w.visited.Load(); n > 0 || w.dc.Seen().Accepted > 0 {
		t.Errorf("%d connections, offline", n)
	}
}

// TestTimeout ends in time when nobody answers.
func TestTimeout(t *testing.T) {
	w := newWorld(t)
	w.dc.SetFaults(faketg.Faults{Stall: true})
	w.o.Timeout = 2 * time.Second
	start := time.Now()
	found := w.run()
	if took := time.Since(start); took > patience/2 {
		t.Errorf("it took %v", took)
	}
	if Worst(found) < Warning {
		t.Errorf("found %v", names(found))
	}
}
