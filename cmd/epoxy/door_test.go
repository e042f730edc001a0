package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"epoxy/engine/admin"
	"epoxy/engine/policy"
)

const testToken = "0123456789abcdef"

// operated is a proxy that does what the door asks, and remembers it.
type operated struct {
	mu     sync.Mutex
	tables *policy.Tables
	levels map[string]string
	drain  time.Duration
	reset  string
	reload error
	looks  int
}

func newOperated() *operated {
	return &operated{tables: policy.NewTables(100_000), levels: map[string]string{"": "info"}, drain: -7}
}

func (o *operated) Reload(context.Context) (admin.Reload, error) {
	if o.reload != nil {
		return admin.Reload{}, o.reload
	}
	return admin.Reload{Applied: []string{"tag", "domain"}, Restart: []string{"loops"}, Kept: 3, Draining: 1}, nil
}
func (o *operated) Drain(limit time.Duration) error { o.drain = limit; return nil }
func (o *operated) Levels() map[string]string       { return o.levels }
func (o *operated) SetLevel(part, level string) error {
	o.levels[part] = level
	return nil
}
func (o *operated) Secrets() []admin.Secret {
	return []admin.Secret{
		{Name: "alice", State: "on", Clients: 3, MaxClients: 5, UpBytes: 1234, DownBytes: 5_678_000, QuotaBytes: 10_000_000, QuotaUsedBytes: 5_679_234},
		{Name: "bob", State: "off", Expires: time.Date(2027, 1, 31, 12, 0, 0, 0, time.UTC)},
	}
}
func (o *operated) ResetSecret(name string) error {
	if name != "alice" {
		return admin.ErrNotFound
	}
	o.reset = name
	return nil
}
func (o *operated) Tables() (all []admin.TableInfo) {
	for _, i := range o.tables.Names() {
		all = append(all, admin.TableInfo{Name: i.Name, Keys: i.Len})
	}
	return all
}
func (o *operated) Table(name string) ([]policy.Key, error) { return o.tables.List(name), nil }
func (o *operated) AddKeys(name string, keys []policy.Key) (int, error) {
	return o.tables.Add(name, keys...)
}
func (o *operated) DelKeys(name string, keys []policy.Key) (int, error) {
	return o.tables.Del(name, keys...), nil
}

// look moves on by 2 s, 1 MB down and one handshake each time.
func (o *operated) look() admin.Status {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.looks++
	n := uint64(o.looks)
	return admin.Status{
		Version: "v9", UptimeSeconds: float64(2 * n), Ready: true, Healthy: true,
		Clients:     admin.Clients{Now: 12345, Limit: 100_000, Strangers: 2, Ports: []admin.Port{{Name: "port1", Now: 12345, Limit: 20_000}}},
		Handshakes:  admin.Handshakes{Accepted: 9 + n, Good: map[string]uint64{"tls": n, "secure": 0}, Strangers: map[string]uint64{"replay": 2, "hello_time": 7}},
		Traffic:     admin.Traffic{ClientUpBytes: 5, ClientDownBytes: 1_000_000 * n},
		Datacenters: []admin.Datacenter{{Name: "2", Way: "middle", Streams: 12, Links: map[string]uint64{"ready": 4}, RoundTripSeconds: 0.05}},
		Loops:       []admin.Loop{{Clients: 6000, DownBytes: 500_000 * n, BusyShare: 0.25}, {Clients: 6345}},
		Busiest:     admin.BusiestOf(o.Secrets()),
		Fronts:      []admin.Front{{Domain: "a.example", Target: "192.0.2.1:443", Warnings: []string{"bad \x1b[2J"}}},
	}
}

