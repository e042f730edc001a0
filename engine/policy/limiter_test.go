package policy

import (
	"fmt"
	"net/netip"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

func client(ip string) *Client {
	return &Client{Port: "main", IP: netip.MustParseAddr(ip), Domain: "example.org", Secret: "bob"}
}

// admit fails the test unless the answer is as wanted.
func admit(t testing.TB, l *Limiter, rules *Rules, c *Client, want bool) Ticket {
	t.Helper()
	tick, refusal := l.Admit(rules, c)
	if (refusal == nil) != want {
		t.Fatalf("%+v: refused by %+v, want admitted: %v", c, refusal, want)
	}
	if refusal != nil && tick != (Ticket{}) {
		t.Fatal("refused with a ticket")
	}
	return tick
}

// A12: two connections for each port and address, a third is refused, and after one ended another works.
func TestMaxConnections(t *testing.T) {
	l := NewLimiter(NewTables(0))
	rules := compile(t, "max_connections port,client_ip 2")
	c := client("192.0.2.1")
	first := admit(t, l, rules, c, true)
	admit(t, l, rules, client("::ffff:192.0.2.1"), true) // B01: the same client on a dual-stack listener
	admit(t, l, rules, c, false)
	other := *c
	other.Port = "second"
	admit(t, l, rules, &other, true)
	admit(t, l, rules, client("192.0.2.2"), true)
	if n := l.Count(rules.All()[0].Rule, c); n != 2 {
		t.Errorf("counter %d, want 2", n)
	}
	first.Release()
	if n := l.Count(rules.All()[0].Rule, c); n != 1 {
		t.Errorf("counter %d, want 1", n)
	}
	admit(t, l, rules, c, true)
	_, refusal := l.Admit(rules, c)
	if refusal == nil || refusal.Index != 0 || refusal.Text != "max_connections client_ip,port 2" {
		t.Errorf("refusal %+v", refusal)
	}
}

// A13: in_table admits who is listed and refuses the others, while the table changes.
// B03: it refuses a client without a domain, which not_in_table admits.
func TestTables(t *testing.T) {
	tables := NewTables(0)
	l := NewLimiter(tables)
	in, out := compile(t, "in_table tls_domain customers"), compile(t, "not_in_table tls_domain customers")
	listed, dd := client("192.0.2.1"), client("192.0.2.1")
	listed.Domain, dd.Domain = "Listed.Example.", ""
	admit(t, l, in, listed, false)
	admit(t, l, out, listed, true)
	if n, err := tables.Import("customers", "tls_domain listed.example\nport example.org"); n != 2 || err != nil {
		t.Fatal(n, err)
	}
	admit(t, l, in, listed, true)
	admit(t, l, out, listed, false)
	admit(t, l, in, client("192.0.2.1"), false) // example.org is a port in this table
	admit(t, l, in, dd, false)
	admit(t, l, out, dd, true)
	tables.Drop("customers")
	admit(t, l, in, listed, false)
	// B01 and B04: a table's network is found by rules with its length only, an address by client_ip.
	tables.Import("blocked", "client_subnet 10.0.0.0/8\nclient_ip 192.0.2.9")
	admit(t, l, compile(t, "not_in_table client_subnet/8 blocked"), client("::ffff:10.1.2.3"), false)
	admit(t, l, compile(t, "not_in_table client_subnet/9 blocked"), client("10.0.0.0"), true)
	admit(t, l, compile(t, "not_in_table client_ip blocked"), client("10.0.0.0"), true)
	admit(t, l, compile(t, "not_in_table client_ip blocked"), client("::ffff:192.0.2.9"), false)
	unix := &Client{Port: "main"}
	for _, key := range []string{"client_ip", "client_subnet/8", "secret"} {
		admit(t, l, compile(t, "not_in_table "+key+" blocked"), unix, true)
		admit(t, l, compile(t, "in_table "+key+" blocked"), unix, false)
	}
}

// B02: when the second rule refuses, the first one's counter is as before; what was taken is given back
// once.
func TestGiveBack(t *testing.T) {
	tables := NewTables(0)
	l := NewLimiter(tables)
	rules := compile(t, "max_connections port 2", "max_connections secret 1", "not_in_table client_ip blocked")
	c := client("192.0.2.1")
	one := admit(t, l, rules, c, true)
	for range 5 {
		admit(t, l, rules, c, false)
	}
	if n := l.Count(rules.All()[0].Rule, c); n != 1 {
		t.Errorf("counter of the first rule %d, want 1", n)
	}
	bob := *c
	bob.Secret = "alice"
	two := admit(t, l, rules, &bob, true)
	for range 3 {
		one.Release() // more than once
	}
	if n := l.Count(rules.All()[0].Rule, c); n != 1 {
		t.Errorf("counter of the first rule %d, want 1", n)
	}
	// After a reload the counters go on under rules with the same keys, and old tickets still give back.
	wider := compile(t, "max_connections port 1")
	admit(t, l, wider, c, false)
	two.Release()
	three := admit(t, l, wider, c, true)
	three.Release()
	Ticket{}.Release()
	if l.Len() != 0 {
		t.Errorf("%d counters are left", l.Len())
	}
}

// TestCombos: which clients share a counter.
func TestCombos(t *testing.T) {
	a, b := client("2001:db8:0:1::1"), client("2001:db8:0:2::1")
	far := client("2001:db9::1")
	four, near := client("192.0.2.1"), client("192.0.2.77")
	none, nobody := &Client{Port: "main"}, &Client{Port: "main"}
	for _, c := range []struct {
		rule string
		x, y *Client
		same bool
	}{
		{"client_subnet/24/48", a, b, true}, {"client_subnet/24/64", a, b, false}, {"client_subnet/24/48", a, far, false},
		{"client_subnet/24", four, near, true}, {"client_subnet/26", four, near, false}, {"client_ip", four, near, false},
		{"client_ip,client_subnet/24", four, near, false}, {"secret", a, four, true}, {"client_ip", none, client("::"), false},
		{"tls_domain,client_ip", none, nobody, true}, {"tls_domain", none, a, false},
	} {
		l := NewLimiter(NewTables(0))
		rules := compile(t, "max_connections "+c.rule+" 1")
		admit(t, l, rules, c.x, true)
		admit(t, l, rules, c.y, !c.same)
	}
}

var modelRules = []string{
	"max_connections port,client_ip 2", "max_connections client_subnet/24 3", "max_connections secret 4",
	"max_connections tls_domain 3", "max_connections port 5", "in_table tls_domain good", "not_in_table client_ip bad",
	"max_connections client_ip,client_subnet/8 2", "max_connections tls_domain,secret 0",
}

// TestModel compares Admit and Release with lists of the living: a rule's counter is the number of living
// clients that were admitted under a rule with its keys and have the same values.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tables := NewTables(0)
		_, _ = tables.Import("good", "tls_domain a.org\ntls_domain b.org")
		_, _ = tables.Import("bad", "client_ip 10.0.0.3")
		l := NewLimiter(tables)
		type alive struct {
			c     Client
			rules []Rule
			t     Ticket
		}
		var living []alive
		values := func(r *Rule, c *Client) string {
			s := ""
			for _, k := range r.specs() {
				v, ok := c.key(k)
				s += fmt.Sprint(v, ok, ";")
			}
			return s
		}
		draw := rapid.SliceOfNDistinct(rapid.IntRange(0, len(modelRules)-2), 0, 5, rapid.ID[int])
		var set *Rules
		var rules []Rule
		t.Repeat(map[string]func(*rapid.T){
			"reload": func(t *rapid.T) {
				rules = nil
				for _, i := range draw.Draw(t, "rules") {
					r, _ := ParseRule(modelRules[i])
					rules = append(rules, r)
				}
				set, _ = Compile(rules...)
			},
			"admit": func(t *rapid.T) {
				c := Client{
					Port:   rapid.SampledFrom([]string{"p", "q"}).Draw(t, "port"),
					IP:     netip.AddrFrom4([4]byte{10, 0, byte(rapid.IntRange(0, 1).Draw(t, "net")), byte(rapid.IntRange(1, 4).Draw(t, "ip"))}),
					Domain: rapid.SampledFrom([]string{"", "a.org", "B.org", "c.org"}).Draw(t, "domain"),
					Secret: rapid.SampledFrom([]string{"s", "p"}).Draw(t, "secret"),
				}
				if rapid.Bool().Draw(t, "mapped") {
					c.IP = netip.AddrFrom16(c.IP.As16())
				}
				want := true
				for i := range rules {
					r := &rules[i]
					if r.verb != MaxConnections {
						k, ok := c.key(r.keys[0])
						want = want && (ok && tables.Has(r.table, k)) == (r.verb == InTable)
						continue
					}
					n := 0
					for _, a := range living {
						for _, under := range a.rules {
							if under.keys == r.keys && under.verb == r.verb && values(r, &a.c) == values(r, &c) {
								n++
							}
						}
					}
					want = want && n < int(r.max)
				}
				tick, refusal := l.Admit(set, &c)
				if (refusal == nil) != want {
					t.Fatalf("%+v: refused by %+v, the model says %v", c, refusal, want)
				}
				if want {
					living = append(living, alive{c, rules, tick})
				}
			},
			"release": func(t *rapid.T) {
				if len(living) == 0 {
					t.Skip()
				}
				i := rapid.IntRange(0, len(living)-1).Draw(t, "which")
				living[i].t.Release()
				living = append(living[:i:i], living[i+1:]...)
			},
		})
		for _, a := range living {
			a.t.Release()
		}
		if l.Len() != 0 {
			t.Fatalf("%d counters are left", l.Len())
		}
	})
}

