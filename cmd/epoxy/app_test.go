package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/spf13/pflag"
	"go.uber.org/goleak"

	"epoxy/engine"
	"epoxy/engine/config"
	"epoxy/engine/policy"
	"epoxy/engine/quota"
	"epoxy/engine/stats"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const testKey = "3f2a9c11d07be45588a1c0ffee123457"

// text is what a command wrote; it writes from several goroutines.
type text struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (t *text) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.buf.Write(p)
}

func (t *text) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.buf.String()
}

// fake is an engine that serves nobody.
type fake struct {
	tables   *policy.Tables
	settings *config.Settings
	log      *slog.Logger
	startErr error
	err      error
	started  chan struct{} // closed by Start
	drain    chan struct{} // closed when Drain begins
	finish   chan struct{} // Drain ends when it is closed, or its context ends
	done     chan struct{}
	stopped  bool
}

func newFake() *fake {
	return &fake{tables: policy.NewTables(0), started: make(chan struct{}), drain: make(chan struct{}), finish: make(chan struct{}), done: make(chan struct{})}
}

func (f *fake) Start() error {
	if f.startErr == nil {
		f.log.Debug("settings", slog.Any("settings", f.settings))
		close(f.started)
	}
	return f.startErr
}
func (f *fake) Listen() error          { return nil }
func (f *fake) Alive()                 {}
func (f *fake) Addrs() []string        { return []string{"127.0.0.1:4430"} }
func (f *fake) Limit() int             { return 100 }
func (f *fake) Usage() []quota.Usage   { return nil }
func (f *fake) ResetQuota(string) bool { return false }
func (f *fake) Tables() *policy.Tables { return f.tables }
func (f *fake) Apply(s *config.Settings) (engine.Applied, error) {
	changes := config.Diff(f.settings, s)
	f.settings = s
	return engine.Applied{Changes: changes, Kept: 3}, nil
}
func (f *fake) Ready() error              { return nil }
func (f *fake) Healthy() error            { return nil }
func (f *fake) Strangers() any            { return nil }
func (f *fake) Stop()                     { f.stopped = true }
func (f *fake) Done() <-chan struct{}     { return f.done }
func (f *fake) Err() error                { return f.err }
func (f *fake) Collect(s *stats.Snapshot) { s.Loops = make([]stats.Loop, 1) }
func (f *fake) Drain(ctx context.Context) {
	close(f.drain)
	select {
	case <-f.finish:
	case <-ctx.Done():
	}
}

// world is an app whose world is a test.
type world struct {
	app
	out, errs *text
	signal    chan os.Signal
	engine    *fake
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{out: &text{}, errs: &text{}, signal: make(chan os.Signal, 2), engine: newFake()}
	w.app = app{
		in: strings.NewReader(""), out: w.out, errs: w.errs, uid: 1000, getenv: func(string) string { return "" },
		random: strings.NewReader(strings.Repeat("0123456789abcdeF", 4)),
		addrs: func() ([]net.Addr, error) {
			return []net.Addr{
				&net.IPNet{IP: net.IPv4(127, 0, 0, 1)}, &net.IPNet{IP: net.IPv4(10, 1, 2, 3)}, &net.IPNet{IP: net.ParseIP("fe80::1")},
				&net.IPNet{IP: net.ParseIP("2001:db8::7")}, &net.IPNet{IP: net.IPv4(203, 0, 113, 7)},
			}, nil
		},
		signals: w.signal,
		build:   stats.Build{Version: "v9", Commit: "c0ffee", Go: "go1"},
		engine: func(s *config.Settings, log *slog.Logger) (proxy, error) {
			w.engine.settings, w.engine.log = s, log
			return w.engine, nil
		},
	}
	return w
}

// do runs one command to its end.
func (w *world) do(args ...string) int { return w.main(args) }