// operate opens a real door of o at addr and gives w its place by variable.
func (w *world) operate(t *testing.T, addr, token string, o *operated) string {
	t.Helper()
	fine := func() error { return nil }
	s, err := admin.New(admin.Options{
		Addr: addr, Healthy: fine, Ready: fine, Metrics: func(io.Writer) {}, Stats: func(io.Writer) {},
		Status: o.look, Control: o, Token: token, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve() }()
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	w.environ = append(w.environ, "EPOXY_ADMIN="+s.Addr())
	return s.Addr()
}

// say runs a command that must end with code, and returns what it printed.
func (w *world) say(t *testing.T, code int, args ...string) string {
	t.Helper()
	w.out.buf.Reset()
	w.errs.buf.Reset()
	if got := w.do(args...); got != code {
		t.Errorf("epoxy %s: exit %d, want %d: %s%s", strings.Join(args, " "), got, code, w.out, w.errs)
	}
	if code == exitOK && w.errs.String() != "" {
		t.Errorf("epoxy %s: %s", strings.Join(args, " "), w.errs)
	}
	return w.out.String() + w.errs.String()
}

// Every command that speaks to a running proxy, over loopback, and over a unix socket with a token.
func TestTalks(t *testing.T) {
	file := filepath.Join(t.TempDir(), "keys.txt")
	for _, addr := range []string{"127.0.0.1:0", "unix:" + filepath.Join(t.TempDir(), "door.sock")} {
		w, o, token := newWorld(t), newOperated(), ""
		if strings.HasPrefix(addr, "unix:") {
			token = testToken
			w.environ = append(w.environ, "EPOXY_ADMIN_TOKEN="+token)
		}
		w.operate(t, addr, token, o)
		for _, c := range []struct{ args, want string }{
			{"status --interval 0", "12,345 of 100,000 (port1 12,345 of 20,000), of them 2 strangers\n"},
			{"status --interval 1ms", "500 kB/s down; "},
			{"status --json", `"client_down_bytes": 4000000,`},
			{"reload", "in force now: tag, domain\nin force after a restart: loops\n3 clients stay, 1 whose port"},
			{"reload --json", `"applied": [`},
			{"drain --time 90s", "draining; "},
			{"log-level", "all  info\n"},
			{"log-level front=debug", "all    info\nfront  debug\n"},
			{"log-level error", "all    error\n"},
			{"secrets list", "alice   on     3/5      0          1.23 kB  5.68 MB  5.68 MB/10.0 MB  never\nbob     off    0        0          0 B      0 B      -                2027-01-31 12:00\n"},
			{"secrets list --json", `"quota_used_bytes": 5679234`},
			{"secrets reset alice", "begins anew"},
			{"table add blocked client_ip ::ffff:192.0.2.1", "added\n"},
			{"table add blocked client_ip 192.0.2.1", "it was there already\n"},
			{"table add blocked tls_domain Example.org", "added\n"},
			{"table add blocked port port1 --json", "{\n  \"added\": 1,\n  \"deleted\": 0\n}\n"},
			{"table list", "TABLE    KEYS\nblocked  3\n"},
			{"table list blocked", "client_ip   192.0.2.1\ntls_domain  example.org\nport        port1\n"},
			{"table list blocked --json", `"value": "example.org"`},
			{"table export blocked -", "client_ip 192.0.2.1\ntls_domain example.org\nport port1\n"},
			{"table export blocked " + file, ""},
			{"table import other " + file, "3 keys added, 0 were there already"},
			{"table import other " + file + " --json", `{"added": 0, "deleted": 0}`},
			{"table del other port port1", "deleted\n"},
			{"table del other port port1", "it was not there\n"},
			{"table list", "blocked  3\nother    2\n"},
			{"top --count 1 --interval 1ms", "500 kB/s"},
			{"top --json --count 2 --interval 1ms", `"uptime_seconds"`},
		} {
			if got := w.say(t, exitOK, strings.Fields(c.args)...); !strings.Contains(got, c.want) {
				t.Errorf("epoxy %s prints %q, want %q", c.args, got, c.want)
			}
		}
		if o.drain != 90*time.Second || o.reset != "alice" || o.levels[""] != "error" || o.levels["front"] != "debug" {
			t.Errorf("asked of the proxy: %+v", o)
		}
		if w.say(t, exitOK, "drain"); o.drain != -1 {
			t.Errorf("drain without a time asks for %v", o.drain)
		}
	}
}

// A file larger than a request is sent in pieces; standard input is a file too.
func TestImportInPieces(t *testing.T) {
	w, o := newWorld(t), newOperated()
	w.operate(t, "127.0.0.1:0", "", o)
	var lines strings.Builder
	pad := strings.Repeat("x", 230)
	for i := range 20_000 {
		fmt.Fprintf(&lines, "tls_domain %d.%s\n", i, pad)
	}
	lines.WriteString("# the end\n\n")
	w.in = strings.NewReader(lines.String())
	if got := w.say(t, exitOK, "table", "import", "big", "-"); !strings.HasPrefix(got, "20,000 keys added") || lines.Len() < piece {
		t.Errorf("%s", got)
	}
	if n := len(o.tables.List("big")); n != 20_000 {
		t.Errorf("%d keys came", n)
	}
	w.in = strings.NewReader("client_ip 192.0.2.1\nclient_ip nonsense\n")
	if got := w.say(t, exitFault, "table", "import", "new", "-"); !strings.Contains(got, "line 2") || len(o.tables.List("new")) != 0 {
		t.Errorf("a wrong line: %s", got)
	}
}

func TestTalksFail(t *testing.T) {
	w, o := newWorld(t), newOperated()
	place := w.operate(t, "127.0.0.1:0", testToken, o)
	o.reload = fmt.Errorf("%w: --loops \"x\": is no number; write 4", admin.ErrRefused)
	for _, c := range []struct {
		args string
		code int
		want string
	}{
		{"status", exitFault, "the token is missing or wrong; "},
		{"status --token wrong", exitFault, "the token is missing or wrong; "},
		{"reload --token " + testToken, exitFault, `epoxy: refused: --loops "x": is no number; write 4`},
		{"secrets reset mallory --token " + testToken, exitFault, "no secret has this name; epoxy secrets list"},
		{"status --admin unix:/nowhere/door.sock", exitFault, "nobody answers at unix:/nowhere/door.sock: connect: no such file or directory; is epoxy running with --admin"},
		{"status --admin off", exitUsage, "write 127.0.0.1:8888 or unix:/path"},
		{"status more", exitUsage, "write epoxy status"},
		{"drain --time -1s", exitUsage, "write 0 or more"},
		{"drain --time x", exitUsage, "--time has a wrong value"},
		{"log-level loud", exitUsage, "write debug, info, warn or error"},
		{"table add blocked client_ip", exitUsage, "write epoxy table add NAME KEY VALUE"},
		{"table add blocked client_ip example.org", exitUsage, "is no address; write one like"},
		{"table add blocked colour red", exitUsage, "client_ip, client_subnet, tls_domain, port, secret"},
		{"table add a/b client_ip ::1", exitUsage, "cannot be a table's name"},
		{"table list a/b", exitUsage, "cannot be a table's name"},
		{"table import a/b -", exitUsage, "cannot be a table's name"},
		{"table export a/b -", exitUsage, "cannot be a table's name"},
		{"table import a /nowhere", exitFault, "no such file"},
		{"table export a /nowhere/file --token " + testToken, exitFault, "cannot be written"},
		{"table fill", exitUsage, "there is no such command"},
		{"secrets show", exitUsage, "there is no such command"},
		{"top --interval 0", exitUsage, "--interval"},
		{"top --count -1", exitUsage, "--count"},
	} {
		got := w.say(t, c.code, strings.Fields(c.args)...)
		if !strings.Contains(got, c.want) || strings.Contains(got, testToken) {
			t.Errorf("epoxy %s says %q, want %q", c.args, got, c.want)
		}
	}
	// The place of a dead proxy, and one where something else answers.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if got := w.say(t, exitFault, "status", "--admin", l.Addr().String()); !strings.Contains(got, "connection refused; is epoxy running with --admin") {
		t.Errorf("nobody there: %s", got)
	}
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/status") {
			_, _ = io.WriteString(w, "<html>")
			return
		}
		http.Redirect(w, r, "http://"+place+"/", http.StatusFound)
	}))
	defer other.Close()
	for _, command := range []string{"status", "reload"} {
		if got := w.say(t, exitFault, command, "--admin", other.Listener.Addr().String()); !strings.Contains(got, "answers") {
			t.Errorf("%s of a web server: %s", command, got)
		}
	}
	// Port and address that run may be given, for asking.
	_, port, _ := net.SplitHostPort(place)
	for _, wild := range []string{":" + port, "0.0.0.0:" + port, "[::]:" + port, "localhost:" + port} {
		w.say(t, exitOK, "status", "--interval", "0", "--admin", wild, "--token", testToken)
	}
}

