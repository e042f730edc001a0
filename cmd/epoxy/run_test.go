package main

import (
	"io"
	"log/slog"
	"net"
	"net/http"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"epoxy/engine"
	"epoxy/engine/config"
)

// start runs "epoxy run" with args beside the test and returns its exit code to come.
func (w *world) start(args ...string) <-chan int {
	code := make(chan int, 1)
	go func() { code <- w.main(append([]string{"run", "--admin", "off"}, args...)) }()
	return code
}

// await fails the test when nothing comes from c for long.
func await[T any](t *testing.T, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(30 * time.Second):
		t.Fatalf("%s did not come", what)
		panic("unreachable")
	}
}

func TestSignalDrains(t *testing.T) {
	w := newWorld(t)
	code := w.start("--secret", testKey, "--drain", "1h")
	await(t, "the start", w.engine.started)
	w.signal <- syscall.SIGTERM
	await(t, "the drain", w.engine.drain)
	close(w.engine.finish)
	if got := await(t, "the end", code); got != exitOK {
		t.Errorf("exit %d, %s", got, w.errs)
	}
}

func TestDrainHasAnEnd(t *testing.T) {
	w := newWorld(t)
	code := w.start("--secret", testKey, "--drain", "0")
	w.signal <- syscall.SIGINT
	if got := await(t, "the end", code); got != exitOK {
		t.Errorf("exit %d, %s", got, w.errs)
	}
}

func TestSecondSignalExits(t *testing.T) {
	w := newWorld(t)
	code := w.start("--secret", testKey, "--drain", "1h")
	w.signal <- syscall.SIGTERM
	await(t, "the drain", w.engine.drain)
	w.signal <- syscall.SIGTERM
	if got := await(t, "the end", code); got != 128+int(syscall.SIGTERM) {
		t.Errorf("exit %d, %s", got, w.errs)
	}
	close(w.engine.finish)
}

func TestEngineEnds(t *testing.T) {
	w := newWorld(t)
	w.engine.err = errBoom
	close(w.engine.done)
	if got := await(t, "the end", w.start("--secret", testKey)); got != exitFault || !strings.Contains(w.errs.String(), "engine: boom") {
		t.Errorf("exit %d, %s", got, w.errs)
	}
}

func TestStartFails(t *testing.T) {
	w := newWorld(t)
	w.engine.startErr = errBoom
	if got := await(t, "the end", w.start("--secret", testKey)); got != exitFault || !strings.Contains(w.errs.String(), "epoxy: engine: boom") {
		t.Errorf("exit %d, %s", got, w.errs)
	}
	if w.out.String() != "" {
		t.Errorf("links of a proxy that does not run: %s", w.out)
	}
}

func TestDoorInUse(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	w := newWorld(t)
	code := w.main([]string{"run", "--secret", testKey, "--admin", l.Addr().String()})
	if code != exitFault || !strings.Contains(w.errs.String(), "--admin "+l.Addr().String()) || !strings.Contains(w.errs.String(), "choose another place, or off") {
		t.Errorf("exit %d, %s", code, w.errs)
	}
	if !w.engine.stopped {
		t.Error("the engine was not stopped")
	}
}

// At start links are masked, in every log form and level; --show-secrets prints them whole, to standard output only.
func TestLinksAtStart(t *testing.T) {
	ee := "ee" + testKey + "612e6578616d706c65" // a.example
	for _, secret := range []string{testKey, "bob=dd" + testKey, ee} {
		for _, format := range []string{"text", "json"} {
			for _, show := range []string{"false", "true"} {
				w := newWorld(t)
				w.environ = []string{"EPOXY_SECRET=" + secret, "EPOXY_LISTN=x"}
				code := w.start("--log-level", "debug", "--log-format", format, "--show-secrets="+show, "--allow", "classic,secure,tls", "--domain", "b.example", "--drain", "0")
				w.signal <- syscall.SIGTERM
				if got := await(t, "the end", code); got != exitOK {
					t.Fatalf("exit %d, %s", got, w.errs)
				}
				key := unhex(t, testKey)
				if piece := leaks(w.errs.String(), key); piece != "" {
					t.Errorf("the log shows %s of the secret", piece)
				}
				if shown := leaks(w.out.String(), key) != ""; shown != (show == "true") {
					t.Errorf("--show-secrets=%s prints %s", show, w.out)
				}
				if !strings.Contains(w.out.String(), "https://t.me/proxy?server=203.0.113.7&port=4430&secret=") {
					t.Errorf("no link in %s", w.out)
				}
				if !strings.Contains(w.errs.String(), "EPOXY_LISTN") {
					t.Error("no word about the unknown variable")
				}
			}
		}
	}
}

func TestPublicSecretIsTold(t *testing.T) {
	w := newWorld(t)
	code := w.start("--secret", "00000000000000000000000000000001", "--drain", "0")
	w.signal <- syscall.SIGTERM
	await(t, "the end", code)
	if !strings.Contains(w.errs.String(), "anybody can guess it") {
		t.Errorf("no warning in %s", w.errs)
	}
}

// The real engine: it serves, the door tells, SIGTERM ends it with 0.
func TestRealEngine(t *testing.T) {
	w := newWorld(t)
	w.app.engine = func(s *config.Settings, log *slog.Logger) (proxy, error) { return engine.New(s, log) }
	code := make(chan int, 1)
	go func() {
		code <- w.main([]string{"run", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--loops", "1", "--secret", testKey, "--drain", "0"})
	}()
	door := w.door(t)
	for path, want := range map[string]string{"/readyz": "ready", "/healthz": "ok", "/metrics": "epoxy_ready 1\n", "/stats": "\nactive_targets\t0\n"} {
		transport := &http.Transport{DisableKeepAlives: true}
		res, err := (&http.Client{Transport: transport}).Get("http://" + door + path)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if res.StatusCode != 200 || !strings.Contains(string(body), want) {
			t.Errorf("%s: %d %.200s", path, res.StatusCode, body)
		}
		if leaks(string(body), unhex(t, testKey)) != "" {
			t.Errorf("%s shows the secret", path)
		}
	}
	w.signal <- syscall.SIGTERM
	if got := await(t, "the end", code); got != exitOK {
		t.Errorf("exit %d, %s", got, w.errs)
	}
}

// door waits for the line that tells where the door is.
func (w *world) door(t *testing.T) string {
	t.Helper()
	line := regexp.MustCompile(`msg=serving .*admin=(\S+)`)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(30 * time.Second)
	for {
		if m := line.FindStringSubmatch(w.errs.String()); m != nil {
			return m[1]
		}
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("it does not serve: %s", w.errs)
		}
	}
}
