package day

import (
	"crypto/tls"
	"encoding/hex"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"epoxy/bench/load"
	"epoxy/codec"
	"epoxy/upstream/faketg"
)

// town is what is around a proxy: Telegram, the site that strangers see, and the operator's files.
type town struct {
	dir    string // also the proxy's state directory, in it
	direct *load.Telegram
	middle *load.Middle
	site   string // HTTPS, host:port
	file   string // of settings
	text   string // what is in it
}

// found makes a town; all of it ends with the test.
func found(t *testing.T) *town {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	// A path of a unix socket has 107 bytes at most, and t.TempDir is as long as the test's name.
	dir, err := os.MkdirTemp("", "day")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	w := &town{dir: dir, file: filepath.Join(dir, "epoxy.toml")}
	if w.direct, err = load.NewTelegram([]string{"127.0.0.1:0"}, 1, faketg.Faults{}, quiet); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.direct.Close)
	w.middle, err = load.NewMiddle(load.MiddleOptions{
		Loops: 1, Config: "127.0.0.1:0", Log: quiet,
		Listen: []load.MiddleAddr{{DC: 2, Addr: netip.MustParseAddrPort("127.0.0.1:0")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.middle.Close)
	site := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("a page for strangers"))
	}))
	site.TLS = &tls.Config{MinVersion: tls.VersionTLS13}
	site.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	site.StartTLS()
	t.Cleanup(site.Close)
	w.site = site.Listener.Addr().String()
	return w
}

// args are those of run that stand for the world: where Telegram is.
func (w *town) args(more ...string) []string {
	return append([]string{
		"--dc", "2=" + w.direct.Addrs[0].String(), "--loops", "2",
		"--telegram-secret", w.middle.Resources.URL + load.SecretPath, "--telegram-config", w.middle.Resources.URL + load.ConfigPath,
	}, more...)
}

// door is the path of the operator's door.
func (w *town) door() string { return filepath.Join(w.dir, "admin.sock") }

// state is the state directory.
func (w *town) state() string { return filepath.Join(w.dir, "state") }

// edit puts new in the place of old, which stands in the settings once.
func (w *town) edit(t testing.TB, old, new string) {
	t.Helper()
	if n := strings.Count(w.text, old); n != 1 {
		t.Fatalf("%q stands in the settings %d times", old, n)
	}
	w.text = strings.Replace(w.text, old, new, 1)
}

// save replaces the file in one step, as an editor or a deployment does.
func (w *town) save(t testing.TB) {
	t.Helper()
	w.write(t, w.file, w.text)
}

func (w *town) write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// drawKey returns a new key.
func drawKey() (k codec.Key) {
	random(k[:])
	return k
}

func hexOf(k codec.Key) string { return hex.EncodeToString(k[:]) }

// freePort returns an address where nobody listens.
func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}
