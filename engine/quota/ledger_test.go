package quota

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"epoxy/codec"
)

func TestClients(t *testing.T) {
	l := New()
	l.Configure(options, []Limits{{Name: "a", MaxClients: 2}, {Name: "b"}})
	one, two := newSide(l), newSide(l)
	first := one.admit(t, "a", "192.0.2.1")
	two.admit(t, "a", "192.0.2.2")
	one.wantRefused(t, "a", "192.0.2.3", codec.ReasonSecretClients)
	two.wantRefused(t, "a", "192.0.2.3", codec.ReasonSecretClients)
	two.admit(t, "b", "192.0.2.3")
	one.leave(first)
	two.admit(t, "a", "192.0.2.3")
	if u := usage(t, l, "a"); u.Clients != 2 || u.Admitted != 3 || u.Refused[codec.ReasonSecretClients] != 2 {
		t.Errorf("%d clients, %d refused; want 2 and 2", u.Clients, u.Refused[codec.ReasonSecretClients])
	}
	one.wantRefused(t, "c", "192.0.2.3", codec.ReasonSecretRemoved)
}

// An IPv6 /64 is one address; an address stays counted for its window; an IPv4-mapped one is the IPv4 one.
func TestAddresses(t *testing.T) {
	l := New()
	l.Configure(options, []Limits{{Name: "a", MaxAddresses: 2}})
	s := newSide(l)
	p := s.admit(t, "a", "2001:db8::1")
	q := s.admit(t, "a", "2001:db8::ffff:2")
	s.admit(t, "a", "192.0.2.1")
	s.admit(t, "a", "::ffff:192.0.2.1")
	s.wantRefused(t, "a", "192.0.2.2", codec.ReasonSecretAddresses)
	s.leave(p)
	s.leave(q)
	s.loop.Clock += 59_999
	s.wantRefused(t, "a", "192.0.2.2", codec.ReasonSecretAddresses)
	s.admit(t, "a", "2001:db8::3") // still its own
	s.leave(s.apps[len(s.apps)-1])
	s.loop.Clock += 59_999
	s.wantRefused(t, "a", "192.0.2.2", codec.ReasonSecretAddresses)
	s.loop.Clock++
	s.admit(t, "a", "192.0.2.2")
	s.wantRefused(t, "a", "2001:db8::1", codec.ReasonSecretAddresses)
	if u := usage(t, l, "a"); u.Addresses != 2 || u.Clients != 3 {
		t.Errorf("%d addresses of %d clients; want 2 of 3", u.Addresses, u.Clients)
	}
}

// model is what a Ledger does, said plainly.
type model struct {
	max, most int
	live      map[string]int
	until     map[string]int64
}

func (m *model) clients() (n int) {
	for _, c := range m.live {
		n += c
	}
	return n
}

func (m *model) admit(from string, now int64) codec.Reason {
	if m.max > 0 && m.clients() >= m.max {
		return codec.ReasonSecretClients
	}
	here := map[string]bool{}
	for a, n := range m.live {
		if n > 0 {
			here[a] = true
		}
	}
	for a, at := range m.until {
		if at > now {
			here[a] = true
		}
	}
	if m.most > 0 && !here[from] && len(here) >= m.most {
		return codec.ReasonSecretAddresses
	}
	m.live[from]++
	return codec.ReasonNone
}

