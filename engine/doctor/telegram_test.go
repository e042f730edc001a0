package doctor

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"epoxy/codec"
	"epoxy/codec/rpc"
	"epoxy/engine/config"
	"epoxy/upstream/egress"
	"epoxy/upstream/faketg"
)

// directly goes to datacenters and nowhere else.
func directly(w *world) { w.set.Upstream = config.UpstreamDirect }

// linked leaves links as the only way, as a tag does.
func linked(w *world) {
	w.set.Tag = new(rpc.Tag)
	w.set.Upstream = config.UpstreamAuto
}

// TestDatacenters breaks the datacenters themselves.
func TestDatacenters(t *testing.T) {
	faults := func(f faketg.Faults) func(*world) {
		return func(w *world) { directly(w); w.dc.SetFaults(f) }
	}
	at := func(id codec.DC, at func(w *world) netip.AddrPort) func(*world) {
		return func(w *world) { directly(w); w.set.DC[id] = []netip.AddrPort{at(w)} }
	}
	down := func(*world) netip.AddrPort { return nobody }
	judgeAll(t, []broken{
		{"down", at(4, down), []string{"telegram/dc_down fault"}, "DC 4 directly, 127.0.0.1:1: no connection: connection refused", "firewall"},
		{"file DC down", at(203, down), []string{"telegram/dc_down warning"}, "DC 203", "firewall"},
		{"one address down", func(w *world) { directly(w); w.set.DC[2] = append([]netip.AddrPort{nobody}, w.set.DC[2]...) },
			[]string{"telegram/dc_down warning"}, "DC 2 directly, 127.0.0.1:1", "firewall"},
		{"only a fall-back", func(w *world) { w.set.DC[4] = []netip.AddrPort{nobody} }, []string{"telegram/dc_down warning"}, "DC 4 directly", "firewall"},
		{"deaf", func(w *world) { faults(faketg.Faults{Stall: true})(w); w.o.Probe = 3 * time.Second }, []string{"telegram/dc_deaf fault"}, "no answer came", "--upstream-proxy"},
		{"closed", at(2, func(w *world) netip.AddrPort { return answering(w.t, "") }), []string{"telegram/dc_closed fault"}, "connected, and instead of an answer", "--dc"},
		{"another one", faults(faketg.Faults{OnlyDC: 9}), []string{"telegram/dc_other fault"}, "error -444", "--dc"},
		{"another server", at(2, func(w *world) netip.AddrPort { return answering(w.t, "SSH-2.0-OpenSSH_10.0\r\n") }),
			[]string{"telegram/dc_foreign fault"}, "no datacenter", "redirects"},
	})
}

// TestLinks breaks the middle proxies and what links to them need.
func TestLinks(t *testing.T) {
	faults := func(f faketg.MiddleFaults) func(*world) {
		return func(w *world) { linked(w); w.middle.SetFaults(f) }
	}
	seenAs := func(given string) func(*world) {
		return func(w *world) {
			linked(w)
			w.middle.Set(faketg.MiddleSettings{Secret: []byte(proxyKey), ProxyIP: netip.MustParseAddr("198.51.100.9")})
			if given != "" {
				w.set.PublicV4 = netip.MustParseAddr(given)
			}
		}
	}
	judgeAll(t, []broken{
		{"down", func(w *world) { linked(w); w.list.Store(listOf(nobody)) }, []string{"telegram/dc_down fault"}, "DC 1, -1, 2, -2, 3, -3, 4, -4, 5, -5 by a link, 127.0.0.1:1", "firewall"},
		{"another secret", faults(faketg.MiddleFaults{OtherSelector: true}), []string{"telegram/telegram_secret fault"}, "another secret than ours", "--telegram-secret"},
		{"secret unknown", func(w *world) { linked(w); w.middle.Set(faketg.MiddleSettings{Secret: []byte(otherKey)}) },
			[]string{"telegram/telegram_secret fault"}, "ends the link at our nonce", "--telegram-secret"},
		{"clock behind", faults(faketg.MiddleFaults{Skew: 100}), []string{"telegram/clock_wrong fault"}, " s behind", "chrony"},
		{"clock ahead", faults(faketg.MiddleFaults{Skew: -100}), []string{"telegram/clock_wrong fault"}, " s ahead", "chrony"},
		{"NAT, nothing said", seenAs(""), []string{"telegram/nat fault"}, "it does not see us as 127.0.0.1:", "--public-ip"},
		{"NAT, wrongly said", seenAs(machineIP), []string{"telegram/nat fault"}, "it does not see us as 203.0.113.7:", "changes the ports"},
		{"mute", func(w *world) { faults(faketg.MiddleFaults{NoHandshake: true})(w); w.o.Probe = 3 * time.Second }, []string{"telegram/nat fault"}, "no answer in time", "--public-ip"},
		{"wrong keys", faults(faketg.MiddleFaults{WrongKeys: true}), []string{"telegram/nat fault"}, "no answer to our handshake (it closed the connection)", "--public-ip"},
		{"deaf", func(w *world) { faults(faketg.MiddleFaults{NoNonce: true})(w); w.o.Probe = 3 * time.Second }, []string{"telegram/dc_deaf fault"}, "no answer to our nonce", "another network"},
		{"handshake refused", faults(faketg.MiddleFaults{HandshakeError: -7}), []string{"telegram/link_refused fault"}, "flags", "tell"},
		{"not ours", faults(faketg.MiddleFaults{OtherPID: true}), []string{"telegram/link_foreign fault"}, "link_pid", "--telegram-config"},
		{"wrong frame", faults(faketg.MiddleFaults{NonceSum: true}), []string{"telegram/link_foreign fault"}, "frame_sum", "redirects"},
	})
}

