package main

import (
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// systemd listens at name for what a notifier sends.
func systemd(t *testing.T, name string) *net.UnixConn {
	t.Helper()
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// hears fails the test when the next message is not like want.
func hears(t *testing.T, c *net.UnixConn, want string) string {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	p := make([]byte, 1000)
	n, err := c.Read(p)
	if err != nil {
		t.Fatalf("waiting for %q: %v", want, err)
	}
	if got := string(p[:n]); !regexp.MustCompile("^(?:" + want + ")$").MatchString(got) {
		t.Fatalf("heard %q, want %q", got, want)
	}
	return string(p[:n])
}

// variables makes a getenv.
func variables(all map[string]string) func(string) string {
	return func(name string) string { return all[name] }
}

func TestNotify(t *testing.T) {
	for _, name := range []string{filepath.Join(t.TempDir(), "notify"), "@epoxy-test-" + strconv.Itoa(os.Getpid())} {
		c := systemd(t, name)
		w := newWorld(t)
		w.getenv = variables(map[string]string{"NOTIFY_SOCKET": name})
		before := monotonic() / 1000
		code := w.start("--secret", testKey, "--drain", "1h")
		hears(t, c, "READY=1\nSTATUS=serving")
		w.signal <- syscall.SIGHUP
		text := hears(t, c, "RELOADING=1\nMONOTONIC_USEC=\\d+\nSTATUS=reloading")
		if at, err := strconv.ParseInt(strings.Split(text, "\n")[1][len("MONOTONIC_USEC="):], 10, 64); err != nil || at < before || at > monotonic()/1000 {
			t.Errorf("%q between %d and now", text, before)
		}
		hears(t, c, "READY=1\nSTATUS=serving")
		w.signal <- syscall.SIGTERM
		hears(t, c, "STOPPING=1\nSTATUS=draining, for 1h0m0s at most")
		close(w.engine.finish)
		if got := await(t, "the end", code); got != exitOK {
			t.Errorf("exit %d, %s", got, w.errs)
		}
	}
}

// The watchdog is fed while all loops answer, and starves when one hangs.
func TestWatchdog(t *testing.T) {
	name := filepath.Join(t.TempDir(), "notify")
	c := systemd(t, name)
	n := (&app{getenv: variables(map[string]string{"NOTIFY_SOCKET": name})}).notifier(slog.New(slog.DiscardHandler))
	rounds, answer, stop, over := 0, make(chan bool), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(over)
		n.keepAlive(time.Millisecond, func() {
			if rounds++; rounds == 4 {
				answer <- true // hangs here
				<-answer
			}
		}, stop)
	}()
	for range 3 {
		hears(t, c, "WATCHDOG=1")
	}
	await(t, "the hang", answer)
	if err := c.SetReadDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if n, err := c.Read(make([]byte, 100)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the watchdog was fed while a loop hangs: %d %v", n, err)
	}
	answer <- true
	hears(t, c, "WATCHDOG=1")
	close(stop)
	await(t, "the end", over)
}

func TestWatchdogTime(t *testing.T) {
	for _, c := range []struct {
		usec, pid string
		want      time.Duration
	}{
		{"", "", 0}, {"x", "", 0}, {"0", "", 0}, {"-5", "", 0}, {"99999999999999999999", "", 0}, {"30000000", "", 15 * time.Second},
		{"30000000", "7", 15 * time.Second}, {"30000000", "8", 0},
	} {
		a := &app{getenv: variables(map[string]string{"WATCHDOG_USEC": c.usec, "WATCHDOG_PID": c.pid})}
		if got := a.watchdog(7); got != c.want {
			t.Errorf("%v: %v", c, got)
		}
	}
}

// Nobody listens, or nobody wants to hear: the proxy serves all the same, with one word about the former.
func TestNobodyToNotify(t *testing.T) {
	for name, lines := range map[string]int{"": 0, "vsock:2:1": 0, "/nowhere/notify": 1} {
		w := newWorld(t)
		w.getenv = variables(map[string]string{"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "2000"})
		code := w.start("--secret", testKey, "--drain", "0")
		w.signal <- syscall.SIGTERM
		if got := await(t, "the end", code); got != exitOK || strings.Count(w.errs.String(), "systemd cannot be told") != lines {
			t.Errorf("%q: exit %d, %s", name, got, w.errs)
		}
	}
}