// A signal ends a command that waits for an answer.
func TestTalkInterrupted(t *testing.T) {
	w := newWorld(t)
	came := make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(came)
		<-r.Context().Done()
	}))
	defer slow.Close()
	code := make(chan int, 1)
	go func() { code <- w.main([]string{"status", "--admin", slow.Listener.Addr().String()}) }()
	await(t, "the request", came)
	w.signal <- os.Interrupt
	if got := await(t, "the end", code); got != exitInterrupted || !strings.Contains(w.errs.String(), "interrupted") {
		t.Errorf("exit %d, %s", got, w.errs)
	}
}

// The real program's door tells its state, and an order to drain stops it.
func TestRunHasStatus(t *testing.T) {
	w := newWorld(t)
	code := make(chan int, 1)
	go func() {
		code <- w.main([]string{"run", "--admin", "127.0.0.1:0", "--admin-token", testToken, "--secret", testKey, "--drain", "0"})
	}()
	place := w.door(t)
	asker := newWorld(t)
	var s admin.Status
	if err := json.Unmarshal([]byte(asker.say(t, exitOK, "status", "--json", "--admin", place, "--token", testToken)), &s); err != nil || s.Version != "v9" || !s.Ready || len(s.Loops) != 1 {
		t.Errorf("%+v, %v", s, err)
	}
	close(w.engine.finish)
	asker.say(t, exitOK, "drain", "--admin", place, "--token", testToken)
	if got := await(t, "the end", code); got != exitOK {
		t.Errorf("exit %d, %s", got, w.errs)
	}
	if strings.Contains(w.errs.String()+w.out.String(), testToken) {
		t.Errorf("the log shows the token: %s", w.errs)
	}
}
