package policy

import (
	"fmt"
	"math"
	"net/netip"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

func TestNetworkRate(t *testing.T) {
	b := NewBuckets(BucketOptions{Network: Rate{PerSecond: 10, Burst: 3}})
	a, same, mapped := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.200"), netip.MustParseAddr("::ffff:192.0.2.3")
	other := netip.MustParseAddr("192.0.3.1")
	v6, near, far := netip.MustParseAddr("2001:db8:1:1::1"), netip.MustParseAddr("2001:db8:1:2::1"), netip.MustParseAddr("2001:db8:2:1::1")
	for i, c := range []struct {
		a    netip.Addr
		at   int64
		want Pace
	}{
		{a, 0, PaceOK}, {same, 0, PaceOK}, {mapped, 0, PaceOK}, {a, 0, PaceNetwork}, {mapped, 0, PaceNetwork}, // B01
		{other, 0, PaceOK}, {a, 99, PaceNetwork}, {a, 100, PaceOK}, {same, 100, PaceNetwork}, {a, 10000, PaceOK},
		{a, 10000, PaceOK}, {a, 10000, PaceOK}, {a, 10000, PaceNetwork},
		{a, 5000, PaceNetwork}, {a, 5300, PaceOK}, // the clock ran backwards: empty, and refills from there
		{v6, 0, PaceOK}, {near, 0, PaceOK}, {v6, 0, PaceOK}, {near, 0, PaceNetwork}, {far, 0, PaceOK},
		{netip.Addr{}, 0, PaceOK}, {netip.Addr{}, 0, PaceOK}, {netip.Addr{}, 0, PaceOK}, {netip.Addr{}, 0, PaceOK},
	} {
		if got := b.Take(c.a, c.at); got != c.want {
			t.Errorf("step %d, %v at %d: %v, want %v", i, c.a, c.at, got, c.want)
		}
	}
}

// TestBucketsModel compares with token buckets that count tokens.
func TestBucketsModel(t *testing.T) {
	type tokens struct {
		n  float64
		at int64
	}
	rapid.Check(t, func(t *rapid.T) {
		per, burst := rapid.SampledFrom([]float64{1, 4, 20, 1000}), rapid.IntRange(1, 6)
		p, n := Rate{per.Draw(t, "process"), burst.Draw(t, "burst")}, Rate{per.Draw(t, "network"), burst.Draw(t, "burst")}
		b := NewBuckets(BucketOptions{Process: p, Network: n, Bits4: 30, Bits6: 64})
		all := map[int]*tokens{}
		refill := func(who int, r Rate, now int64) *tokens {
			if all[who] == nil {
				all[who] = &tokens{float64(r.Burst), now}
			}
			k := all[who]
			k.n = min(float64(r.Burst), k.n+float64(now-k.at)*r.PerSecond/1000)
			k.at = now
			return k
		}
		now := int64(0)
		for range 60 {
			now += int64(rapid.SampledFrom([]int{0, 1, 40, 250, 3000}).Draw(t, "wait"))
			who := rapid.IntRange(0, 11).Draw(t, "who")
			net, proc := refill(who/4, n, now), refill(-1, p, now)
			const eps = 1e-6
			want := PaceOK
			switch {
			case net.n < 1-eps:
				want = PaceNetwork
			case proc.n < 1-eps:
				want = PaceProcess
			default:
				net.n--
				proc.n--
			}
			if got := b.Take(netip.AddrFrom4([4]byte{10, 0, 0, byte(who)}), now); got != want {
				t.Fatalf("%d at %d: %v, want %v", who, now, got, want)
			}
		}
	})
}

// TestBucketsFull floods the places: memory stays, a busy network is still limited, no neighbour is refused.
func TestBucketsFull(t *testing.T) {
	b := NewBuckets(BucketOptions{Network: Rate{PerSecond: 1, Burst: 50}, Places: minBuckets})
	busy := netip.MustParseAddr("192.0.2.1")
	for range 50 {
		if b.Take(busy, 0) != PaceOK {
			t.Fatal("refused within the burst")
		}
	}
	for i := range 50 * minBuckets {
		if p := b.Take(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}).Next(), 0); p == PaceProcess {
			t.Fatal(p)
		}
	}
	if p := b.Take(busy, 0); p != PaceNetwork {
		t.Errorf("the busy network: %v", p)
	}
	n := 0
	for i := range b.shards {
		n += len(b.shards[i].places)
	}
	if n != minBuckets {
		t.Errorf("%d places", n)
	}
}

func TestBucketsOff(t *testing.T) {
	b := NewBuckets(BucketOptions{})
	for range 1000 {
		if p := b.Take(netip.MustParseAddr("192.0.2.1"), 0); p != PaceOK {
			t.Fatal(p)
		}
	}
	if b.shards[0].places != nil {
		t.Error("memory for nothing")
	}
	for r, depth := range map[Rate]int64{
		{PerSecond: 1e-300, Burst: 1 << 62}: math.MaxInt64 / 8, {PerSecond: 1e300, Burst: 0}: 0, {PerSecond: 2, Burst: 3}: 1e9, {PerSecond: -1, Burst: 9}: 0,
	} {
		if got := r.depth(); got != depth {
			t.Errorf("%+v: depth %d, want %d", r, got, depth)
		}
	}
}

// TestBucketsShared takes from many loops: exactly the bursts are given.
func TestBucketsShared(t *testing.T) {
	b := NewBuckets(BucketOptions{Process: Rate{PerSecond: 1, Burst: 150}, Network: Rate{PerSecond: 1, Burst: 40}})
	var mu sync.Mutex
	got := map[Pace]int{}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range 400 {
				p := b.Take(netip.MustParseAddr(fmt.Sprintf("192.0.%d.%d", i%4, i%200)), 7)
				mu.Lock()
				got[p]++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if got[PaceOK] != 150 {
		t.Errorf("%v", got)
	}
}

func TestTakeAllocs(t *testing.T) {
	b := NewBuckets(BucketOptions{Process: Rate{PerSecond: 1e6, Burst: 10}, Network: Rate{PerSecond: 5, Burst: 5}})
	a, now := netip.MustParseAddr("192.0.2.1"), int64(0)
	if n := testing.AllocsPerRun(200, func() { b.Take(a, now); now += 30; a = a.Next() }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkTake(b *testing.B) {
	bs := NewBuckets(BucketOptions{Process: Rate{PerSecond: 1e6, Burst: 1000}, Network: Rate{PerSecond: 50, Burst: 50}})
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		a, now := netip.MustParseAddr("192.0.2.1"), int64(0)
		for pb.Next() {
			bs.Take(a, now)
			a = a.Next()
			now++
		}
	})
}