// spellings returns pieces of a key that must not show: hex, base64, bytes as Go prints them.
func spellings(key []byte) []string {
	var out []string
	text := hex.EncodeToString(key)
	for i := 0; i+8 <= len(text); i += 4 {
		out = append(out, text[i:i+8], strings.ToUpper(text[i:i+8]))
	}
	for skip := range 3 {
		for _, e := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			out = append(out, e.EncodeToString(key[skip:])[:8])
		}
	}
	return append(out, strings.Trim(fmt.Sprintf("%d", key[2:6]), "[]"))
}

// leaks returns a piece of key that text holds, if any.
func leaks(text string, key []byte) string {
	for _, piece := range spellings(key) {
		if strings.Contains(text, piece) {
			return piece
		}
	}
	return ""
}

func unhex(t *testing.T, text string) []byte {
	t.Helper()
	raw, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// Every flag is in the help of run, with its text, and so is the rule for variables.
func TestHelp(t *testing.T) {
	w := newWorld(t)
	if code := w.do("run", "--help"); code != exitOK {
		t.Fatalf("exit %d: %s", code, w.errs)
	}
	help := w.out.String()
	fs := pflag.NewFlagSet("", pflag.ContinueOnError)
	config.Register(fs, config.Default())
	fs.VisitAll(func(f *pflag.Flag) {
		if !strings.Contains(help, "--"+f.Name+" ") && !strings.Contains(help, "--"+f.Name+"[") {
			t.Errorf("the help of run lacks --%s", f.Name)
		}
	})
	for _, want := range []string{"Examples:", "EPOXY_MAX_CLIENTS", "SIGTERM"} {
		if !strings.Contains(help, want) {
			t.Errorf("the help of run lacks %s", want)
		}
	}
	for _, cmd := range []string{"link", "secret", "ping"} {
		w := newWorld(t)
		if code := w.do(cmd, "--help"); code != exitOK || !strings.Contains(w.out.String(), "epoxy "+cmd) || !strings.Contains(w.out.String(), "Examples:") {
			t.Errorf("%s --help: exit %d, %s", cmd, code, w.out)
		}
	}
	w = newWorld(t)
	if code := w.do(); code != exitOK || !strings.Contains(w.out.String(), "epoxy run --listen") {
		t.Errorf("epoxy alone: exit %d, %s", code, w.out)
	}
}

// What is asked wrongly ends with code 2 and a line that names the flag and the cure, and never echoes what may be a
// secret in the wrong place.
func TestUsageErrors(t *testing.T) {
	for _, c := range []struct {
		args string
		want []string
	}{
		{"run --lisen :443", []string{"epoxy: there is no flag --lisen; epoxy run --help"}},
		{"run --listen", []string{"epoxy: --listen needs a value"}},
		{"run --loops x --admin 0.0.0.0:1", []string{`epoxy: --loops "x": is not a number`, `epoxy: --admin "0.0.0.0:1": without --admin-token the door opens on loopback only`}},
		{"run --tag 00 --tag-optional", []string{`epoxy: --tag "00": is not an ad tag; write the 32 hex digits`, `epoxy: --tag-optional: there is no tag; add --tag`}},
		{"run " + testKey, []string{"epoxy run takes flags only"}},
		{"run -secret=" + testKey, []string{"two dashes"}},
		{"run --secret" + testKey, []string{"there is no flag --secret...;"}},
		{"run --secret x" + testKey, []string{"epoxy: --secret: is no secret"}},
		{testKey, []string{"there is no such command"}},
		{"link --qr=" + testKey, []string{"--qr has a wrong value"}},
		{"secret --kind md5", []string{`--kind "md5": is not a kind; write one of plain, dd, ee`}},
		{"secret --kind ee", []string{`--kind "ee": carries a domain; add --domain`}},
		{"secret --kind dd --domain a.example", []string{`--kind "dd": carries no domain`}},
		{"secret --domain a..example", []string{`--domain "a..example"`}},
		{"link", []string{"there is no secret; give --secret"}},
		{"ping", []string{"there is no proxy to ping; give its link, or --server"}},
		{"ping -", []string{"standard input: is empty"}},
		{"ping " + testKey, []string{"the link: not a tg://proxy or https://t.me/proxy link"}},
		{"ping a " + testKey, []string{"takes one link; put it in quotes"}},
		{"ping tg://proxy?server=a&port=0&secret=" + testKey, []string{"the link: a link without a port"}},
		{"ping tg://proxy?server=a%1b[2J&port=1&secret=" + testKey, []string{"characters that no name has"}},
		{"ping tg://proxy?server=a&port=1&secret=" + testKey + " --server b", []string{"give one of both"}},
		{"ping --server a --secret x" + testKey, []string{"--secret: is no secret: "}},
		{"ping --server a --port 65536 --secret " + testKey, []string{`--port "65536": is not a port`}},
		{"ping --server a --secret " + testKey + " --protocol tls", []string{"add --domain www.example.com"}},
		{"ping --server a --secret " + testKey + " --protocol md5", []string{`--protocol "md5": write auto, all`}},
		{"ping --server a --secret " + testKey + " --domain a..example", []string{`--domain "a..example": `}},
		{"ping --server a --secret " + testKey + " --dc 1,x", []string{`--dc "1,x": is no list of datacenters`}},
		{"ping --server a --secret " + testKey + " --dc 40000", []string{`--dc "40000"`}},
		{"ping --server a --secret " + testKey + " --count 0", []string{`--count "0": write 1 to 1000`}},
		{"ping --server a --secret " + testKey + " --timeout 0s", []string{`--timeout "0s": is no time`}},
	} {
		w := newWorld(t)
		code := w.do(strings.Fields(c.args)...)
		if code != exitUsage {
			t.Errorf("epoxy %s: exit %d, %s", c.args, code, w.errs)
		}
		for _, want := range c.want {
			if !strings.Contains(w.errs.String(), want) {
				t.Errorf("epoxy %s says %q, want %q", c.args, w.errs, want)
			}
		}
		if leaks(w.errs.String()+w.out.String(), unhex(t, testKey)) != "" {
			t.Errorf("epoxy %s shows the secret: %s", c.args, w.errs)
		}
	}
}

func TestVersion(t *testing.T) {
	for _, args := range []string{"version", "--version"} {
		w := newWorld(t)
		if code := w.do(args); code != exitOK || !strings.HasPrefix(w.out.String(), "epoxy v9, commit c0ffee, go1 ") {
			t.Errorf("%s: exit %d, %s", args, code, w.out)
		}
	}
	if b := buildOf(""); b.Version == "" || b.Commit == "" || b.Go == "" {
		t.Errorf("the build of this test is %+v", b)
	}
	if b := buildOf("v1"); b.Version != "v1" {
		t.Errorf("the linker's version is lost: %+v", b)
	}
}

func TestSecretCommand(t *testing.T) {
	key := hex.EncodeToString([]byte("0123456789abcdeF"))
	for args, want := range map[string]string{
		"secret":                              key,
		"secret --kind plain":                 key,
		"secret --kind dd":                    "dd" + key,
		"secret --domain A.example":           "ee" + key + hex.EncodeToString([]byte("a.example")),
		"secret --kind ee --domain a.example": "ee" + key + hex.EncodeToString([]byte("a.example")),
	} {
		w := newWorld(t)
		if code := w.do(strings.Fields(args)...); code != exitOK || w.out.String() != want+"\n" {
			t.Errorf("%s: exit %d, %q, %s", args, code, w.out, w.errs)
		}
	}
	w := newWorld(t)
	w.random = strings.NewReader("short")
	if code := w.do("secret"); code != exitFault || w.out.String() != "" {
		t.Errorf("without randomness: exit %d, %q", code, w.out)
	}
}

var errBoom = errors.New("engine: boom")
