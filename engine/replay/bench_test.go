package replay

import (
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const fullSlots = DefaultMemory / slotSize

// fill gives a store n handshakes of the time now, key(from) and on.
func fill(s *Store, from, n uint64, now int64) {
	k := make([]byte, 16)
	for i := range n {
		binary.LittleEndian.PutUint64(k[8:], from+i)
		s.Seen(Hello, k, now)
	}
}

// BenchmarkSeen is a check at full size, 64 MiB and every slot taken, by 8 goroutines on 2 cores. The table
// does not fit a cache, so this is what main memory costs.
func BenchmarkSeen(b *testing.B) {
	s := testStore(0)
	fill(s, 0, fullSlots+fullSlots/4, start)
	run := func(b *testing.B, first, step, modulo, from uint64) {
		var lane atomic.Uint64
		b.SetParallelism(4)
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			k := make([]byte, 16)
			for i := lane.Add(1) * first; pb.Next(); i += step {
				binary.LittleEndian.PutUint64(k[8:], i%modulo+from)
				s.Seen(Hello, k, start)
			}
		})
	}
	b.Run("fresh", func(b *testing.B) { run(b, 1<<40, 1, 1<<63, 0) })
	fill(s, 1<<62, fullSlots/2, start+3600)
	b.Run("copy", func(b *testing.B) { run(b, 0x9e3779b97f4a7c15, 7919, fullSlots/2, 1<<62) })
}

// BenchmarkPaced is one second of 100k handshakes by 8 goroutines into a full table, with a journal that is
// flushed: the time of a check as a loop feels it, the clock's own cost included.
func BenchmarkPaced(b *testing.B) {
	s, warnings := Open(b.TempDir(), Options{Now: start})
	if len(warnings) > 0 {
		b.Fatal(warnings)
	}
	fill(s, 0, fullSlots+fullSlots/4, start)
	var all []time.Duration
	for n := uint64(0); b.Loop(); n++ {
		var mu sync.Mutex
		var wg sync.WaitGroup
		for lane := range uint64(8) {
			wg.Go(func() {
				k, took := make([]byte, 16), make([]time.Duration, 0, 12_500)
				for tick := time.NewTicker(10 * time.Millisecond); len(took) < cap(took); {
					<-tick.C
					for range 125 {
						binary.LittleEndian.PutUint64(k[8:], 1<<40|n<<32|lane<<24|uint64(len(took)))
						from := time.Now()
						s.Seen(Hello, k, start+int64(n))
						took = append(took, time.Since(from))
					}
				}
				mu.Lock()
				all = append(all, took...)
				mu.Unlock()
			})
		}
		wg.Wait()
		if err := s.Flush(start + int64(n)); err != nil {
			b.Fatal(err)
		}
	}
	slices.Sort(all)
	for _, q := range []struct {
		name string
		of   float64
	}{{"p50-ns", 0.5}, {"p99-ns", 0.99}, {"p99.9-ns", 0.999}} {
		b.ReportMetric(float64(all[int(float64(len(all))*q.of)]), q.name)
	}
	if err := s.Close(start); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkGrow is a handshake while the table grows, by one goroutine, and the memory that one takes then.
func BenchmarkGrow(b *testing.B) {
	for _, n := range []uint64{10_000, 100_000, 1_000_000, 4_000_000, 6_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			var st Stats
			for b.Loop() {
				s := testStore(0)
				fill(s, 0, n, start)
				st = s.Stats()
			}
			b.ReportMetric(float64(b.Elapsed())/float64(b.N)/float64(n), "ns/entry")
			b.ReportMetric(float64(st.Bytes)/float64(st.Entries), "B/entry")
			b.ReportMetric(float64(st.Evicted), "lost")
		})
	}
}

// BenchmarkFirstLoss is how full a table is when the first handshake is lost: Capacity says three quarters.
func BenchmarkFirstLoss(b *testing.B) {
	for b.Loop() {
		s, n := testStore(0), uint64(0)
		for ; s.Stats().Evicted == 0; n += 1 << 16 {
			fill(s, n, 1<<16, start)
		}
		b.ReportMetric(float64(n)/fullSlots, "load")
	}
}
