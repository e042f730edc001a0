package day

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"epoxy/codec"
	"epoxy/codec/rpc"
	"epoxy/engine/admin"
)

const (
	quota  = 8 << 20                 // bytes of bob's
	settle = 1100 * time.Millisecond // what is older than a second outlives kill -9
	bad    = "127.0.0.9"             // who is in a table
	worse  = "127.0.0.70"            // who is in a list
)

// shift is a day under way.
type shift struct {
	*town
	t             *testing.T // of the day
	p             *proxy
	web, old, new string // ports
	everybody     codec.Key
	alice, bob    codec.Key
	blocked       string // the list's file
	early, late   *client
	bobs          *client
	used          uint64 // of bob's quota, before the power cut
}

// An operator's day, from the example file to the stop, seen from outside alone.
func TestDay(t *testing.T) {
	w := found(t)
	d := &shift{
		town: w, t: t, web: freePort(t), old: freePort(t), new: freePort(t), everybody: drawKey(), alice: drawKey(), bob: drawKey(),
		blocked: filepath.Join(w.dir, "blocked.netset"),
	}
	for _, step := range []struct {
		name string
		do   func(*testing.T)
	}{
		{"the example file", d.example}, {"start", d.start}, {"reload", d.reload}, {"looks", d.looks}, {"block by SIGHUP", d.block},
		{"kill -9", d.cut}, {"quota", d.exhaust}, {"watched list", d.list}, {"secret removed", d.remove}, {"log level", d.level}, {"drain", d.drain},
	} {
		if !t.Run(step.name, step.do) {
			return
		}
	}
}

// example makes the settings out of deploy/epoxy.toml, by what it says has to be replaced and by the addresses of this machine.
func (d *shift) example(t *testing.T) {
	text, err := os.ReadFile("../../deploy/epoxy.toml")
	if err != nil {
		t.Fatal(err)
	}
	d.text = string(text)
	d.edit(t, `front = "127.0.0.1:8443"`, fmt.Sprintf("front = %q", d.site))
	d.edit(t, `# public_ip = "203.0.113.7"`, `public_ip = "127.0.0.1"`)
	d.edit(t, `admin = "127.0.0.1:8888"`, fmt.Sprintf("admin = %q", "unix:"+d.door()))
	d.edit(t, `"/var/lib/epoxy"`, fmt.Sprintf("%q", d.state()))
	d.edit(t, `listen = ":443"`, fmt.Sprintf("listen = %q", d.web))
	d.edit(t, `listen = ":8444"`, fmt.Sprintf("listen = %q", d.old))
	for name, key := range map[string]codec.Key{"everybody": d.everybody, "alice": d.alice, "guest": drawKey()} {
		d.edit(t, fmt.Sprintf("name = %q\nsecret = \"REPLACE: 32 hex digits\"", name), fmt.Sprintf("name = %q\nsecret = %q", name, hexOf(key)))
	}
	d.save(t)
	nobody := &proxy{door: d.door()}
	if said := nobody.do(t, "config", "check", "--config", d.file); !strings.Contains(said, "ok") {
		t.Errorf("config check says %q", said)
	}
}

func (d *shift) run(more ...string) {
	d.p = start(d.t, d.door(), d.args(append(more, "--config", d.file, "--secret-drain", "1s")...)...)
}

// start serves whom the example's ports serve, and nobody else.
func (d *shift) start(t *testing.T) {
	d.run()
	d.early = visitor(d.t, visit{to: d.web, key: d.everybody, tls: true})
	visitor(d.t, visit{to: d.old, key: d.alice})
	other, err := come(visit{to: d.old, key: d.everybody}) // whoever is no alice is read into silence there
	if err != nil {
		t.Fatal(err)
	}
	d.p.wantMetric(t, `epoxy_strangers_total{reason="wrong_secret"}`, 1)
	_ = other.Close()
	if served(visit{to: d.web, key: d.bob, tls: true}) {
		t.Error("bob has no secret yet")
	}
	if seen := d.direct.Seen(); seen.Accepted != 2 {
		t.Errorf("%d connections to the datacenter", seen.Accepted)
	}
	st := d.p.status(t)
	if !st.Ready || st.Draining || len(st.Clients.Ports) != 2 || st.Clients.Ports[1].Limit != 1000 || len(st.Fronts) != 1 {
		t.Errorf("status %+v", st)
	}
}

