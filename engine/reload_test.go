package engine_test

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"epoxy/codec"
	"epoxy/codec/obfs2"
	"epoxy/codec/secret"
	"epoxy/engine"
	"epoxy/engine/config"
	"epoxy/engine/stats"
	"epoxy/upstream/faketg"
)

// changed returns the settings of h with change applied, validated.
func changed(t testing.TB, base func() *config.Settings, change func(*config.Settings)) *config.Settings {
	t.Helper()
	s := base()
	change(s)
	if err := s.Validate(); err != nil {
		t.Fatal(err)
	}
	return s
}

// freePort returns an address where nobody listens.
func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// B05, A08: a reload with live clients cuts nobody but those the change names: ports come and go, and come back, limits change, and
// who is connected stays.
func TestReload(t *testing.T) {
	_, dc := telegram(t, faketg.Faults{})
	second := freePort(t)
	base := func() *config.Settings {
		s := settings(dc)
		s.Listen = []config.Listen{listen("port1", "127.0.0.1:0"), listen("port2", second)}
		s.Drain = 50 * time.Millisecond
		return s
	}
	h := start(t, base())
	stay, go2 := dial(t, h.Addrs()[0], ways[3], 2), dial(t, second, ways[1], 2)
	mustPing(t, stay, 1000)
	mustPing(t, go2, 1000)

	done, err := h.Apply(changed(t, base, func(s *config.Settings) { s.Listen = s.Listen[:1]; s.MaxClients = 1 }))
	if err != nil {
		t.Fatal(err)
	}
	if done.Draining != 1 || done.Kept != 1 || len(done.Changes) != 2 {
		t.Errorf("applied %+v", done)
	}
	if c, err := net.Dial("tcp", second); err == nil {
		t.Errorf("the removed port accepts")
		_ = c.Close()
	}
	wantEnd(t, go2)
	h.wait(t, func(l stats.Loop) bool { return l.Closed[codec.ReasonPortRemoved] == 1 && l.ClientsNow == 1 })
	mustPing(t, stay, 1000)
	if c, err := open(h.Addrs()[0], ways[0], 2, key); err == nil {
		if err := c.ping(100); err == nil {
			t.Error("a second client beyond --max-clients 1")
		}
		_ = c.Close()
	}

	if _, err := h.Apply(changed(t, base, func(*config.Settings) {})); err != nil {
		t.Fatal(err)
	}
	back := dial(t, second, ways[2], 2)
	mustPing(t, back, 1000)
	mustPing(t, stay, 1000)
	if h.Addrs()[1] != second || len(h.Addrs()) != 2 {
		t.Errorf("listening at %v", h.Addrs())
	}
}

