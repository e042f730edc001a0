package admin

import (
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"epoxy/engine/policy"
)

// asked is a request with what matters of it; the default type is JSON, "-" is none.
type asked struct{ method, path, kind, body string }

func (q asked) of(h http.Handler, change ...func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest(q.method, "http://127.0.0.1:8888"+q.path, strings.NewReader(q.body))
	switch q.kind {
	case "":
		r.Header.Set("Content-Type", "application/json")
	case "-":
	default:
		r.Header.Set("Content-Type", q.kind)
	}
	for _, c := range change {
		c(r)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestAPIRefuses(t *testing.T) {
	c := newControl()
	h := guarded(pages(Options{Status: fakeStatus, Control: c}), "", true)
	for _, c := range []struct {
		asked
		code int
		want string
	}{
		{asked{"POST", "/api/v1/status", "", ""}, 405, "use GET"},
		{asked{"GET", "/api/v1/reload", "", ""}, 405, "use POST"},
		{asked{"PUT", "/api/v1/tables/a", "", ""}, 405, "use DELETE, GET, POST"},
		{asked{"GET", "/api/v1/nothing", "", ""}, 404, "openapi.json"},
		{asked{"GET", "/api/v1/tables/a/b", "", ""}, 404, "openapi.json"},
		{asked{"POST", "/api/v1/reload", "-", ""}, 415, "Content-Type: application/json"},
		{asked{"POST", "/api/v1/reload", "application/x-www-form-urlencoded", ""}, 415, "Content-Type"},
		{asked{"POST", "/api/v1/reload", "text/plain", ""}, 415, "Content-Type"},
		{asked{"POST", "/api/v1/tables/a", "multipart/form-data; boundary=x", "--x--"}, 415, "text/plain"},
		{asked{"DELETE", "/api/v1/tables/a", "application/x-www-form-urlencoded", "client_ip ::1"}, 415, "text/plain"},
		{asked{"POST", "/api/v1/drain?seconds=-1", "", ""}, 400, "seconds=30"},
		{asked{"POST", "/api/v1/drain?seconds=NaN", "", ""}, 400, "seconds=30"},
		{asked{"POST", "/api/v1/drain?seconds=1e9", "", ""}, 400, "seconds=30"},
		{asked{"PUT", "/api/v1/log-level", "", `{"level": "loud"}`}, 400, "write debug, info, warn or error"},
		{asked{"PUT", "/api/v1/log-level", "", `{"level": "info", "more": 1}`}, 400, "openapi.json describes it"},
		{asked{"PUT", "/api/v1/log-level", "", `{"level": "info"} {}`}, 400, "more than one"},
		{asked{"PUT", "/api/v1/log-level", "", ``}, 400, "EOF"},
		{asked{"PUT", "/api/v1/log-level", "", `{"part": "nobody", "level": "info"}`}, 404, `"cure": "write one of loop, front"`},
		{asked{"POST", "/api/v1/secrets/mallory/reset", "", ""}, 404, "epoxy secrets list"},
		{asked{"POST", "/api/v1/tables/a%20b", "", "[]"}, 400, "letters, digits"},
		{asked{"GET", "/api/v1/tables/a%2Fb", "", ""}, 400, "letters, digits"},
		{asked{"POST", "/api/v1/tables/a", "", `[{"key": "colour", "value": "red"}]`}, 400, "client_ip, client_subnet, tls_domain, port, secret"},
		{asked{"POST", "/api/v1/tables/a", "", `[{"key": "client_ip", "value": "1.2.3.4"}, {"key": "client_subnet", "value": "10.0.0.1/8"}]`}, 400, "write 10.0.0.0/8"},
		{asked{"POST", "/api/v1/tables/a", "text/plain", "client_ip ::1\nclient_ip x\nport\n"}, 400, "line 2: policy: \\\"x\\\" is no address"},
		{asked{"POST", "/api/v1/tables/a", "text/plain", strings.Repeat("#", MaxBody+1)}, 413, "in pieces"},
		{asked{"POST", "/api/v1/tables/a", "", `[` + strings.Repeat(" ", MaxBody)}, 413, "in pieces"},
		{asked{"POST", "/api/v1/tables/a", "text/plain", "port a\nport b\nport c\nport d\nport e\nport f\nport g\nport h\nport i\n"}, 507, "--table-max"},
	} {
		w := c.of(h)
		if w.Code != c.code || !strings.Contains(w.Body.String(), c.want) || w.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%s %s with %.60q: %d %s, want %d and %q", c.method, c.path, c.body, w.Code, w.Body, c.code, c.want)
		}
	}
	if n := c.tables.Len(); n > 8 || len(c.tables.List("a")) > 8 {
		t.Errorf("wrong requests left %d keys", n)
	}
}

// Nothing that a web page can send changes anything: not by a form, not by a script, not by a DNS name of its own.
func TestForeignPages(t *testing.T) {
	c := newControl()
	c.drain = -7
	h := guarded(pages(Options{Status: fakeStatus, Control: c}), "", true)
	drain, add := asked{"POST", "/api/v1/drain", "", ""}, asked{"POST", "/api/v1/tables/a", "text/plain", "client_ip ::1"}
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	for _, change := range []func(*http.Request){
		header("Origin", "https://evil.example"), header("Origin", "null"), header("Sec-Fetch-Site", "cross-site"),
		header("Sec-Fetch-Site", "same-site"), func(r *http.Request) { r.Host = "evil.example" },
	} {
		for _, q := range []asked{drain, add} {
			if w := q.of(h, change); w.Code != 403 {
				t.Errorf("%s is answered %d", q.path, w.Code)
			}
		}
	}
	if c.drain != -7 || c.tables.Len() != 0 {
		t.Error("a web page changed something")
	}
	if w := drain.of(h, header("Sec-Fetch-Site", "none")); w.Code != 202 || c.drain != -1 {
		t.Errorf("a program's drain: %d %s", w.Code, w.Body)
	}
}

func TestAPIChanges(t *testing.T) {
	c := newControl()
	h := pages(Options{Control: c})
	lines := func(r *http.Request) { r.Header.Set("Accept", "text/plain") }
	for _, q := range []struct {
		asked
		code int
		want string
	}{
		{asked{"POST", "/api/v1/drain?seconds=1.5", "", ""}, 202, ""},
		{asked{"PUT", "/api/v1/log-level", "application/json; charset=utf-8", `{"part": "loop", "level": "debug"}`}, 200, `"loop": "debug"`},
		{asked{"POST", "/api/v1/secrets/bob/reset", "", ""}, 204, ""},
		{asked{"POST", "/api/v1/tables/a", "", `[{"key": "tls_domain", "value": "Example.ORG."}]`}, 200, `"added": 1`},
		{asked{"POST", "/api/v1/tables/a", "text/plain; charset=utf-8", "# two\nclient_ip ::ffff:192.0.2.1\n\nport port1\nport port1\n"}, 200, `"added": 2`},
		{asked{"GET", "/api/v1/tables/a", "-", ""}, 200, "client_ip 192.0.2.1\ntls_domain example.org\nport port1\n"},
		{asked{"DELETE", "/api/v1/tables/a", "text/plain", "port port1\nport port2\n"}, 200, `"deleted": 1`},
		{asked{"GET", "/api/v1/tables", "-", ""}, 200, `"keys": 2`},
		{asked{"HEAD", "/api/v1/tables", "-", ""}, 200, ""},
		{asked{"GET", "/api/v1/status", "-", ""}, 501, "this process cannot"},
	} {
		if w := q.of(h, lines); w.Code != q.code || !strings.Contains(w.Body.String(), q.want) {
			t.Errorf("%s %s: %d %s, want %d and %q", q.method, q.path, w.Code, w.Body, q.code, q.want)
		}
	}
	if c.drain != 1500*time.Millisecond || c.reset != "bob" {
		t.Errorf("drain of %v, reset of %q", c.drain, c.reset)
	}
	if w := (asked{"POST", "/api/v1/drain", "", ""}).of(pages(Options{})); w.Code != 501 {
		t.Errorf("without a Control: %d %s", w.Code, w.Body)
	}
}

func TestErrors(t *testing.T) {
	c := newControl()
	h := pages(Options{Control: c})
	for _, q := range []struct {
		err         error
		code        int
		error, cure string
	}{
		{ErrRefused, 409, `"error": "admin: refused"`, ""},
		{policy.ErrFull, 507, `"error": "policy: the tables are full"`, `"cure": "raise --table-max, or delete what is not needed"`},
		{errors.New("a: b\nc: d; e"), 500, `"error": "a: b\nc: d; e"`, ""},
		{ErrNotHere, 501, "cannot be asked", ""},
	} {
		c.err = q.err
		w := asked{"POST", "/api/v1/reload", "", ""}.of(h)
		if w.Code != q.code || !strings.Contains(w.Body.String(), q.error) || !strings.Contains(w.Body.String(), q.cure) || q.cure == "" && strings.Contains(w.Body.String(), "cure") {
			t.Errorf("%v: %d %s", q.err, w.Code, w.Body)
		}
	}
}

func TestToken(t *testing.T) {
	const token = "0123456789abcdef"
	yes := func() error { return nil }
	h := guarded(pages(Options{Status: fakeStatus, Control: newControl(), Healthy: yes, Ready: yes}), token, false)
	for _, c := range []struct {
		path, given string
		code        int
	}{
		{"/healthz", "", 200}, {"/readyz", "", 200}, {"/", "", 401}, {"/metrics", "", 401}, {"/strangers", "", 401}, {"/debug/pprof/", "", 401},
		{"/nothing", "", 401}, {"/healthz/", "", 401}, {"/api/v1/status", "", 401}, {"/api/v1/openapi.json", "Bearer x", 401},
		{"/api/v1/status", token, 401}, {"/api/v1/status", "Basic " + token, 401}, {"/api/v1/status", "Bearer " + token + "0", 401},
		{"/api/v1/status", "Bearer " + token, 200}, {"/", "bearer " + token, 200}, {"/api/v1/tables", "Bearer " + token, 200},
	} {
		w := asked{"GET", c.path, "-", ""}.of(h, func(r *http.Request) {
			r.Host = "192.0.2.1:8888" // a door for others takes any name
			if c.given != "" {
				r.Header.Set("Authorization", c.given)
			}
		})
		if w.Code != c.code || (w.Code == 401) != (w.Header().Get("WWW-Authenticate") != "") {
			t.Errorf("%s with %q: %d %s", c.path, c.given, w.Code, w.Header())
		}
		if strings.Contains(w.Body.String(), token) {
			t.Errorf("%s shows the token", c.path)
		}
	}
}

// With a token the door opens anywhere; 127.0.0.2 stands for the rest of the world, and for [::] the wildcard.
func TestTokenOpens(t *testing.T) {
	quiet := slog.New(slog.DiscardHandler)
	for _, addr := range []string{"0.0.0.0:0", ":0", "127.0.0.2:0"} {
		s, err := New(Options{Addr: addr, Token: "0123456789abcdef", Log: quiet})
		if err != nil {
			t.Errorf("%s: %v", addr, err)
			continue
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := New(Options{Addr: "example.org", Token: "0123456789abcdef", Log: quiet}); err == nil || errors.Is(err, ErrNotLoopback) {
		t.Errorf("a name without a port: %v", err)
	}
	if !strings.Contains(ErrNotLoopback.Error(), "--admin-token") {
		t.Error("no cure")
	}
	if isLoopback(&net.TCPAddr{IP: net.IPv4zero}) || isLoopback(&net.UnixAddr{}) || !isLoopback(&net.TCPAddr{IP: net.IPv6loopback}) {
		t.Error("isLoopback is wrong")
	}
}

func TestMode(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	s, err := New(Options{Addr: "unix:" + path, Mode: 0o660, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != fs.FileMode(0o660) {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}