// TestManyLoops admits and releases from many goroutines: no limit is ever passed, and all comes back.
func TestManyLoops(t *testing.T) {
	l := NewLimiter(NewTables(0))
	rules := compile(t, "max_connections port 20", "max_connections client_ip 3", "max_connections secret,client_subnet/30 7")
	var mu sync.Mutex
	living := map[netip.Addr]int{}
	all := 0
	count := func(a netip.Addr, n int) {
		mu.Lock()
		defer mu.Unlock()
		living[a] += n
		if all += n; all > 20 || living[a] > 3 {
			t.Errorf("%d living, %d of %v", all, living[a], a)
		}
	}
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			type one struct {
				a netip.Addr
				t Ticket
			}
			var mine []one
			for i := range 3000 {
				c := client(fmt.Sprintf("192.0.2.%d", (i*7+g)%12))
				if tick, refusal := l.Admit(rules, c); refusal == nil {
					count(c.IP, 1)
					mine = append(mine, one{c.IP, tick})
				}
				if len(mine) > 0 && (i%3 == 0 || len(mine) > 4) {
					count(mine[0].a, -1)
					mine[0].t.Release()
					mine = mine[1:]
				}
			}
			for _, m := range mine {
				count(m.a, -1)
				m.t.Release()
			}
		})
	}
	wg.Wait()
	if l.Len() != 0 {
		t.Errorf("%d counters are left", l.Len())
	}
}