// Clients come and go over two loops as the model says.
func TestLedgerIsTheModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := model{max: rapid.IntRange(0, 4).Draw(t, "max"), most: rapid.IntRange(0, 3).Draw(t, "most"), live: map[string]int{}, until: map[string]int64{}}
		l := New()
		l.Configure(options, []Limits{{Name: "a", MaxClients: m.max, MaxAddresses: m.most}})
		sides := []*side{newSide(l), newSide(l)}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			s := sides[rapid.IntRange(0, 1).Draw(t, "loop")]
			switch rapid.IntRange(0, 2).Draw(t, "what") {
			case 0:
				from := fmt.Sprintf("192.0.2.%d", rapid.IntRange(1, 5).Draw(t, "from"))
				want := m.admit(from, s.loop.Clock)
				a, counted, why := s.till.Admit("a", addr(from))
				if why != want {
					t.Fatalf("from %s: %v, want %v", from, why, want)
				}
				if why == codec.ReasonNone {
					s.apps = append(s.apps, &app{account: a, from: counted, place: from})
				}
			case 1:
				if len(s.apps) == 0 {
					continue
				}
				i := rapid.IntRange(0, len(s.apps)-1).Draw(t, "who")
				p := s.apps[i]
				s.apps = append(s.apps[:i], s.apps[i+1:]...)
				s.leave(p)
				if m.live[p.place]--; m.live[p.place] == 0 {
					m.until[p.place] = s.loop.Clock + 60_000
				}
			case 2:
				ms := int64(rapid.IntRange(0, 70_000).Draw(t, "ms"))
				sides[0].loop.Clock += ms
				sides[1].loop.Clock += ms
			}
		}
		if u := l.Usage(testUnix)[0]; u.Clients != m.clients() {
			t.Fatalf("%d clients, want %d", u.Clients, m.clients())
		}
	})
}

// Many loops at once never let in more than they may, and no byte is lost or counted twice. For the race detector.
func TestLoopsAtOnce(t *testing.T) {
	const loops, most, places, rounds = 4, 7, 3, 2000
	l := New()
	l.Configure(options, []Limits{{Name: "a", MaxClients: most, MaxAddresses: places}, {Name: "b", RateUp: 1 << 20}})
	var live atomic.Int64
	var sent [2]atomic.Uint64
	var all sync.WaitGroup
	for seed := range uint64(loops) {
		all.Go(func() {
			random := rand.New(rand.NewPCG(1, seed))
			s := newSide(l)
			for range rounds {
				pass(1, nil, s)
				from := fmt.Sprintf("192.0.2.%d", random.IntN(places)) // no more than may be
				name := []string{"a", "b"}[random.IntN(2)]
				if a, counted, why := s.till.Admit(name, addr(from)); why == codec.ReasonNone {
					if name == "a" && live.Add(1) > most {
						t.Errorf("more than %d clients", most)
					}
					s.apps = append(s.apps, &app{account: a, from: counted})
				}
				for _, p := range s.apps {
					n := p.send(random.IntN(5000))
					sent[p.account.entry.name[0]-'a'].Add(uint64(n))
				}
				if i := random.IntN(8); i < len(s.apps) {
					if s.apps[i].account.entry.name == "a" {
						live.Add(-1)
					}
					s.leave(s.apps[i])
					s.apps = append(s.apps[:i], s.apps[i+1:]...)
				}
				if random.IntN(100) == 0 {
					_ = l.Usage(testUnix)
					l.Look(testUnix)
				}
			}
			for _, p := range s.apps {
				if p.account.entry.name == "a" {
					live.Add(-1)
				}
				s.leave(p)
			}
			s.till.Close()
		})
	}
	all.Wait()
	for i, name := range []string{"a", "b"} {
		if u := usage(t, l, name); u.Clients != 0 || u.AllUp != sent[i].Load() || u.Up != u.AllUp || u.Down != 0 {
			t.Errorf("%s: %d clients left, %d and %d bytes, want 0 and %d", name, u.Clients, u.Up, u.AllUp, sent[i].Load())
		}
		if e := l.get(name); e.waiting != [directions]int{} {
			t.Errorf("%s: %v clients still rest", name, e.waiting)
		}
	}
}

