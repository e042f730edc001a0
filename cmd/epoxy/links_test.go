package main

import (
	"bytes"
	"encoding/hex"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/spf13/pflag"
	"rsc.io/qr"

	"epoxy/codec/secret"
	"epoxy/engine/config"
)

func TestLinkCommand(t *testing.T) {
	domain := hex.EncodeToString([]byte("a.example"))
	for _, c := range []struct {
		args string
		want []string // secrets of the links, in order
	}{
		{"--secret " + testKey, []string{"dd" + testKey}},
		{"--secret " + testKey + " --domain a.example", []string{"ee" + testKey + domain, "dd" + testKey}},
		{"--secret " + testKey + " --domain a.example --allow classic,secure,tls", []string{"ee" + testKey + domain, "dd" + testKey, testKey}},
		{"--secret dd" + testKey + " --domain a.example", []string{"dd" + testKey}},
		{"--secret ee" + testKey + domain + " --domain b.example", []string{"ee" + testKey + domain}},
		{"--secret a=" + testKey + " --secret b=dd00000000000000000000000000000005 --allow secure", []string{"dd" + testKey, "dd00000000000000000000000000000005"}},
	} {
		w := newWorld(t)
		w.environ = []string{"EPOXY_LOOPS=x"} // run's, not ours to judge
		code := w.do(append([]string{"link", "--public-host", "p.example", "--public-port", "443"}, strings.Fields(c.args)...)...)
		if code != exitOK {
			t.Errorf("%s: exit %d, %s", c.args, code, w.errs)
		}
		var got []string
		for line := range strings.Lines(w.out.String()) {
			line = strings.TrimSpace(line)
			if !strings.HasPrefix(line, "https://") && !strings.HasPrefix(line, "tg://") {
				continue
			}
			host, port, s, err := secret.ParseLink(line)
			if err != nil || host != "p.example" || port != 443 {
				t.Errorf("%s: %q gives %s, %d, %v", c.args, line, host, port, err)
			}
			got = append(got, s.Hex())
		}
		var want []string
		for _, s := range c.want {
			want = append(want, s, s) // t.me and tg
		}
		if strings.Join(got, " ") != strings.Join(want, " ") {
			t.Errorf("%s links %v, want %v", c.args, got, want)
		}
		noEE := !strings.Contains(c.args, "domain") && !strings.Contains(c.args, "--allow secure")
		if strings.Contains(w.out.String(), "no fake-TLS (ee) link") != noEE {
			t.Errorf("%s: the word about --domain is wrong: %s", c.args, w.out)
		}
	}
}

func TestPlace(t *testing.T) {
	for _, c := range []struct {
		args, engine, host string
		port               int
		guess              bool
	}{
		{"", "", "203.0.113.7", 1443, false},
		{"--listen :0", "[::]:5555", "203.0.113.7", 5555, false},
		{"--listen [::]:443", "", "203.0.113.7", 443, false},
		{"--listen 192.0.2.5:443", "", "192.0.2.5", 443, false},
		{"--listen unix:/x --listen 192.0.2.5:80", "", "192.0.2.5", 80, false},
		{"--listen unix:/x", "", "203.0.113.7", 443, false},
		{"--public-host p.example --public-port 8443", "", "p.example", 8443, false},
		{"--public-host p.example", "", "p.example", 1443, false},
		{"private", "", "10.1.2.3", 1443, true},
	} {
		w := newWorld(t)
		if c.args == "private" {
			c.args = ""
			w.addrs = func() ([]net.Addr, error) { return []net.Addr{&net.IPNet{IP: net.IPv4(10, 1, 2, 3)}}, nil }
		}
		s := config.Default()
		flags := pflag.NewFlagSet("", pflag.ContinueOnError)
		config.RegisterLinks(flags, s)
		if err := flags.Parse(strings.Fields(c.args)); err != nil {
			t.Fatal(err)
		}
		var addrs []string
		if c.engine != "" {
			addrs = []string{c.engine}
		}
		if p := w.place(s, addrs); p.host != c.host || p.port != c.port || (p.guess != "") != c.guess {
			t.Errorf("%s: %+v", c.args, p)
		}
	}
	w := newWorld(t)
	w.addrs = func() ([]net.Addr, error) { return nil, errors.New("no") }
	if p := w.place(config.Default(), nil); p.host != "127.0.0.1" || p.guess == "" {
		t.Errorf("without addresses: %+v", p)
	}
}