// reload adds a port, a secret with a quota, and the ad tag.
func (d *shift) reload(t *testing.T) {
	d.edit(t, `# tag = "REPLACE: 32 hex digits"`, `tag = "ad7a0000000000000000000000000001"`)
	d.edit(t, "# --- Secrets:", fmt.Sprintf("[[port]]\nname = \"new\"\nlisten = %q\nallow = [\"secure\", \"tls\"]\n\n# --- Secrets:", d.new))
	d.text += fmt.Sprintf("\n[[secret]]\nname = \"bob\"\nsecret = %q\nquota = \"%dM\"\n", hexOf(d.bob), quota>>20)
	d.save(t)
	done := ask[admin.Reload](t, d.p, "reload")
	for _, want := range []string{"bob", d.new + " added", "tag"} {
		if !slices.ContainsFunc(done.Applied, func(s string) bool { return strings.Contains(s, want) }) {
			t.Errorf("the reload does not tell of %s: %q", want, done.Applied)
		}
	}
	if len(done.Restart) != 0 || done.Draining != 0 || done.Kept < 2 {
		t.Errorf("the reload did %+v", done)
	}
	eventually(t, func() bool { return d.middle.Seen().OpenLinks > 0 }, func() string { return "no link to the middle proxy" })
	eventually(t, func() bool { return served(visit{to: d.new, key: d.bob, tls: true}) }, func() string { return "the new port does not serve bob" })
	d.bobs = visitor(d.t, visit{to: d.new, key: d.bob, tls: true})
	d.late = visitor(d.t, visit{to: d.web, key: d.everybody, tls: true})
	mustPing(t, d.early, 1000)
	seen := d.middle.Seen()
	if tag := (rpc.Tag{0xad, 0x7a, 15: 1}); seen.Tags[tag] == 0 || seen.Untagged != 0 {
		t.Errorf("the middle proxy sees tags %x, and %d clients without one", seen.Tags, seen.Untagged)
	}
}

// looks finds bob, his port, his bytes and the tag wherever an operator looks.
func (d *shift) looks(t *testing.T) {
	const size, pings = 256 << 10, 4
	for range pings {
		mustPing(t, d.bobs, size)
	}
	const least = 2 * size * pings
	eventually(t, func() bool {
		return d.p.secret(t, "bob").QuotaUsedBytes >= least && d.p.status(t).Clients.Now == 4 // alice, bob, and two of everybody's
	}, func() string {
		return fmt.Sprintf("clients and their bytes are not counted: %+v", d.p.status(t).Clients)
	})
	if s := d.p.secret(t, "bob"); s.Clients != 1 || s.QuotaBytes != quota || s.State != "on" || s.UpBytes < least/2 || s.DownBytes < least/2 {
		t.Errorf("secrets list: %+v", s)
	}
	st := d.p.status(t)
	if !slices.ContainsFunc(st.Busiest.ByBytes, func(s admin.Secret) bool { return s.Name == "bob" && s.Clients == 1 && s.DownBytes >= least/2 }) {
		t.Errorf("bob is not among the busiest: %+v", st.Busiest)
	}
	if !slices.ContainsFunc(st.Clients.Ports, func(p admin.Port) bool { return p.Name == "new" && p.Now == 1 }) {
		t.Errorf("ports: %+v", st.Clients.Ports)
	}
	m := d.p.metrics(t)
	for name, want := range map[string]float64{
		`epoxy_secret_clients{secret="bob"}`: 1, `epoxy_port_clients{port="new"}`: 1, `epoxy_secret_quota_bytes{secret="bob"}`: quota,
		`epoxy_secret_enabled{secret="bob"}`: 1, `epoxy_tag_configured`: 1, `epoxy_ready`: 1,
	} {
		if got, ok := m[name]; !ok || got != want {
			t.Errorf("%s is %v (there: %v), not %v", name, got, ok, want)
		}
	}
	if n := m[`epoxy_secret_bytes_total{secret="bob",direction="down"}`]; n < least/2 {
		t.Errorf("/metrics counts %v bytes down for bob", n)
	}
	s := d.p.stats(t)
	for name, want := range map[string]float64{
		"inbound_connections": 4, "total_special_connections": 4, "ext_connections": 4, "proxy_tag_set": 1, "ready_targets": 1, "active_targets": 1,
		"proxy_mode": 2, "tot_forwarded_queries": pings + 2, "tot_forwarded_responses": pings + 2, "tcp_readv_bytes": least, "pid": float64(d.p.pid),
	} {
		if got, ok := s[name]; !ok || got < want || want <= 4 && got != want {
			t.Errorf("/stats: %s is %v (there: %v), not %v", name, got, ok, want)
		}
	}
}

