package doctor

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"io/fs"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"go.uber.org/goleak"

	"epoxy/codec"
	"epoxy/codec/secret"
	"epoxy/engine/config"
	"epoxy/engine/reactor"
	"epoxy/upstream/dcmap"
	"epoxy/upstream/faketg"
	"epoxy/upstream/refresh"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	patience  = 60 * time.Second // for a Run; nothing waits for it to pass
	domain    = "example.com"    // what httptest has a certificate for
	proxyKey  = "0123456789abcdef0123456789abcdef0123456789abcdef"
	otherKey  = "fedcba9876543210fedcba9876543210fedcba9876543210"
	machineIP = "203.0.113.7"
)

// world is a set-up on loopback in which everything is as it should be, until a test breaks it.
type world struct {
	t       *testing.T
	set     *config.Settings
	o       Options
	names   map[string]string // what they resolve to
	proc    fstest.MapFS
	dc      *faketg.Server
	middle  *faketg.MiddleServer
	web     *httptest.Server // has secret, list and clock
	behind  atomic.Int64     // seconds that the web server's clock is behind
	list    atomic.Value     // string, the list
	visited atomic.Int64     // connections by the doctor
}

// newWorld makes a healthy set-up: middle proxies first, the datacenters directly when they fail, a domain.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, set: config.Default(), dc: faketg.NewServer(faketg.Faults{}), proc: machine()}
	w.middle = faketg.NewMiddleServer(faketg.MiddleSettings{Secret: []byte(proxyKey)}, faketg.MiddleFaults{})
	dc := listen(t, func(r *reactor.Reactor) reactor.Acceptor { return w.dc.On(r) })
	middle := listen(t, func(r *reactor.Reactor) reactor.Acceptor { return w.middle.On(r, 0) })
	w.list.Store(listOf(middle))
	w.web = httptest.NewServer(http.HandlerFunc(w.serve))
	t.Cleanup(w.web.Close)
	w.names = map[string]string{domain: machineIP, "site.inside": "127.0.0.1"}

	s := w.set
	s.Listen = []config.Listen{parsed(t, "127.0.0.1:0")}
	s.Secrets = []config.NamedSecret{{Name: "alice", Secret: secret.Secret{Key: codec.Key([]byte("\xd0\x17\x3f\x9e\x21\x84\xaa\x06\x5b\xc3\x77\xe8\x1d\x92\x4f\xb0")), Kind: secret.FakeTLS, Domain: domain}}}
	s.Domain = domain
	s.Upstream = config.UpstreamMiddle
	s.TelegramSecret, s.TelegramConfig = w.web.URL+"/secret", w.web.URL+"/list"
	s.DC = map[codec.DC][]netip.AddrPort{}
	for _, id := range []codec.DC{1, 2, 3, 4, 5, 203} {
		s.DC[id] = []netip.AddrPort{dc}
	}
	s.Admin = config.Endpoint{}
	s.StateDir = t.TempDir()
	s.Loops, s.MaxClients = 2, 20000
	w.o = Options{
		Timeout: patience, Probe: patience / 2, Root: w.proc, Dial: w.dial,
		Addrs: func() ([]net.Addr, error) {
			return []net.Addr{&net.IPNet{IP: net.IPv4(127, 0, 0, 1), Mask: net.CIDRMask(8, 32)}, &net.IPNet{IP: net.ParseIP(machineIP), Mask: net.CIDRMask(24, 32)}}, nil
		},
		Resolve: func(_ context.Context, host string) ([]netip.Addr, error) {
			if a, ok := w.names[host]; ok {
				return []netip.Addr{netip.MustParseAddr(a)}, nil
			}
			return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
		},
	}
	return w
}

// machine is the part of /proc that is looked at, of a machine that is set up well.
func machine() fstest.MapFS {
	m := fstest.MapFS{}
	for name, text := range map[string]string{
		"self/limits":                                   "Limit                     Soft Limit           Hard Limit           Units\nMax open files            1024                 1048576              files\n",
		"meminfo":                                       "MemTotal:       16384000 kB\n",
		"sys/fs/nr_open":                                "1048576",
		"sys/fs/file-max":                               "9223372036854775807",
		"sys/fs/epoll/max_user_watches":                 "3500000",
		"sys/net/core/somaxconn":                        "4096",
		"sys/net/ipv4/tcp_max_syn_backlog":              "4096",
		"sys/net/ipv4/tcp_syncookies":                   "1",
		"sys/net/ipv4/ip_local_port_range":              "10240\t65535",
		"sys/net/ipv4/tcp_mem":                          "180000 240000 360000",
		"sys/net/ipv4/tcp_rmem":                         "4096\t131072\t6291456",
		"sys/net/ipv4/tcp_wmem":                         "4096\t16384\t4194304",
		"sys/net/ipv4/tcp_tw_reuse":                     "2",
		"sys/net/ipv4/tcp_congestion_control":           "cubic",
		"sys/net/ipv4/tcp_available_congestion_control": "reno cubic bbr",
		"sys/net/netfilter/nf_conntrack_max":            "262144",
		"sys/net/netfilter/nf_conntrack_count":          "1000",
	} {
		m["proc/"+name] = &fstest.MapFile{Data: []byte(text + "\n")}
	}
	return m
}