// Clients of a secret that is switched off, over or removed go on for the drain time, and stay when it comes back.
func TestDrain(t *testing.T) {
	for _, c := range []struct {
		name string
		to   []Limits
		unix int64
		why  codec.Reason
	}{
		{"disabled", []Limits{{Name: "a", Disabled: true}}, 0, codec.ReasonSecretDisabled},
		{"expired", []Limits{{Name: "a", Expires: testUnix + 1}}, 1, codec.ReasonSecretExpired},
		{"removed", []Limits{{Name: "b"}}, 0, codec.ReasonSecretRemoved},
		{"another key", []Limits{{Name: "a", Key: codec.Key{1}}}, 0, codec.ReasonSecretRemoved},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := New()
			l.Configure(options, []Limits{{Name: "a"}})
			s := newSide(l)
			p := s.admit(t, "a", "192.0.2.1")
			l.Configure(options, c.to)
			s.loop.Wall += c.unix
			l.Look(s.loop.Wall)
			s.till.Review()
			if c.name != "another key" {
				s.wantRefused(t, "a", "192.0.2.1", c.why)
			}
			pass(9_999, func() { p.send(100) }, s)
			if p.gone {
				t.Fatal("gone before its time")
			}
			pass(2, nil, s)
			if !p.gone || len(s.ends) != 1 || s.ends[0] != c.why {
				t.Fatalf("gone %v, by %v", p.gone, s.ends)
			}
			if p.send(1) != 0 || (c.name == "disabled" && usage(t, l, "a").Clients != 0) {
				t.Error("it is still counted")
			}
		})
	}
	l := New()
	l.Configure(options, []Limits{{Name: "a"}})
	s := newSide(l)
	p := s.admit(t, "a", "192.0.2.1")
	l.Configure(options, []Limits{{Name: "a", Disabled: true}})
	s.till.Review()
	pass(5_000, nil, s)
	l.Configure(options, []Limits{{Name: "a"}})
	s.till.Review()
	pass(20_000, nil, s)
	if p.gone {
		t.Error("ended, though its secret came back")
	}
}

// Settings that change keep what was used and who is there.
func TestConfigureKeepsUsage(t *testing.T) {
	l := New()
	l.Configure(options, []Limits{{Name: "a"}})
	s := newSide(l)
	p := s.admit(t, "a", "192.0.2.1")
	p.send(1000)
	pass(1000, nil, s)
	l.Configure(options, []Limits{{Name: "b"}, {Name: "a", MaxClients: 1, Quota: 5000}})
	s.till.Review()
	s.wantRefused(t, "a", "192.0.2.2", codec.ReasonSecretClients)
	if u := usage(t, l, "a"); u.Clients != 1 || u.Up != 1000 || u.Quota != 5000 {
		t.Errorf("%d clients, %d bytes of %d", u.Clients, u.Up, u.Quota)
	}
	if all := l.Usage(testUnix); len(all) != 2 || all[0].Name != "b" {
		t.Errorf("usage of %d secrets, %s first", len(all), all[0].Name)
	}
	l.Configure(options, []Limits{{Name: "a", Key: codec.Key{9}, Quota: 5000}})
	if u := usage(t, l, "a"); u.Up != 1000 || u.Clients != 0 {
		t.Errorf("with another key: %d bytes, %d clients", u.Up, u.Clients)
	}
}

// A month's quota begins anew with the next one, and with Reset.
func TestMonth(t *testing.T) {
	l := New()
	l.Configure(options, []Limits{{Name: "a", Quota: 100, Monthly: true}})
	s := newSide(l)
	s.loop.Wall = time.Date(2026, 11, 30, 23, 59, 58, 0, time.UTC).Unix()
	use := func() {
		t.Helper()
		p := s.admit(t, "a", "192.0.2.1")
		p.send(100)
		pass(1000, nil, s)
		if !p.gone {
			t.Fatal("a client goes on without a quota")
		}
		s.wantRefused(t, "a", "192.0.2.1", codec.ReasonSecretQuota)
	}
	use()
	if !l.Reset("a") || l.Reset("b") {
		t.Error("Reset knows another secret")
	}
	use()
	if !l.Look(s.loop.Wall) {
		t.Error("Look saw no quota spent")
	}
	s.loop.Wall += 2
	if !l.Look(s.loop.Wall) || l.Look(s.loop.Wall) {
		t.Error("Look did not see the month, or saw it twice")
	}
	use()
	if u := l.Usage(s.loop.Wall)[0]; u.Up != 100 || u.AllUp != 300 || u.Enabled || u.Why != codec.ReasonSecretQuota {
		t.Errorf("%+v", u)
	}
}
