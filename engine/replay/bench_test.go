package replay

import (
	"encoding/binary"
	"sync/atomic"
	"testing"
)

// fill gives a store n handshakes of the time now, key(from) and on.
func fill(s *Store, from, n uint64, now int64) {
	k := make([]byte, 16)
	for i := range n {
		binary.LittleEndian.PutUint64(k[8:], from+i)
		s.Seen(Hello, k, now)
	}
}

// How full may a table be before the first handshake is lost? Capacity says three quarters.
func BenchmarkFirstLoss(b *testing.B) {
	for b.Loop() {
		s := New(0)
		const step = 1 << 16
		k := uint64(0)
		for ; s.Stats().Evicted == 0; k += step {
			fill(s, k, step, 1000)
		}
		b.ReportMetric(float64(k)/float64(DefaultMemory/slotSize), "load")
	}
}

// BenchmarkSeen is a check at full size, 64 MiB and every slot taken, by 8 goroutines; each knows 1 of 2^20 of
// the last copies. The tables do not fit a cache, so this is what main memory costs.
func BenchmarkSeen(b *testing.B) {
	const full = DefaultMemory / slotSize
	s := New(0)
	fill(s, 0, full+full/4, 1000)
	b.Run("fresh", func(b *testing.B) {
		var lane atomic.Uint64
		b.SetParallelism(4)
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			k := make([]byte, 16)
			for i := lane.Add(1) << 40; pb.Next(); i++ {
				binary.LittleEndian.PutUint64(k[8:], i)
				s.Seen(Hello, k, 1000)
			}
		})
	})
	b.Run("copy", func(b *testing.B) {
		var lane atomic.Uint64
		b.SetParallelism(4)
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			k := make([]byte, 16)
			for i := lane.Add(1) * 0x9E3779B97F4A7C15; pb.Next(); i += 7919 {
				binary.LittleEndian.PutUint64(k[8:], i%(full/2)+full*3/4)
				s.Seen(Hello, k, 1000)
			}
		})
	})
}
