package day

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
)

const (
	crowd      = 300 // clients, unless EPOXY_DAY_CLIENTS says otherwise
	reloads    = 20
	bigReloads = 100 // with EPOXY_DAY_CLIENTS
)

// B05: many clients keep their connections through many reloads, each of which changes something, and all are answered afterwards.
// EPOXY_DAY_CLIENTS=10000 makes it many more of both; both programs need a descriptor for each client.
func TestReloadsUnderCrowd(t *testing.T) {
	clients, rounds := crowd, reloads
	if text := os.Getenv("EPOXY_DAY_CLIENTS"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			t.Fatalf("EPOXY_DAY_CLIENTS is %q, no number of clients", text)
		}
		clients, rounds = n, bigReloads
	}
	w := found(t)
	addr, key := freePort(t), drawKey()
	w.text = fmt.Sprintf(`domain = %q
allow = ["tls"]
tag = "ad7a0000000000000000000000000001"
public_ip = "127.0.0.1"
state_dir = %q
admin = %q
max_clients = 15000
[[port]]
name = "main"
listen = %q
max_clients = 15000
[[secret]]
name = "all"
secret = %q
`, domain, w.state(), "unix:"+w.door(), addr, hexOf(key))
	w.save(t)
	p := start(t, w.door(), w.args("--config", w.file)...)
	eventually(t, func() bool { return w.middle.Seen().OpenLinks > 0 }, func() string { return "no link to the middle proxy" })

	all := make([]*client, clients)
	each := func(do func(i int) error) { // eight at a time
		t.Helper()
		var wait sync.WaitGroup
		for first := range 8 {
			wait.Go(func() {
				for i := first; i < clients; i += 8 {
					if err := do(i); err != nil {
						t.Errorf("client %d: %v", i, err)
						return
					}
				}
			})
		}
		wait.Wait()
		if t.Failed() {
			t.FailNow()
		}
	}
	ping := func(i int) error { return all[i].ping(200) }
	t.Cleanup(func() {
		for _, c := range all {
			if c != nil {
				_ = c.Close()
			}
		}
	})
	each(func(i int) (err error) {
		all[i], err = come(visit{to: addr, key: key, tls: true})
		return err
	})
	each(ping)
	size := func() string {
		m := p.metrics(t)
		return fmt.Sprintf("%.1f MB resident, %.0f goroutines, %.0f clients", m["process_resident_memory_bytes"]/1e6, m["go_goroutines"], m[`epoxy_port_clients{port="main"}`])
	}
	t.Logf("before: %s", size())
	before := w.text
	for i := range rounds {
		// Another limit each time, and in turn a port, a secret and a rule that the next reload takes away again.
		w.text = strings.Replace(before, "max_clients = 15000", fmt.Sprintf("max_clients = %d", 15001+i), 1)
		switch i % 4 {
		case 0:
			w.text += fmt.Sprintf("[[secret]]\nname = \"more\"\nsecret = %q\n", hexOf(drawKey()))
		case 1:
			w.text = strings.Replace(w.text, "[[secret]]", fmt.Sprintf("[[port]]\nname = \"more\"\nlisten = %q\n[[secret]]", freePort(t)), 1)
		case 2:
			w.text = "policy = [\"not_in_table client_ip out\"]\nidle_timeout = \"30m\"\n" + w.text
		}
		w.save(t)
		if i == rounds/2 {
			if err := p.signal(syscall.SIGHUP); err != nil {
				t.Fatal(err)
			}
			p.wantLog(t, fmt.Sprintf("becomes %d", 15001+i))
		} else if said := p.do(t, "reload"); !strings.Contains(said, fmt.Sprint(15001+i)) {
			t.Errorf("reload %d says %q", i, said)
		}
		if n := p.status(t).Clients.Now; n != uint64(clients) {
			t.Fatalf("after reload %d there are %d clients of %d", i, n, clients)
		}
		mustPing(t, all[i%clients], 200)
	}
	each(ping)
	t.Logf("after %d reloads: %s", rounds, size())
	m := p.metrics(t)
	for name, n := range m {
		if strings.HasPrefix(name, "epoxy_sessions_closed_total") && n != 0 {
			t.Errorf("%s is %v", name, n)
		}
	}
	if n := m[`epoxy_handshakes_total{protocol="tls"}`]; n != float64(clients) {
		t.Errorf("%v handshakes of %d clients", n, clients)
	}
}
