package quota

import (
	"net/netip"
	"testing"
	"time"

	"epoxy/codec"
	"epoxy/upstream/upstreamtest"
)

const testUnix = 1_795_000_000 // 2026-11-18

func addr(text string) netip.Addr { return netip.MustParseAddr(text) }

var options = Options{AddressWindow: time.Minute, Drain: 10 * time.Second}

// app is a client that sends and receives as much as it may.
type app struct {
	account  *Account
	from     netip.Addr // what Admit counted
	place    string     // where it came from, of the model
	up, down bool       // rests
	gone     bool
}

func (p *app) WakeUp()   { p.up = false }
func (p *app) WakeDown() { p.down = false }

func (p *app) send(n int) int {
	if p.up || p.gone {
		return 0
	}
	p.account.Up.Bytes += uint64(n)
	p.up = p.account.Up.Bytes > p.account.Up.Stop && p.account.SpentUp(p)
	return n
}

func (p *app) receive(n int) int {
	if p.down || p.gone {
		return 0
	}
	p.account.Down.Bytes += uint64(n)
	p.down = p.account.Down.Bytes > p.account.Down.Stop && p.account.SpentDown(p)
	return n
}

// side is one loop with its Till and clients.
type side struct {
	loop *upstreamtest.Loop
	till *Till
	apps []*app
	ends []codec.Reason
}

func newSide(l *Ledger) *side {
	s := &side{loop: upstreamtest.NewLoop(testUnix)}
	s.till = NewTill(l, s.loop, func() {
		for _, p := range s.apps {
			if why := p.account.Ended(); why != codec.ReasonNone && !p.gone {
				s.ends = append(s.ends, why)
				s.leave(p)
			}
		}
	})
	return s
}

func (s *side) leave(p *app) {
	p.gone = true
	p.account.Leave(p.from, p)
}

// admit lets one in or fails the test.
func (s *side) admit(t testing.TB, name, from string) *app {
	t.Helper()
	a, counted, why := s.till.Admit(name, addr(from))
	if why != codec.ReasonNone {
		t.Fatalf("%s from %s is refused: %v", name, from, why)
	}
	p := &app{account: a, from: counted}
	s.apps = append(s.apps, p)
	return p
}

func (s *side) wantRefused(t testing.TB, name, from string, want codec.Reason) {
	t.Helper()
	if _, _, why := s.till.Admit(name, addr(from)); why != want {
		t.Fatalf("%s from %s gets %v, want %v", name, from, why, want)
	}
}

// pass lets ms go by on all sides, calling each after every one.
func pass(ms int, each func(), sides ...*side) {
	for range ms {
		for _, s := range sides {
			s.loop.Clock++
			task := s.loop.Tasks[0]
			if task.TimerAt != 0 && task.TimerAt <= s.loop.Clock {
				task.Fire(s.loop)
			}
			task.Turn()
		}
		if each != nil {
			each()
		}
	}
}

func usage(t testing.TB, l *Ledger, name string) Usage {
	t.Helper()
	for _, u := range l.Usage(testUnix) {
		if u.Name == name {
			return u
		}
	}
	t.Fatalf("no usage of %s", name)
	return Usage{}
}
