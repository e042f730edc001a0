package day

import (
	"regexp"
	"strings"
	"syscall"
	"testing"

	"epoxy/codec/secret"
)

// A secret that was made at the first start is kept before anybody can read it: kill -9 at once loses it no more.
// B29: SIGTERM closes the listeners, a live client finishes, and the exit code is 0.
func TestMadeSecret(t *testing.T) {
	w := found(t)
	addr := freePort(t)
	args := w.args("--listen", addr, "--domain", domain, "--state-dir", w.state(), "--admin", "unix:"+w.door(), "--upstream", "direct", "--drain", "1h",
		"--show-secrets", "--public-host", "127.0.0.1")
	link := regexp.MustCompile(`secret=(\S+)`)
	made := func(p *proxy) secret.Secret {
		t.Helper()
		p.wantLog(t, "secret=ee")
		s, err := secret.Parse(link.FindStringSubmatch(p.log.String())[1])
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	first := start(t, w.door(), args...)
	key := made(first).Key
	first.kill(t)

	p := start(t, w.door(), args...)
	if made(p).Key != key {
		t.Error("the secret is another one after kill -9")
	}
	if said := p.do(t, "link", "--state-dir", w.state(), "--listen", addr, "--domain", domain, "--public-host", "127.0.0.1"); !strings.Contains(said, hexOf(key)) {
		t.Errorf("epoxy link says %q", said)
	}
	c := visitor(t, visit{to: addr, key: key, tls: true})
	if err := p.signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	wantClosed(t, addr)
	mustPing(t, c, 1000)
	_ = c.Close()
	if code := p.end(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
