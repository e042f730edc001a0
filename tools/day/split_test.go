package day

import (
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Two backs and a front as three programs, set up by the three commands of the README, and killed one after the other: clients
// go on over the other back, come back to the first, and a back closes the clients of a front that is gone.
func TestFrontAndBack(t *testing.T) {
	w := found(t)
	certs := filepath.Join(w.dir, "certs")
	if out, err := exec.Command(program, "link-certs", certs).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	door := func(name string) string { return filepath.Join(w.dir, name+".sock") }
	back := func(name, at string) *proxy {
		return start(t, door(name), w.args("--serve-back", at, "--serve-back-cert", filepath.Join(certs, "epoxy-back.pem"),
			"--upstream", "middle", "--public-ip", "127.0.0.1", "--admin", "unix:"+door(name), "--state-dir", filepath.Join(w.dir, name))...)
	}
	places := []string{freePort(t), freePort(t)}
	b1, b2 := back("b1", places[0]), back("b2", places[1])
	key, at := drawKey(), freePort(t)
	front := start(t, door("f"), "--listen", at, "--secret", hexOf(key), "--upstream", "back", "--back", places[0], "--back", places[1],
		"--back-cert", filepath.Join(certs, "epoxy-front.pem"), "--admin", "unix:"+door("f"), "--state-dir", filepath.Join(w.dir, "f"))
	up := func(place string) string { return `epoxy_back_up{back="` + place + `"}` }
	front.wantMetric(t, up(places[0]), 1)
	front.wantMetric(t, up(places[1]), 1)
	v := visit{to: at, key: key}
	clients := []*client{visitor(t, v), visitor(t, v), visitor(t, v)}
	for _, c := range clients {
		mustPing(t, c, 2000)
	}
	const here = `epoxy_served_streams{front="epoxy-front"}`
	b1.wantMetric(t, here, 3)

	b1.kill(t)
	gone := func(p *proxy, name string) {
		t.Helper()
		eventually(t, func() bool { n, there := p.metrics(t)[name]; return there && n == 0 }, func() string { return name + " is not 0" })
	}
	gone(front, up(places[0]))
	for _, c := range clients {
		mustPing(t, c, 2000)
	}
	b2.wantMetric(t, here, 3)
	front.wantMetric(t, "epoxy_upstream_up", 1)

	b1 = back("b1", places[0])
	front.wantMetric(t, up(places[0]), 1)
	mustPing(t, visitor(t, v), 2000)
	b1.wantMetric(t, here, 1)

	front.kill(t)
	gone(b1, here)
	gone(b2, here)
	for _, p := range []*proxy{b1, b2, front} {
		if said := p.log.String(); strings.Contains(said, hexOf(key)) || strings.Contains(said, "PRIVATE") {
			t.Errorf("a secret is in the log:\n%s", said)
		}
	}
	front.wantLog(t, "a back is lost")
	if err := b2.signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := b2.end(t); code != 0 {
		t.Errorf("a back ended with %d", code)
	}
}