// A first start makes a secret, keeps it for the owner alone and shows it once to who is watching; the next start
// uses it again, masked; link prints it whole.
func TestMadeSecret(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state", "epoxy")
	made := []byte("0123456789abcdeF")
	run := func(terminal bool) *world {
		w := newWorld(t)
		w.terminal = terminal
		code := w.start("--state-dir", dir, "--drain", "0", "--domain", "a.example", "--log-level", "debug")
		w.signal <- syscall.SIGTERM
		if got := await(t, "the end", code); got != exitOK {
			t.Fatalf("exit %d, %s", got, w.errs)
		}
		if leaks(w.errs.String(), made) != "" {
			t.Errorf("the log shows the made secret: %s", w.errs)
		}
		return w
	}
	if w := run(true); leaks(w.out.String(), made) == "" || !strings.Contains(w.out.String(), "tg://proxy?") || !strings.Contains(w.out.String(), "▀") {
		t.Errorf("the first start does not show the links and a QR code: %s", w.out)
	}
	for path, want := range map[string]os.FileMode{dir: 0o700, filepath.Join(dir, secretFile): 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s has mode %v, %v; want %v", path, info.Mode(), err, want)
		}
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("the state directory holds %v, %v", entries, err)
	}
	if w := run(true); leaks(w.out.String(), made) != "" || string(w.engine.settings.Secrets[0].Secret.Key[:]) != string(made) {
		t.Errorf("the second start makes another secret, or shows the first: %s", w.out)
	}
	w := newWorld(t)
	if code := w.do("link", "--state-dir", dir); code != exitOK || !strings.Contains(w.out.String(), "secret=dd"+hex.EncodeToString(made)) {
		t.Errorf("link: exit %d, %s", code, w.out)
	}
	dir += "2"
	if w := run(false); leaks(w.out.String(), made) != "" || !strings.Contains(w.out.String(), "epoxy link") {
		t.Errorf("a first start that nobody watches shows the secret, or gives no hint: %s", w.out)
	}
}

// A secret file that is damaged, open to others or unreadable is told with its name and the cure, and left as it is.
func TestBadSecretFile(t *testing.T) {
	for _, c := range []struct {
		text string
		mode os.FileMode
		want []string
	}{
		{"", 0o600, []string{"is damaged", "restore it"}},
		{testKey[:20], 0o600, []string{"is damaged", "restore it"}},
		{testKey + " " + testKey, 0o600, []string{"is damaged"}},
		{strings.Repeat("a", 1<<16), 0o600, []string{"is damaged"}},
		{testKey, 0o644, []string{"others may read", "chmod 600"}},
	} {
		for _, cmd := range []string{"run", "link"} {
			dir := t.TempDir()
			path := filepath.Join(dir, secretFile)
			if err := os.WriteFile(path, []byte(c.text), c.mode); err != nil {
				t.Fatal(err)
			}
			w := newWorld(t)
			if code := w.do(cmd, "--state-dir", dir); code != exitFault {
				t.Errorf("%s with %.20q: exit %d", cmd, c.text, code)
			}
			for _, want := range append(c.want, path) {
				if !strings.Contains(w.errs.String(), want) {
					t.Errorf("%s with %.20q says %q, want %q", cmd, c.text, w.errs, want)
				}
			}
			if leaks(w.errs.String()+w.out.String(), unhex(t, testKey)) != "" {
				t.Errorf("%s shows what the file holds: %s", cmd, w.errs)
			}
			if kept, err := os.ReadFile(path); err != nil || string(kept) != c.text {
				t.Errorf("%s changed the file", cmd)
			}
		}
	}
}

func TestStateDirCannotBeMade(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	if code := w.do("run", "--state-dir", filepath.Join(file, "x")); code != exitFault || !strings.Contains(w.errs.String(), file) {
		t.Errorf("exit %d, %s", code, w.errs)
	}
	w = newWorld(t)
	if code := w.do("run"); code != exitUsage || !strings.Contains(w.errs.String(), "give --secret or --state-dir") {
		t.Errorf("without any place: exit %d, %s", code, w.errs)
	}
}

// Who comes second to an empty state directory gets the secret of who was first.
func TestTwoFirstStarts(t *testing.T) {
	dir := t.TempDir()
	a, b := newWorld(t), newWorld(t)
	b.random = strings.NewReader("another 16 bytes")
	first, err := a.makeSecret(dir)
	if err != nil {
		t.Fatal(err)
	}
	second, err := b.makeSecret(dir)
	if err != nil || !second.Equal(first) {
		t.Errorf("the second start has another secret, %v", err)
	}
}

// The picture is the code: read back module by module.
func TestQR(t *testing.T) {
	const link = "https://t.me/proxy?server=203.0.113.7&port=443&secret=dd" + testKey
	code, err := qr.Encode(link, qr.L)
	if err != nil {
		t.Fatal(err)
	}
	for _, colour := range []bool{false, true} {
		var out bytes.Buffer
		if err := printQR(&out, link, colour); err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
		if want := (code.Size + 2*quiet + 1) / 2; len(lines) != want {
			t.Fatalf("%d lines, want %d", len(lines), want)
		}
		for row, line := range lines {
			line = strings.TrimPrefix(line, "  ")
			if colour {
				line = strings.TrimSuffix(strings.TrimPrefix(line, qrColour), qrPlain)
			}
			for col, c := range []rune(line) {
				ink := strings.Index(" ▀▄█", string(c)) // bytes: 0, 1, 4, 7
				x, y := col-quiet, 2*row-quiet
				upper, lower := ink == 1 || ink == 7, ink == 4 || ink == 7
				if upper == code.Black(x, y) || lower == code.Black(x, y+1) {
					t.Fatalf("module %d,%d is drawn as %q", x, y, c)
				}
			}
		}
	}
}
