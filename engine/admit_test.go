package engine_test

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"epoxy/codec"
	"epoxy/codec/proxyproto"
	"epoxy/engine/config"
	"epoxy/engine/lists"
	"epoxy/engine/policy"
	"epoxy/engine/stats"
	"epoxy/upstream/faketg"
)

func rule(t *testing.T, text string) policy.Rule {
	t.Helper()
	r, err := policy.ParseRule(text)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// ruled runs a proxy with these rules on its port.
func ruled(t *testing.T, rules ...string) *house {
	t.Helper()
	_, dc := telegram(t, faketg.Faults{})
	s := settings(dc)
	for _, text := range rules {
		s.Policy = append(s.Policy, rule(t, text))
	}
	return start(t, s)
}

// wantRefused connects and wants to be closed, or with a hello to hear nothing, and the reason to be counted once more.
func (h *house) wantRefused(t *testing.T, w way, why codec.Reason) {
	t.Helper()
	before := h.snapshot().Sum().Strangers[why]
	if w.proto == codec.TLS {
		conn, err := net.Dial("tcp", h.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		c := &client{Conn: conn, proto: w.proto, tag: w.tag, buf: make([]byte, 1024)}
		heard := make(chan error, 1)
		go func() { heard <- c.hello(key, uint32(time.Now().Unix())) }()
		h.wait(t, func(l stats.Loop) bool { return l.Strangers[why] == before+1 })
		_ = conn.Close()
		if <-heard == nil {
			t.Fatal("whoever is refused got a ServerHello")
		}
		return
	}
	c, err := open(h.addr, w, 2, key)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if n := wantEnd(t, c); n != 0 {
		t.Fatalf("%d bytes came", n)
	}
	if got := h.snapshot().Sum().Strangers[why]; got != before+1 {
		t.Fatalf("%v is counted %d times, want %d", why, got, before+1)
	}
}

// A12: at most two clients for each port and address. The third is refused, counted, and its place is free when one
// leaves.
func TestPolicyMaxConnections(t *testing.T) {
	const text = "max_connections port,client_ip 2"
	for _, w := range []way{ways[2], ways[3]} {
		h := ruled(t, text)
		like := &policy.Client{Port: "port1", IP: netip.MustParseAddr("127.0.0.1")}
		first := dial(t, h.addr, w, 2)
		mustPing(t, first, 64)
		mustPing(t, dial(t, h.addr, w, 2), 64)
		h.wantRefused(t, w, codec.ReasonPolicy)
		if n := h.Counted(rule(t, text), like); n != 2 {
			t.Errorf("the counter is %d, not 2", n)
		}
		_ = first.Close()
		eventually(t, func() bool { return h.Counted(rule(t, text), like) == 1 }, func() string { return "the place is not given back" })
		mustPing(t, dial(t, h.addr, w, 2), 64)
		if n := h.snapshot().Sum().Strangers[codec.ReasonPolicy]; n != 1 {
			t.Errorf("%d refusals, want 1", n)
		}
		h.Stop()
		if n := h.Counters(); n != 0 {
			t.Errorf("%d counters are left", n)
		}
	}
}

// A13 B03: only clients whose SNI is in a table come in; a client without one, as with dd, does not.
func TestPolicyTable(t *testing.T) {
	h := ruled(t, "in_table tls_domain sites")
	site, err := policy.ParseKey(policy.TLSDomain, "Example.COM")
	if err != nil {
		t.Fatal(err)
	}
	h.wantRefused(t, ways[3], codec.ReasonPolicy)
	if _, err := h.Tables().Add("sites", site); err != nil {
		t.Fatal(err)
	}
	mustPing(t, dial(t, h.addr, ways[3], 2), 64)
	h.wantRefused(t, ways[2], codec.ReasonPolicy)
	h.wantRefused(t, ways[0], codec.ReasonPolicy)
}

// B01: an IPv4 client of a port for IPv4 and IPv6 together meets rules about IPv4.
func TestPolicyDualStack(t *testing.T) {
	_, dc := telegram(t, faketg.Faults{})
	s := settings(dc)
	s.Listen = []config.Listen{listen("port1", ":0")}
	s.Policy = []policy.Rule{rule(t, "not_in_table client_ip bad"), rule(t, "not_in_table client_subnet/24 worse")}
	h := start(t, s)
	_, port, err := net.SplitHostPort(h.addr)
	if err != nil {
		t.Fatal(err)
	}
	h.addr = net.JoinHostPort("127.0.0.1", port)
	mustPing(t, dial(t, h.addr, ways[2], 2), 64)
	for table, text := range map[string]string{"bad": "client_ip 127.0.0.1", "worse": "client_subnet 127.0.0.0/24"} {
		if _, err := h.Tables().Import(table, text); err != nil {
			t.Fatal(err)
		}
		h.wantRefused(t, ways[2], codec.ReasonPolicy)
		h.Tables().Drop(table)
	}
	mustPing(t, dial(t, h.addr, ways[2], 2), 64)
}

// B02: of two rules the second refuses; what the first one counted is given back.
func TestPolicyGivesBack(t *testing.T) {
	const first, second = "max_connections client_ip 5", "max_connections secret 1"
	h := ruled(t, first, second)
	mustPing(t, dial(t, h.addr, ways[2], 2), 64)
	for range 6 {
		h.wantRefused(t, ways[2], codec.ReasonPolicy)
	}
	like := &policy.Client{IP: netip.MustParseAddr("127.0.0.1"), Secret: "a"}
	if n := h.Counted(rule(t, first), like); n != 1 {
		t.Errorf("the first rule counts %d, not 1", n)
	}
}

// What the ledger refuses is given back by the rules, too.
func TestLedgerGivesBack(t *testing.T) {
	_, dc := telegram(t, faketg.Faults{})
	s := settings(dc)
	s.Policy = []policy.Rule{rule(t, "max_connections client_ip 5")}
	s.Secrets[0].MaxClients = 1
	h := start(t, s)
	mustPing(t, dial(t, h.addr, ways[2], 2), 64)
	h.wantRefused(t, ways[2], codec.ReasonSecretClients)
	h.wantRefused(t, ways[3], codec.ReasonSecretClients)
	if n := h.Counted(s.Policy[0], &policy.Client{IP: netip.MustParseAddr("127.0.0.1")}); n != 1 {
		t.Errorf("the rule counts %d, not 1", n)
	}
}

// A port's own limit is exact over the loops; whoever is refused there never has a session.
func TestPortMaxClients(t *testing.T) {
	_, dc := telegram(t, faketg.Faults{})
	s := settings(dc)
	s.Listen[0].PortMax = 3
	h := start(t, s)
	var in []*client
	for range 8 {
		if c, err := open(h.addr, ways[2], 2, key); err == nil {
			t.Cleanup(func() { _ = c.Close() })
			if c.ping(64) == nil {
				in = append(in, c)
			}
		}
	}
	snap := h.snapshot()
	if n := snap.Sum().Refused[codec.ReasonPortClients]; len(in) != 3 || n != 5 || h.Clients() != 3 {
		t.Errorf("%d served, %d refused, %d counted; want 3, 5, 3", len(in), n, h.Clients())
	}
	if len(snap.Ports) != 1 || snap.Ports[0] != (stats.Port{Name: "port1", Clients: 3, Limit: 3}) {
		t.Errorf("ports: %v", snap.Ports)
	}
	_ = in[0].Close()
	h.wait(t, func(l stats.Loop) bool { return l.ClientsNow == 2 })
	mustPing(t, dial(t, h.addr, ways[2], 2), 64)
}

// Connections that come faster than the rate of their network are closed at accept.
func TestAcceptRate(t *testing.T) {
	_, dc := telegram(t, faketg.Faults{})
	s := settings(dc)
	s.AcceptRateNetwork = 1
	h := start(t, s)
	good := 0
	for range 50 {
		if c, err := open(h.addr, ways[2], 2, key); err == nil {
			if c.ping(64) == nil {
				good++
			}
			_ = c.Close()
		}
	}
	l := h.snapshot().Sum()
	if good == 0 || l.Refused[codec.ReasonAcceptRate] == 0 || uint64(good)+l.Refused[codec.ReasonAcceptRate] != 50 {
		t.Errorf("%d served, %d refused of 50", good, l.Refused[codec.ReasonAcceptRate])
	}
}

// Whom a block list drops is closed at accept, or behind a balancer when its address is known; whom it sends to
// the front never gets a ServerHello of ours.
func TestLists(t *testing.T) {
	file := filepath.Join(t.TempDir(), "bad.netset")
	if err := os.WriteFile(file, []byte("127.0.0.0/8\n192.0.2.0/24\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	block := func(mode lists.Mode) *lists.Set {
		set, err := lists.New(lists.Options{Lists: []lists.Spec{{Name: "bad", Mode: mode, Source: file}}, Log: quiet()})
		if err != nil {
			t.Fatal(err)
		}
		return set
	}
	_, dc := telegram(t, faketg.Faults{})
	s := settings(dc)
	h := start(t, s)
	mustPing(t, dial(t, h.addr, ways[3], 2), 64)
	h.UseLists(block(lists.BlockFront))
	h.wantRefused(t, ways[3], codec.ReasonBlocked)
	h.wantRefused(t, ways[2], codec.ReasonBlocked)
	h.UseLists(block(lists.BlockDrop))
	c, err := net.Dial("tcp", h.addr)
	if err != nil {
		t.Fatal(err)
	}
	_ = wantEnd(t, c)
	_ = c.Close()
	if n := h.snapshot().Sum().Refused[codec.ReasonBlocked]; n != 1 {
		t.Errorf("%d refused at accept, want 1", n)
	}

	s = settings(dc)
	s.ProxyFrom = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	h = start(t, s)
	h.UseLists(block(lists.BlockDrop))
	for _, a := range []struct {
		src  string
		want uint64 // blocked so far
	}{{"198.51.100.1:1", 0}, {"192.0.2.1:1", 1}} {
		c, err := net.Dial("tcp", h.addr)
		if err != nil {
			t.Fatal(err)
		}
		head := proxyproto.AppendV2(nil, netip.MustParseAddrPort(a.src), netip.MustParseAddrPort("127.0.0.1:443"))
		if _, err := c.Write(head); err != nil {
			t.Fatal(err)
		}
		if a.want > 0 {
			_ = wantEnd(t, c)
		}
		h.wait(t, func(l stats.Loop) bool { return l.Closed[codec.ReasonBlocked] == a.want })
		_ = c.Close()
	}
}
