package admin

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fault is what readiness says; empty is ready.
type fault struct{ text atomic.Value }

func (f *fault) ready() error {
	if text, ok := f.text.Load().(string); ok && text != "" {
		return errors.New(text)
	}
	return nil
}

// door opens a door at addr, closed at the test's end.
func door(t *testing.T, addr string, f *fault) *Server {
	t.Helper()
	s, err := New(Options{
		Addr:    addr,
		Healthy: f.ready,
		Ready:   f.ready,
		Metrics: func(w io.Writer) { io.WriteString(w, "epoxy_ready 1\n") },
		Stats:   func(w io.Writer) { io.WriteString(w, "ready_targets\t1\n") },
		Log:     slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve() }()
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return s
}

// get asks s for a path and returns code and body.
func get(t *testing.T, s *Server, method, host, path string) (int, string) {
	t.Helper()
	network, addr := "tcp", s.Addr()
	if p, ok := strings.CutPrefix(addr, "unix:"); ok {
		network, addr = "unix", p
	}
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, addr)
	}}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+host+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

func TestPages(t *testing.T) {
	var ready fault
	s := door(t, "127.0.0.1:0", &ready)
	for _, c := range []struct {
		method, host, path string
		fault              string
		code               int
		body               string
	}{
		{"GET", "127.0.0.1", "/", "", 200, "/metrics"},
		{"GET", "127.0.0.1", "/healthz", "", 200, "ok\n"},
		{"GET", "127.0.0.1", "/healthz", "engine: no way", 503, "engine: no way\n"},
		{"GET", "127.0.0.1", "/readyz", "", 200, "ready\n"},
		{"GET", "127.0.0.1", "/readyz", "engine: draining", 503, "engine: draining\n"},
		{"GET", "localhost:8888", "/metrics", "", 200, "epoxy_ready 1\n"},
		{"GET", "[::1]", "/metrics", "", 200, "epoxy_ready 1\n"},
		{"GET", "127.0.0.1", "/stats", "", 200, "ready_targets\t1\n"},
		{"POST", "127.0.0.1", "/stats", "", 405, ""},
		{"GET", "evil.example", "/stats", "", 403, "admin: "},
		{"GET", "127.0.0.1", "/debug/pprof/", "", 200, "goroutine"},
		{"GET", "127.0.0.1", "/debug/pprof/goroutine?debug=1", "", 200, "goroutine profile"},
		{"GET", "127.0.0.1", "/debug/pprof/cmdline", "", 404, ""}, // it would show --secret
		{"POST", "127.0.0.1", "/metrics", "", 405, ""},
		{"GET", "127.0.0.1", "/nothing", "", 404, ""},
		{"GET", "evil.example", "/metrics", "", 403, "admin: "},
		{"GET", "127.0.0.1.evil.example", "/metrics", "", 403, "admin: "},
	} {
		ready.text.Store(c.fault)
		code, body := get(t, s, c.method, c.host, c.path)
		if code != c.code || !strings.Contains(body, c.body) {
			t.Errorf("%s %s for %s: %d %q, want %d and %q", c.method, c.path, c.host, code, body, c.code, c.body)
		}
	}
}

func TestHeadersAreBounded(t *testing.T) {
	var ready fault
	s := door(t, "127.0.0.1:0", &ready)
	c, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	go io.WriteString(c, "GET / HTTP/1.1\r\nHost: localhost\r\nX: "+strings.Repeat("x", 64<<10)+"\r\n\r\n")
	answer, _ := io.ReadAll(c)
	if !strings.HasPrefix(string(answer), "HTTP/1.1 431 ") {
		t.Errorf("64 KiB of headers got %.40q", answer)
	}
}

func TestNotLoopback(t *testing.T) {
	for _, addr := range []string{"0.0.0.0:0", "[::]:0", ":0", "192.0.2.1:80", "localhost:80", "127.0.0.1", ""} {
		_, err := New(Options{Addr: addr, Log: slog.New(slog.DiscardHandler)})
		if !errors.Is(err, ErrNotLoopback) || !strings.Contains(err.Error(), addr) {
			t.Errorf("New at %q: %v", addr, err)
		}
	}
}

func TestAddressInUse(t *testing.T) {
	var ready fault
	s := door(t, "127.0.0.1:0", &ready)
	if _, err := New(Options{Addr: s.Addr(), Log: slog.New(slog.DiscardHandler)}); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("a second door at %s: %v", s.Addr(), err)
	}
}

func TestUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "admin.sock")
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false)
	stale.Close() // the file of a dead process

	var ready fault
	t.Run("served", func(t *testing.T) {
		s := door(t, "unix:"+path, &ready)
		if s.Addr() != "unix:"+path {
			t.Errorf("Addr is %s", s.Addr())
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("the socket has mode %v", info.Mode())
		}
		if code, body := get(t, s, "GET", "whatever", "/healthz"); code != 200 || body != "ok\n" {
			t.Errorf("/healthz: %d %q", code, body)
		}
		if _, err := New(Options{Addr: "unix:" + path, Log: slog.New(slog.DiscardHandler)}); err == nil || !strings.Contains(err.Error(), "another process") {
			t.Errorf("a second door at a live socket: %v", err)
		}
	})
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket's file outlives the door: %v", err)
	}
}

// A file that is no socket is not ours to remove.
func TestUnixSocketKeepsFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := New(Options{Addr: "unix:" + path, Log: slog.New(slog.DiscardHandler)}); err == nil {
		t.Error("a door opened over a file")
	}
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
}

// Close before Serve leaves nothing behind, and Serve then returns at once.
func TestCloseFirst(t *testing.T) {
	s, err := New(Options{Addr: "127.0.0.1:0", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := s.Serve(); err != nil {
		t.Error(err)
	}
	if _, err := net.Dial("tcp", s.Addr()); err == nil {
		t.Error("the port still answers")
	}
}