// TestSources breaks where secret and list come from.
func TestSources(t *testing.T) {
	gone := func(w *world) { linked(w); w.set.TelegramConfig = "http://" + nobody.String() + "/list" }
	judgeAll(t, []broken{
		{"garbage", func(w *world) { linked(w); w.list.Store("<html>blocked</html>") }, []string{"telegram/telegram_invalid fault"}, "config_v4 is not what it should be", "a mirror"},
		{"unreachable", gone, []string{"telegram/telegram_unreachable fault"}, "connection refused", "--telegram-config"},
		{"not found", func(w *world) { linked(w); w.set.TelegramSecret = w.web.URL + "/none" }, []string{"telegram/telegram_unreachable fault"}, "status 404", "--telegram-secret"},
		{"kept", func(w *world) {
			linked(w)
			w.keep()
			w.list.Store("<html>blocked</html>")
			old := time.Now().Add(-72 * time.Hour)
			if err := os.Chtimes(filepath.Join(w.set.StateDir, "telegram-config-v4"), old, old); err != nil {
				w.t.Fatal(err)
			}
		}, []string{"telegram/telegram_invalid warning"}, "is 72h0m0s old, addresses and secret may have changed", "mirror"},
		{"implausible", func(w *world) {
			linked(w)
			w.keep()
			w.list.Store("default 2; proxy_for 77 127.0.0.1:1;")
		}, []string{"telegram/telegram_invalid warning"}, "lacks all of DC 1..5", "mirror"},
	})
}

// TestNothingWritten looks, and leaves the state directory as it was.
func TestNothingWritten(t *testing.T) {
	w := newWorld(t)
	w.keep()
	left := filepath.Join(w.set.StateDir, "telegram-secret.1.tmp")
	old := time.Now().Add(-time.Hour)
	if err := os.WriteFile(left, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(left, old, old); err != nil {
		t.Fatal(err)
	}
	before := snapshot(t, w.set.StateDir)
	w.run()
	if after := snapshot(t, w.set.StateDir); !slices.Equal(before, after) {
		t.Errorf("the state directory had %q, has %q", before, after)
	}
}

// snapshot lists a directory with sizes and times.
func snapshot(t *testing.T, dir string) (all []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, e.Name()+info.ModTime().String())
	}
	return all
}

// TestProxies breaks proxies towards Telegram.
func TestProxies(t *testing.T) {
	through := func(m manners, spoil func(p *egress.Proxy)) func(*world) {
		return func(w *world) {
			p := wayOut(w.t, m)
			if spoil != nil {
				spoil(&p)
			}
			w.set.UpstreamProxies = []egress.Proxy{p}
		}
	}
	with := func(first, then func(*world)) func(*world) { return func(w *world) { first(w); then(w) } }
	judgeAll(t, []broken{
		{"works", through(manners{user: "u", password: "p"}, nil), nil, "tcp_congestion_control", "bbr"},
		{"HTTP works", with(directly, through(manners{http: true}, nil)), nil, "tcp_congestion_control", "bbr"},
		{"down", through(manners{}, func(p *egress.Proxy) { p.Addr = netip.MustParseAddrPort("127.0.0.1:1") }), []string{"telegram/proxy_down fault"}, "--upstream-proxy socks5://127.0.0.1:1", "correct --upstream-proxy"},
		{"login", through(manners{user: "u", password: "p"}, func(p *egress.Proxy) { p.Password = "secret99" }), []string{"telegram/proxy_login fault"}, "does not take user and password", "user and password"},
		{"foreign", func(w *world) {
			w.set.UpstreamProxies = []egress.Proxy{{Addr: answering(w.t, "SSH-2.0-OpenSSH_10.0\r\n")}}
		}, []string{"telegram/proxy_foreign fault"}, "socks5://", "http://"},
		{"refuses", with(directly, through(manners{refuse: true}, nil)), []string{"telegram/proxy_refused fault"}, "connection refused", "allow"},
		{"no bind", with(linked, through(manners{noBind: true}, nil)), []string{"telegram/proxy_bind fault"}, "which address Telegram sees", "outgoing address"},
		{"second serves", func(w *world) {
			through(manners{}, nil)(w)
			w.set.UpstreamProxies = append(w.set.UpstreamProxies, egress.Proxy{Addr: netip.MustParseAddrPort("127.0.0.1:1")})
		}, []string{"telegram/proxy_down fault"}, "127.0.0.1:1", "start it"},
	})
}

// TestMirror takes a list from a file and a lookup service's word for our address.
func TestMirror(t *testing.T) {
	w := newWorld(t)
	linked(w)
	name := filepath.Join(t.TempDir(), "list")
	if err := os.WriteFile(name, []byte(w.list.Load().(string)), 0o600); err != nil {
		t.Fatal(err)
	}
	w.set.TelegramConfig = "file://" + name
	w.o.TimeFrom = []string{w.web.URL}
	asked := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, _ *http.Request) { _, _ = out.Write([]byte("198.51.100.9\n")) }))
	t.Cleanup(asked.Close)
	w.set.PublicLookup = []string{asked.URL}
	w.middle.Set(faketg.MiddleSettings{Secret: []byte(proxyKey), ProxyIP: netip.MustParseAddr("198.51.100.9")})
	found := w.run()
	if bad := names(found); bad != nil {
		t.Errorf("found %v", bad)
	}
	if !slices.ContainsFunc(found, func(f Finding) bool { return strings.HasPrefix(f.Text, "own_v4 was fetched") }) {
		t.Error("the lookup service was not asked")
	}
}
