package quota

import (
	"testing"

	"epoxy/codec"
)

// Loops share a rate within 10 % and one read a loop over any half second, whoever of them wants it, with large and
// with small messages; after the burst that was saved up.
func TestRate(t *testing.T) {
	const rate = 1 << 20
	for _, c := range []struct {
		name    string
		clients [2]int // on each loop
		size    int
	}{
		{"one loop", [2]int{3, 0}, 1400}, {"both", [2]int{3, 3}, 1400}, {"uneven", [2]int{9, 1}, 1400},
		{"reads of a whole buffer", [2]int{2, 2}, 32 << 10}, {"small", [2]int{20, 20}, 200}, {"many", [2]int{300, 100}, 1000},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := New()
			l.Configure(options, []Limits{{Name: "a", RateUp: rate, RateDown: 2 * rate}})
			sides := []*side{newSide(l), newSide(l)}
			for i, s := range sides {
				for range c.clients[i] {
					s.admit(t, "a", "192.0.2.1")
				}
			}
			var sum [2][directions]int
			load := func() {
				for i, s := range sides {
					for _, p := range s.apps {
						sum[i][up] += p.send(c.size)
						sum[i][down] += p.receive(c.size)
					}
				}
			}
			pass(2000, load, sides...) // the burst, and its debt
			for range 4 {
				sum = [2][directions]int{}
				pass(500, load, sides...)
				for d, want := range []int{up: rate / 2, down: rate} {
					got := sum[0][d] + sum[1][d]
					if got < want*9/10-2*c.size || got > want*11/10+2*c.size {
						t.Errorf("%d bytes in half a second, want %d", got, want)
					}
				}
			}
			total := sum[0][up] + sum[1][up]
			share := total * c.clients[0] / (c.clients[0] + c.clients[1])
			if got := sum[0][up]; got < share/2 || got > share*2 {
				t.Errorf("the first loop carried %d of %d, its clients are worth %d", got, total, share)
			}
		})
	}
}

// No client starves: whoever rested longest goes first.
func TestRateIsFair(t *testing.T) {
	l := New()
	l.Configure(options, []Limits{{Name: "a", RateDown: 256 << 10}})
	s := newSide(l)
	got := make([]int, 10)
	for range got {
		s.admit(t, "a", "192.0.2.1")
	}
	pass(10_000, func() {
		for i, p := range s.apps {
			got[i] += p.receive(4096)
		}
	}, s)
	for i, n := range got {
		if n < 128<<10 || n > 400<<10 {
			t.Errorf("client %d got %d bytes, not about 256 KiB", i, n)
		}
	}
}

// A client that leaves while it rests is not woken, and its tokens go to the others.
func TestLeaveWhileResting(t *testing.T) {
	l := New()
	l.Configure(options, []Limits{{Name: "a", RateUp: 64 << 10}})
	s := newSide(l)
	p, q := s.admit(t, "a", "192.0.2.1"), s.admit(t, "a", "192.0.2.1")
	for p.send(64<<10) > 0 {
	}
	q.send(1)
	s.leave(p)
	p.up = true
	pass(3000, nil, s)
	if !p.up || q.up {
		t.Errorf("the one that left rests %v, the other %v", p.up, q.up)
	}
	if e := l.get("a"); e.waiting[up] != 0 {
		t.Errorf("%d wait", e.waiting[up])
	}
}

// A quota is passed by no more than the package comment says, over two loops, and everybody is ended.
func TestQuotaOvershoot(t *testing.T) {
	const quota, size, clients = 40 << 20, 32 << 10, 5
	l := New()
	l.Configure(options, []Limits{{Name: "a", Quota: quota}})
	sides := []*side{newSide(l), newSide(l)}
	for range clients {
		sides[0].admit(t, "a", "192.0.2.1")
		sides[1].admit(t, "a", "192.0.2.1")
	}
	total := 0
	pass(5000, func() {
		for _, s := range sides {
			for _, p := range s.apps {
				total += p.send(size) + p.receive(size)
			}
		}
	}, sides...)
	most := quota + 2*2*grain + 2*clients*2*size
	if total < quota || total > most {
		t.Errorf("%d bytes went, the quota is %d and the bound %d", total, quota, most)
	}
	if u := usage(t, l, "a"); u.Clients != 0 || int(u.Up+u.Down) != total {
		t.Errorf("%d clients are left, %d bytes counted of %d", u.Clients, u.Up+u.Down, total)
	}
	for _, s := range sides {
		if len(s.ends) != clients || s.ends[0] != codec.ReasonSecretQuota {
			t.Errorf("ended: %v", s.ends)
		}
	}
}

// A loop without traffic sets no timer.
func TestIdleSleeps(t *testing.T) {
	l := New()
	l.Configure(options, []Limits{{Name: "a", RateUp: 1 << 20, Quota: 1 << 30}})
	s := newSide(l)
	p := s.admit(t, "a", "192.0.2.1")
	p.send(100)
	pass(1000, nil, s)
	if at := s.loop.Tasks[0].TimerAt; at != 0 {
		t.Errorf("a timer is set for %d, now %d", at, s.loop.Clock)
	}
	if u := usage(t, l, "a"); u.Up != 100 {
		t.Errorf("%d bytes counted", u.Up)
	}
	s.leave(p)
	if len(s.till.accounts) != 0 {
		t.Error("the account of nobody stays")
	}
}

// Counting costs no memory.
func TestNoAllocations(t *testing.T) {
	l := New()
	l.Configure(options, []Limits{{Name: "a", RateUp: 1 << 40, Quota: 1 << 60}})
	s := newSide(l)
	p := s.admit(t, "a", "192.0.2.1")
	p.send(1)
	if n := testing.AllocsPerRun(1000, func() {
		p.send(200 << 10)
		pass(1, nil, s)
	}); n != 0 {
		t.Errorf("%.2f allocations", n)
	}
}