// block adds a list and a rule by SIGHUP, then fills the rule's table.
func (d *shift) block(t *testing.T) {
	d.write(t, d.blocked, "192.0.2.0/24\n")
	d.edit(t, `log_format = "json"`, fmt.Sprintf("log_format = \"json\"\nlist = [%q]\npolicy = [\"not_in_table client_ip out\"]", "bad block-drop "+d.blocked))
	d.save(t)
	there := visit{to: d.new, from: bad, key: d.bob, tls: true}
	if !served(there) {
		t.Fatal("nobody is blocked yet")
	}
	if err := d.p.signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	d.p.wantLog(t, `"changed"`, "list: ")
	if said := d.p.do(t, "table", "add", "out", "client_ip", bad); said != "added\n" {
		t.Errorf("table add says %q", said)
	}
	if served(there) || served(visit{to: d.new, from: bad, key: d.bob}) {
		t.Error("whom the table blocks is served")
	}
	d.p.wantMetric(t, `epoxy_strangers_total{reason="policy"}`, 2)
	if !served(visit{to: d.new, key: d.bob, tls: true}) {
		t.Error("others are not served")
	}
}

// cut kills the process: a second later it would have kept all this.
func (d *shift) cut(t *testing.T) {
	d.used = d.p.secret(t, "bob").QuotaUsedBytes
	time.Sleep(settle)
	d.p.kill(t)
	for _, c := range []*client{d.early, d.late, d.bobs} {
		wantEnd(t, c)
	}
	d.run("--watch")
	if s := d.p.secret(t, "bob"); s.QuotaUsedBytes < d.used || d.used == 0 {
		t.Errorf("bob had used %d bytes, now it is %d", d.used, s.QuotaUsedBytes)
	}
	if said := d.p.do(t, "table", "list", "out"); strings.Join(strings.Fields(said), " ") != "client_ip "+bad {
		t.Errorf("the table is %q", said)
	}
	if served(visit{to: d.new, from: bad, key: d.bob, tls: true}) {
		t.Error("whom the table blocks is served")
	}
	conn, err := net.Dial("tcp", d.web)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	copied := &client{Conn: conn, tls: true, buf: make([]byte, 4<<10)}
	copied.wait()
	if copied.greet(d.late.hello, d.everybody) == nil {
		t.Error("a copied hello is answered as the first one was")
	}
	d.p.wantMetric(t, `epoxy_strangers_total{reason="replay"}`, 1)
	d.early = visitor(d.t, visit{to: d.web, key: d.everybody, tls: true})
	d.bobs = visitor(d.t, visit{to: d.new, key: d.bob, tls: true})
}