// TestRoom: an empty map that was large gives its room back.
func TestRoom(t *testing.T) {
	l := NewLimiter(NewTables(0))
	rules := compile(t, "max_connections client_ip 1")
	var held []Ticket
	for i := range shards * roomy * 3 / 2 {
		c := Client{IP: netip.AddrFrom4([4]byte{byte(i >> 24), byte(i >> 16), byte(i >> 8), byte(i)})}
		tick, _ := l.Admit(rules, &c)
		held = append(held, tick)
	}
	for _, tick := range held {
		tick.Release()
	}
	for i := range l.shards {
		if s := &l.shards[i]; s.most > roomy || len(s.counters) != 0 {
			t.Errorf("shard %d: %d counters, once %d", i, len(s.counters), s.most)
		}
	}
}

// TestRefusalAllocs: who is refused costs no allocation.
func TestRefusalAllocs(t *testing.T) {
	tables := NewTables(0)
	l := NewLimiter(tables)
	rules := compile(t, "not_in_table client_ip blocked", "max_connections client_ip 0", "max_connections port 1", "max_connections secret 1")
	c := client("192.0.2.1")
	for range 2 {
		if n := testing.AllocsPerRun(100, func() { l.Admit(rules, c) }); n != 0 {
			t.Errorf("%v allocations", n)
		}
		tables.Import("blocked", "client_ip 192.0.2.1")
	}
}

func BenchmarkAdmitRelease(b *testing.B) {
	tables := NewTables(0)
	tables.Import("blocked", "client_ip 192.0.2.9")
	l := NewLimiter(tables)
	rules := compile(b, "not_in_table client_ip blocked", "max_connections port,client_ip 100", "max_connections secret 1000000")
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		c := client("192.0.2.1")
		for pb.Next() {
			tick, _ := l.Admit(rules, c)
			tick.Release()
		}
	})
}
