package main

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"epoxy/codec"
	"epoxy/codec/obfs2"
	"epoxy/codec/secret"
	"epoxy/engine"
	"epoxy/engine/config"
)

// fullRun is a proxy with the real engine, and everything that it says.
type fullRun struct {
	*world
	t     *testing.T
	pages strings.Builder
}

// told waits for a line.
func (r *fullRun) told(what string) {
	r.t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for limit := time.Now().Add(30 * time.Second); !regexp.MustCompile(what).MatchString(r.errs.String()); <-tick.C {
		if time.Now().After(limit) {
			r.t.Fatalf("%s is not told in %s", what, r.errs)
		}
	}
}

// ask keeps what a page of the door answers.
func (r *fullRun) ask(method, url, token, body string) {
	r.t.Helper()
	q, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	q.Header.Set("Content-Type", "application/json")
	if token != "" {
		q.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(q)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	fmt.Fprintf(&r.pages, "%s %s: %d\n%v\n%s\n", method, url, res.StatusCode, res.Header, text)
}

// knock brings p to the proxy and goes.
func (r *fullRun) knock(addr string, p []byte) {
	r.t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		r.t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write(p); err != nil {
		r.t.Fatal(err)
	}
}

// opening returns what a client with key says first.
func opening(t *testing.T, key codec.Key) []byte {
	t.Helper()
	for n := byte(1); n != 0; n++ {
		random := [obfs2.InitSize]byte{n, n + 1, n + 2, n + 3, n + 4, n + 5, n + 6, n + 7, 9: n}
		if wire, _, _, ok := obfs2.ClientInit(&random, &key, codec.Padded, 2); ok {
			return wire[:]
		}
	}
	t.Fatal("no opening")
	return nil
}

// A whole run at the level debug shows no secret, in no spelling: not in the log, on the terminal or on a page of the door,
// through clients, strangers, proxies that fail, good and bad reloads. They come by file, flag and variable.
func TestFullRunShowsNoSecret(t *testing.T) {
	var bob, eve codec.Key
	copy(bob[:], unhex(t, testKey))
	copy(eve[:], unhex(t, "9b1fe7a0552c4d83b6e0917f3da8c4e2"))
	eveText := secret.Secret{Kind: secret.Padded, Key: eve}.Hex()
	way := "socks5://bob:" + hygieneWord + "@127.0.0.1:1"
	hidden := []codec.Key{bob, eve, secret.DeriveSNI([]byte(hygieneSalt), bob, "a.example"), secret.DeriveSNI([]byte(hygieneSalt), eve, "a.example")}
	for _, format := range []string{"text", "json"} {
		file := filepath.Join(t.TempDir(), "epoxy.toml")
		settings := func(more string) {
			text := fmt.Sprintf("admin_token = %q\nupstream_proxy = %q\ndomain = 'a.example'\n%s\n[[secret]]\nname = 'bob'\nsecret = 'ee%s612e6578616d706c65'\n", hygieneToken, way, more, testKey)
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		settings("")
		r := &fullRun{world: newWorld(t), t: t}
		r.app.engine = func(s *config.Settings, log *slog.Logger) (proxy, error) { return engine.New(s, log) }
		r.environ = []string{"EPOXY_LISTEN=main=127.0.0.1:0?allow=secure\nsalted=127.0.0.1:0?allow=tls&sni-salt=" + hygieneSalt, "EPOXY_SECRET_=" + testKey}
		code := make(chan int, 1)
		go func() {
			code <- r.main([]string{"run", "--admin", "127.0.0.1:0", "--loops", "1", "--drain", "0", "--state-dir", t.TempDir(),
				"--upstream", "direct", "--log-level", "debug", "--log-sample", "0", "--log-format", format, "--config", file})
		}()
		r.told(`serving`)
		m := regexp.MustCompile(`listen"?[=:]"?\["?([\d.:]+).*admin"?[=:]"?([\d.:]+)`).FindStringSubmatch(r.errs.String())
		if m == nil {
			t.Fatalf("where is it: %s", r.errs)
		}
		addr, door := m[1], "http://"+m[2]

		r.knock(addr, opening(t, bob)) // the proxy towards Telegram is not there
		r.told("a session ended")
		r.told("a proxy towards Telegram failed")
		for _, p := range []string{testKey + testKey + "\r\n", "GET /" + testKey + " HTTP/1.1\r\nHost: " + hygieneSalt + "\r\n\r\n", strings.Repeat(string(bob[:]), 8)} {
			r.knock(addr, []byte(p))
		}
		r.told("a stranger came")

		settings("max_clients = 77") // a good reload
		r.signal <- syscall.SIGHUP
		r.told("max-clients: 0 becomes 77")
		for _, bad := range []string{"max_clients = '" + testKey + "g'", "[[secret]]\nname = 'eve'\nsecret = '" + eveText + "'\n[[secret]]\nsecret = '" + eveText + "'", "secret = '" + eveText + "z'"} {
			settings(bad)
			before := strings.Count(r.errs.String(), "reload failed")
			r.signal <- syscall.SIGHUP
			r.told(fmt.Sprintf(`(?s)(reload failed.*){%d}`, before+1))
		}
		settings("[[secret]]\nname = 'eve'\nsecret = '" + eveText + "'")
		r.signal <- syscall.SIGHUP
		r.told("secret eve added")

		for _, path := range []string{
			"/metrics", "/stats", "/strangers", "/healthz", "/readyz", "/api/v1/status", "/api/v1/secrets", "/api/v1/tables", "/api/v1/log-level", "/api/v1/openapi.json",
			"/debug/pprof/", "/debug/pprof/cmdline", "/debug/pprof/goroutine?debug=2", "/nothing",
		} {
			r.ask(http.MethodGet, door+path, hygieneToken, "")
			r.ask(http.MethodGet, door+path, "", "")
			r.ask(http.MethodGet, door+path, hygieneToken+"x", "")
		}
		r.ask(http.MethodPost, door+"/api/v1/reload", hygieneToken, "")
		r.ask(http.MethodPut, door+"/api/v1/log-level", hygieneToken, `{"part":"session","level":"info"}`)
		if !strings.Contains(r.pages.String(), "epoxy_ready 1") || !strings.Contains(r.pages.String(), `"eve"`) {
			t.Errorf("the door did not open: %.2000s", &r.pages)
		}
		r.signal <- syscall.SIGTERM
		if got := await(t, "the end", code); got != exitOK {
			t.Errorf("exit %d, %s", got, r.errs)
		}
		for where, said := range map[string]string{"the log": r.errs.String(), "standard output": r.out.String(), "the door": r.pages.String()} {
			for _, key := range hidden {
				if piece := leaks(said, key[:]); piece != "" {
					t.Errorf("%s: %s shows %s:\n%s", format, where, piece, around(said, piece))
				}
			}
			for _, word := range []string{hygieneSalt, hygieneToken, hygieneWord} {
				if strings.Contains(said, word) {
					t.Errorf("%s: %s shows %s:\n%s", format, where, word, around(said, word))
				}
			}
		}
	}
}

// around returns the line of text with piece.
func around(text, piece string) string {
	for line := range strings.Lines(text) {
		if strings.Contains(line, piece) {
			return line
		}
	}
	return ""
}