// exhaust uses bob's quota up and begins it anew.
func (d *shift) exhaust(t *testing.T) {
	other := visitor(d.t, visit{to: d.new, key: d.bob})
	for range quota >> 10 {
		if d.bobs.ping(256<<10) != nil {
			break
		}
	}
	wantEnd(t, d.bobs)
	wantEnd(t, other)
	if served(visit{to: d.new, key: d.bob, tls: true}) || served(visit{to: d.new, key: d.bob}) {
		t.Error("bob is served beyond his quota")
	}
	eventually(t, func() bool {
		s := d.p.secret(t, "bob")
		return s.State == "quota" && s.QuotaUsedBytes >= quota && s.Clients == 0
	}, func() string { return fmt.Sprintf("secrets list: %+v", d.p.secret(t, "bob")) })
	d.p.wantMetric(t, `epoxy_sessions_closed_total{reason="secret_quota"}`, 2)
	d.p.wantMetric(t, `epoxy_secret_refused_total{secret="bob",reason="secret_quota"}`, 2)
	mustPing(t, d.early, 1000)
	d.p.do(t, "secrets", "reset", "bob")
	d.bobs = visitor(d.t, visit{to: d.new, key: d.bob, tls: true})
}

// list changes the file of blocked networks, which the proxy watches.
func (d *shift) list(t *testing.T) {
	there := visit{to: d.web, from: worse, key: d.everybody, tls: true}
	if !served(there) {
		t.Fatal("nobody of that network is blocked yet")
	}
	d.write(t, d.blocked, "192.0.2.0/24\n127.0.0.64/26\n")
	eventually(t, func() bool { return !served(there) }, func() string { return "the list is not read again" })
	if n := d.p.metrics(t)[`epoxy_refused_total{reason="blocked"}`]; n == 0 {
		t.Error("whom the list blocks is not counted")
	}
	mustPing(t, d.early, 1000)
}

// remove takes bob out of the file, which the proxy watches.
func (d *shift) remove(t *testing.T) {
	at := strings.LastIndex(d.text, "[[secret]]")
	d.text = d.text[:at]
	d.save(t)
	d.p.wantLog(t, "the settings file has changed")
	wantEnd(t, d.bobs)
	d.p.wantMetric(t, `epoxy_sessions_closed_total{reason="secret_removed"}`, 1)
	if served(visit{to: d.new, key: d.bob, tls: true}) || d.p.secret(t, "bob").Name != "" {
		t.Error("bob is still known")
	}
	mustPing(t, d.early, 1000)
}

// level makes single clients seen in the log.
func (d *shift) level(t *testing.T) {
	const line = `"a session ended"`
	if strings.Contains(d.p.log.String(), line) {
		t.Error("single clients are logged already")
	}
	d.p.do(t, "log-level", "debug")
	if !served(visit{to: d.new, key: d.alice}) {
		t.Error("alice is not served")
	}
	d.p.wantLog(t, `"DEBUG"`, line, `"alice"`)
	for _, k := range []codec.Key{d.everybody, d.alice, d.bob} {
		if strings.Contains(d.p.log.String(), hexOf(k)) {
			t.Error("a secret is in the log")
		}
	}
}

// drain ends the day: nobody new comes in, and when the last one left, the process ends well.
func (d *shift) drain(t *testing.T) {
	d.p.do(t, "drain", "--time", "1h")
	for _, addr := range []string{d.web, d.old, d.new} {
		wantClosed(t, addr)
	}
	eventually(t, func() bool { st := d.p.status(t); return st.Draining && st.Clients.Now == 1 }, func() string {
		return fmt.Sprintf("while it drains the status is %+v", d.p.status(t).Clients)
	})
	mustPing(t, d.early, 1000)
	_ = d.early.Close()
	if code := d.p.end(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
	seen := d.middle.Seen()
	if n := seen.Malformed + seen.Unknown + seen.Changed + seen.WrongFlags + seen.Reused + seen.BadFrames + seen.BadHandshakes; n > 0 {
		t.Errorf("the middle proxy saw what it should not: %+v", seen)
	}
}