// B26: a secret that is removed while its clients are connected: new ones are strangers at once, live ones are drained after the set
// time, other secrets' stay.
func TestReloadSecretRemoved(t *testing.T) {
	_, dc := telegram(t, faketg.Faults{})
	other := codec.Key{9, 9, 9}
	base := func() *config.Settings {
		s := settings(dc)
		s.Secrets = append(s.Secrets, config.NamedSecret{Name: "b", Secret: secret.Secret{Key: other}})
		s.Drain = 300 * time.Millisecond
		return s
	}
	h := start(t, base())
	mine := dial(t, h.addr, ways[3], 2)
	theirs, err := open(h.addr, ways[3], 2, other)
	if err != nil {
		t.Fatal(err)
	}
	mustPing(t, mine, 100)
	mustPing(t, theirs, 100)
	done, err := h.Apply(changed(t, base, func(s *config.Settings) { s.Secrets = s.Secrets[:1] }))
	if err != nil || done.Draining != 1 {
		t.Fatalf("applied %+v, %v", done, err)
	}
	mustPing(t, theirs, 100) // still there
	late, err := net.Dial("tcp", h.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer late.Close()
	opening, _, _, _ := obfs2.ClientInit(&[64]byte{1, 2, 3, 4, 5}, &other, codec.Padded, 2)
	if _, err := late.Write(opening[:]); err != nil {
		t.Fatal(err)
	}
	h.wait(t, func(l stats.Loop) bool { return l.Strangers[codec.ReasonWrongSecret] == 1 })
	wantEnd(t, theirs)
	h.wait(t, func(l stats.Loop) bool { return l.Closed[codec.ReasonSecretRemoved] == 1 })
	mustPing(t, mine, 100)
}

// A reload that cannot be carried out changes nothing: another process has the new port, or a front is this proxy.
func TestReloadRefused(t *testing.T) {
	_, dc := telegram(t, faketg.Faults{})
	base := func() *config.Settings { return settings(dc) }
	h := start(t, base())
	c := dial(t, h.addr, ways[3], 2)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	free := freePort(t)
	for name, change := range map[string]func(*config.Settings){
		"port in use": func(s *config.Settings) {
			s.MaxClients = 1
			s.Listen = append(s.Listen, listen("free", free), listen("taken", taken.Addr().String()))
		},
		"front of our own": func(s *config.Settings) {
			s.MaxClients = 1
			s.Fronts = []config.Front{{Addr: netip.MustParseAddrPort(h.addr)}}
		},
		"no secret": func(s *config.Settings) { s.Secrets = nil },
	} {
		before := h.Limit()
		if _, err := h.Apply(changed(t, base, change)); err == nil {
			t.Errorf("%s: applied", name)
		}
		if h.Limit() != before || len(h.Addrs()) != 1 {
			t.Errorf("%s: something changed: limit %d, ports %v", name, h.Limit(), h.Addrs())
		}
		if c, err := net.Dial("tcp", free); err == nil {
			t.Errorf("%s: a port stayed open", name)
			_ = c.Close()
		}
	}
	mustPing(t, c, 100)
}

// From direct to middle proxies and back: who is connected stays on its way, new clients take the new one.
func TestReloadUpstream(t *testing.T) {
	tg, dc := telegram(t, faketg.Faults{})
	m := middles(t, faketg.MiddleFaults{}, 2)
	dir := t.TempDir()
	linked := func() *config.Settings {
		s := linkSettings(t, m, dc)
		s.StateDir = dir
		return s
	}
	direct := func() *config.Settings {
		s := linked()
		s.Tag, s.Upstream = nil, config.UpstreamDirect
		return s
	}
	h := start(t, direct())
	first := dial(t, h.addr, ways[3], 2)
	mustPing(t, first, 100)
	if _, err := h.Apply(changed(t, linked, func(*config.Settings) {})); err != nil {
		t.Fatal(err)
	}
	h.readyLinks(t, 2, 1)
	second := dial(t, h.addr, ways[3], 2)
	mustPing(t, second, 100)
	mustPing(t, first, 100)
	if n := len(m.Seen().StreamList); n != 1 || tg.Seen().Accepted != 1 {
		t.Errorf("%d streams over links, %d direct", n, tg.Seen().Accepted)
	}
	if _, err := h.Apply(changed(t, direct, func(*config.Settings) {})); err != nil {
		t.Fatal(err)
	}
	third := dial(t, h.addr, ways[3], 2)
	mustPing(t, third, 100)
	mustPing(t, second, 100)
	mustPing(t, first, 100)
	if n := len(m.Seen().StreamList); n != 1 || tg.Seen().Accepted != 2 {
		t.Errorf("%d streams over links, %d direct", n, tg.Seen().Accepted)
	}
}

// Many reloads under many clients: nobody loses a byte or the connection.
func TestReloadMany(t *testing.T) {
	_, dc := telegram(t, faketg.Faults{})
	base := func() *config.Settings { return settings(dc) }
	h := start(t, base())
	var all []*client
	for range 100 {
		all = append(all, dial(t, h.addr, ways[len(all)%len(ways)], 2))
	}
	for i := range 100 {
		if _, err := h.Apply(changed(t, base, func(s *config.Settings) {
			s.MaxClients, s.IdleTimeout = 1000+i, time.Hour+time.Duration(i)*time.Second
			s.Domain = []string{"a.example.com", "b.example.com"}[i%2]
		})); err != nil {
			t.Fatal(err)
		}
		mustPing(t, all[i], 3000)
	}
	for _, c := range all {
		mustPing(t, c, 3000)
	}
	if l := h.snapshot().Sum(); l.ClientsNow != 100 {
		t.Errorf("%d clients are left", l.ClientsNow)
	}
}

// What a reload says is one line per change, and no secret.
func TestReloadSays(t *testing.T) {
	var text bytes.Buffer
	_, dc := telegram(t, faketg.Faults{})
	s := changed(t, func() *config.Settings { return settings(dc) }, func(*config.Settings) {})
	e, err := engine.New(s, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Apply(s); err == nil {
		t.Error("applied before the start")
	}
	if err := e.Start(); err != nil {
		t.Fatal(err)
	}
	done, err := e.Apply(changed(t, func() *config.Settings { return settings(dc) }, func(s *config.Settings) {
		s.MaxClients, s.Loops, s.SNISalt, s.Allow = 77, 5, "pepper", config.AllowOf(codec.TLS)
		s.Secrets = append(s.Secrets, config.NamedSecret{Name: "new", Secret: secret.Secret{Key: codec.Key{7}}})
	}))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range done.Changes {
		text.WriteString(c.String() + "\n")
	}
	for _, want := range []string{"max-clients: 0 becomes 77", "loops: 2 becomes 5 (after a restart)", "sni-salt changed", "secret new added", "allow: classic,secure,tls becomes tls"} {
		if !bytes.Contains(text.Bytes(), []byte(want)) {
			t.Errorf("%q is not told:\n%s", want, text.String())
		}
	}
	if bytes.Contains(text.Bytes(), []byte("pepper")) {
		t.Error("the salt is told")
	}
	e.Stop()
	if _, err := e.Apply(s); err == nil {
		t.Error("applied after the end")
	}
}

// B19, later: a listener that a reload would open where a front is, though the front itself has not changed, is refused.
func TestReloadOntoFront(t *testing.T) {
	_, dc := telegram(t, faketg.Faults{})
	web := netip.MustParseAddrPort(freePort(t))
	base := func() *config.Settings {
		s := settings(dc)
		s.Fronts = []config.Front{{Addr: web}}
		return s
	}
	h := start(t, base())
	_, err := h.Apply(changed(t, base, func(s *config.Settings) {
		s.Listen = append(s.Listen, listen("all", fmt.Sprintf("0.0.0.0:%d", web.Port())))
	}))
	if err == nil || !strings.Contains(err.Error(), "our own listener") {
		t.Errorf("applied, or refused for another reason: %v", err)
	}
	if len(h.Addrs()) != 1 {
		t.Errorf("listening at %v", h.Addrs())
	}
}