// write puts a file below /proc.
func (w *world) write(name, text string) {
	w.proc["proc/"+name] = &fstest.MapFile{Data: []byte(text + "\n")}
}

// serve answers as core.telegram.org does.
func (w *world) serve(out http.ResponseWriter, r *http.Request) {
	out.Header().Set("Date", time.Now().UTC().Add(-time.Duration(w.behind.Load())*time.Second).Format(http.TimeFormat))
	switch r.URL.Path {
	case "/secret":
		_, _ = io.WriteString(out, proxyKey)
	case "/list":
		_, _ = io.WriteString(out, w.list.Load().(string))
	default:
		http.NotFound(out, r)
	}
}

// listOf is a list with all datacenters at one address.
func listOf(at netip.AddrPort) string {
	var b strings.Builder
	b.WriteString("default 2;\n")
	for _, id := range []int{1, -1, 2, -2, 3, -3, 4, -4, 5, -5} {
		fmt.Fprintf(&b, "proxy_for %d %v;\n", id, at)
	}
	return b.String()
}

// dial goes nowhere but to loopback.
func (w *world) dial(ctx context.Context, network, address string) (net.Conn, error) {
	w.visited.Add(1)
	if at, err := netip.ParseAddrPort(address); network != "unix" && (err != nil || !at.Addr().IsLoopback()) {
		w.t.Errorf("the doctor dials %s", address)
		return nil, io.EOF
	}
	return new(net.Dialer).DialContext(ctx, network, address)
}

// fronted gives the port a front, which takes two seconds to look at.
func (w *world) fronted(at netip.AddrPort) {
	w.set.Fronts = []config.Front{{Host: "site.inside", Port: at.Port()}}
}

// site runs a web server of TLS with this configuration until the test ends.
func (w *world) site(c *tls.Config) netip.AddrPort {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(out http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(out, "welcome") }))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.TLS = c
	s.StartTLS()
	w.t.Cleanup(s.Close)
	return netip.MustParseAddrPort(s.Listener.Addr().String())
}

// listen puts an acceptor on a loop of its own.
func listen(t *testing.T, on func(*reactor.Reactor) reactor.Acceptor) netip.AddrPort {
	t.Helper()
	r, err := reactor.New(reactor.Options{CPU: -1})
	if err != nil {
		t.Fatal(err)
	}
	l, err := reactor.Listen("127.0.0.1:0", reactor.ListenOptions{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	addr := l.AddrPort()
	if err := r.AddListener(l, on(r)); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- r.Run() }()
	t.Cleanup(func() {
		r.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return addr
}

// nobody is an address at which nobody listens: tcpmux has been dead for decades.
var nobody = netip.MustParseAddrPort("127.0.0.1:1")

// parsed is a port without a name.
func parsed(t *testing.T, text string) config.Listen {
	t.Helper()
	l, err := config.ParseListen(text)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// keep has a former process fetch what it keeps in the state directory.
func (w *world) keep() {
	r, err := refresh.New(refresh.Options{
		Secret: w.set.TelegramSecret, ConfigV4: w.set.TelegramConfig, StateDir: w.set.StateDir, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	r.Subscribe(func(*dcmap.Snapshot) { cancel() }) // it has both
	r.Run(ctx)
	if r.Current() == nil {
		w.t.Fatal("nothing was fetched")
	}
}

// run lets the doctor look.
func (w *world) run() []Finding {
	w.t.Helper()
	w.o.Mistakes = w.set.Validate()
	return Run(w.t.Context(), w.set, w.o)
}

// names returns the names of what is worse than a note, each once, as "check/name level".
func names(found []Finding) (all []string) {
	for _, f := range found {
		if name := f.Check + "/" + f.Name + " " + f.Level.String(); f.Level > Note && !slices.Contains(all, name) {
			all = append(all, name)
		}
	}
	slices.Sort(all)
	return all
}

// link puts a symbolic link below /proc.
func (w *world) link(name, to string) {
	w.proc["proc/"+name] = &fstest.MapFile{Data: []byte(to), Mode: fs.ModeSymlink}
}

// answering runs a server that answers the first bytes with these and closes, until the test ends.
func answering(t *testing.T, text string) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = c.Read(make([]byte, 4096))
			_, _ = io.WriteString(c, text)
			_ = c.Close()
		}
	})
	t.Cleanup(func() { _ = l.Close(); all.Wait() })
	return netip.MustParseAddrPort(l.Addr().String())
}
