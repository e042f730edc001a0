package timer_test

import (
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"epoxy/engine/timer"
)

// late is how much later than asked a timer may fire when the wheel is advanced without pause.
func late(at, now int64) int64 {
	if at-now > timer.Horizon {
		return timer.FarTick + timer.Tick
	}
	return timer.Tick
}

// The wheel against a map of times: nothing fires early, twice or after Cancel, nothing is forgotten,
// Next is never behind the first timer, and lateness keeps its bound.
func TestAgainstModel(t *testing.T) {
	type entry struct{ at, bound int64 }
	rapid.Check(t, func(t *rapid.T) {
		const timers = 24
		w := timer.New(timers / 2)
		w.Grow(timers)
		w.Grow(3)
		now := rapid.Int64Range(1, 1<<41).Draw(t, "start")
		w.Clock(now)
		model := map[uint32]entry{}
		number := rapid.Uint32Range(0, timers-1)
		ahead := rapid.OneOf(rapid.Int64Range(-100, 100), rapid.Int64Range(7000, 10_000), rapid.Int64Range(0, 3_000_000))
		set := func(i uint32, at int64) {
			w.Set(i, at)
			model[i] = entry{at, max(at, now) + late(at, now)}
			if got := w.At(i); got < at || got > max(at, now)+late(at, now) {
				t.Fatalf("At %d for %d at %d", got, at, now)
			}
		}
		advance := func(to int64) {
			now = to
			w.Advance(now, func(i uint32) {
				e, ok := model[i]
				if !ok || e.at > now {
					t.Fatalf("timer %d fired at %d: %+v %v", i, now, e, ok)
				}
				if w.At(i) != 0 {
					t.Fatal("a firing timer is set")
				}
				delete(model, i)
				switch rapid.IntRange(0, 4).Draw(t, "in fire") {
				case 0:
					set(i, now+ahead.Draw(t, "ahead"))
				case 1:
					set(number.Draw(t, "other"), now+ahead.Draw(t, "ahead"))
				case 2:
					other := number.Draw(t, "other")
					w.Cancel(other)
					delete(model, other)
				}
			})
			for i, e := range model {
				if e.bound < now {
					t.Fatalf("timer %d of %d, bound %d, is late at %d", i, e.at, e.bound, now)
				}
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"set": func(t *rapid.T) { set(number.Draw(t, "i"), now+ahead.Draw(t, "ahead")) },
			"cancel": func(t *rapid.T) {
				i := number.Draw(t, "i")
				w.Cancel(i)
				delete(model, i)
			},
			"clock": func(t *rapid.T) { // less than a tick, so that the bounds hold
				now += rapid.Int64Range(0, 3).Draw(t, "by")
				w.Clock(now)
				advance(now)
			},
			"to next": func(t *rapid.T) {
				at, ok := w.Next()
				if ok != (len(model) > 0) {
					t.Fatalf("Next says %v with %d timers", ok, len(model))
				}
				if ok {
					advance(max(at, now))
				}
			},
			"tick": func(*rapid.T) { advance(now + timer.Tick) },
			"": func(t *rapid.T) {
				if w.Len() != len(model) {
					t.Fatalf("%d timers, the model has %d", w.Len(), len(model))
				}
				if at, ok := w.Next(); ok {
					for i := range model {
						if w.At(i) < at {
							t.Fatalf("Next %d is behind timer %d at %d", at, i, w.At(i))
						}
					}
				}
			},
		})
		for len(model) > 0 { // all that is set fires
			at, ok := w.Next()
			if !ok {
				t.Fatalf("%d timers are forgotten", len(model))
			}
			advance(max(at, now))
		}
	})
}

// A wheel that nobody advanced for long catches up in one call and keeps what is not due.
func TestStandstill(t *testing.T) {
	w := timer.New(3)
	w.Clock(1000)
	w.Set(0, 1100)
	w.Set(1, 20_000)
	w.Set(2, 1<<63-1)
	var fired []uint32
	w.Advance(1_000_000_000, func(i uint32) { fired = append(fired, i) })
	if len(fired) != 2 || w.Len() != 1 {
		t.Fatalf("fired %v, %d left", fired, w.Len())
	}
	w.Cancel(2)
	w.Cancel(2)
	if _, ok := w.Next(); ok || w.Len() != 0 {
		t.Fatal("an empty wheel waits")
	}
}

// Any number of idle timers wakes the loop at most once in 1.024 s.
func TestFarTimersWakeSeldom(t *testing.T) {
	const n = 5000
	w := timer.New(n)
	now := int64(123_456)
	w.Clock(now)
	for i := range uint32(n) {
		w.Set(i, now+10_000+int64(i)*4)
	}
	wakes, fired := 0, 0
	for w.Len() > 0 {
		at, _ := w.Next()
		w.Advance(at, func(uint32) { fired++ })
		wakes++
	}
	if fired != n || wakes > n*4/timer.FarTick+2 {
		t.Errorf("%d wakes for %d timers", wakes, fired)
	}
}

func TestNoAllocation(t *testing.T) {
	w := timer.New(1000)
	now := int64(1)
	fired := 0
	fire := func(i uint32) { fired++ }
	n := testing.AllocsPerRun(100, func() {
		for i := range uint32(1000) {
			w.Set(i, now+int64(i)*20)
		}
		w.Cancel(7)
		now += 9000
		w.Advance(now, fire)
		w.Next()
	})
	if n != 0 || fired == 0 {
		t.Errorf("%v allocations, %d fired", n, fired)
	}
}

// 250k idle timers of 300 s, each set anew when it fires: what a loop of idle clients costs a second.
func BenchmarkIdle250k(b *testing.B) {
	const n = 250_000
	w := timer.New(n)
	now := int64(1)
	w.Clock(now)
	for i := range uint32(n) {
		w.Set(i, now+rand.Int64N(300_000))
	}
	fire := func(i uint32) { w.Set(i, now+300_000) }
	b.ReportAllocs()
	for b.Loop() {
		now += 1024
		w.Advance(now, fire)
	}
}

// One timer moved among 250k others.
func BenchmarkSet250k(b *testing.B) {
	const n = 250_000
	w := timer.New(n)
	w.Clock(1)
	for i := range uint32(n) {
		w.Set(i, rand.Int64N(300_000))
	}
	b.ReportAllocs()
	i := uint32(0)
	for b.Loop() {
		w.Set(i, int64(i)+10_000)
		if i += 7919; i >= n {
			i -= n
		}
	}
}

// A56, A57: a timer fires when its time is over and not before, once; setting it again forgets the earlier time.
func TestExpireAndReset(t *testing.T) {
	w := timer.New(1)
	fired := 0
	until := func(from, to int64) {
		for at := from; at <= to; at++ {
			w.Advance(at, func(uint32) { fired++ })
		}
	}
	w.Clock(1000)
	w.Set(0, 1100)
	if until(1000, 1099); fired != 0 {
		t.Fatal("fired early")
	}
	if until(1100, 1100+timer.Tick); fired != 1 || w.Len() != 0 {
		t.Fatalf("fired %d times, %d left", fired, w.Len())
	}
	w.Clock(2000)
	w.Set(0, 2100)
	until(2000, 2090)
	w.Set(0, 2190)
	if until(2091, 2189); fired != 1 {
		t.Fatal("the earlier time was not forgotten")
	}
	if until(2190, 2190+timer.Tick); fired != 2 || w.Len() != 0 {
		t.Fatalf("fired %d times, %d left", fired, w.Len())
	}
}
