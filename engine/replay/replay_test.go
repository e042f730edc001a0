package replay

import (
	"encoding/binary"
	"sync"
	"sync/atomic"
	"testing"
)

func key(i uint64) []byte { return binary.LittleEndian.AppendUint64(make([]byte, 8), i) }

// A09: the second showing of an opening is known as a replay, whatever its kind.
func TestSeen(t *testing.T) {
	s := New(1 << 20)
	if s.Seen(Opening, key(1), 1000) {
		t.Fatal("a fresh key was called seen")
	}
	if !s.Seen(Opening, key(1), 1001) {
		t.Fatal("the same key again was not seen")
	}
	if s.Seen(Hello, key(1), 1001) {
		t.Fatal("kinds share entries")
	}
}

func TestKeptForAGeneration(t *testing.T) {
	s := New(1 << 20)
	const start = 1_800_000_000
	s.Seen(Hello, key(7), start)
	for _, after := range []int64{1, 3600, hours24 - 1, hours24, 2*hours24 - 1} {
		if !s.Seen(Hello, key(7), start+after) {
			t.Fatalf("forgotten after %d s", after)
		}
	}
	if s.Seen(Hello, key(7), start+2*hours24) {
		t.Fatal("still there after two generations")
	}
}

func TestKeptThroughALongSilence(t *testing.T) {
	s := New(1 << 20)
	s.Seen(Hello, key(7), 1000)
	if s.Seen(Hello, key(7), 1000+100*hours24) {
		t.Fatal("an entry outlived a hundred days")
	}
	if !s.Seen(Hello, key(7), 1000+100*hours24+5) {
		t.Fatal("the store forgets at once after a long silence")
	}
}

// B09: a full store forgets the oldest, never the newest.
func TestFullForgetsOldest(t *testing.T) {
	s := New(1) // the smallest: 64 shards of 64 slots, twice
	const n = 20_000
	for i := range uint64(n) {
		if s.Seen(Opening, key(i), 5000) {
			t.Fatalf("fresh key %d was called seen", i)
		}
		if i >= 500 && !s.Seen(Opening, key(i-500), 5000) {
			t.Fatalf("key %d of 500 handshakes ago is forgotten", i-500)
		}
	}
	if n, fit := s.Len(); n == 0 || n > fit {
		t.Fatalf("%d entries in a store for %d", n, fit)
	}
	if s.Rotations() == 0 {
		t.Fatal("the store never rotated")
	}
	if s.Seen(Opening, key(0), 5000) {
		t.Fatal("the oldest key outlived a full store")
	}
}

func TestOneWinner(t *testing.T) {
	s := New(1 << 20)
	for i := range uint64(200) {
		var fresh atomic.Int32
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				if !s.Seen(Hello, key(i), 9000) {
					fresh.Add(1)
				}
			})
		}
		wg.Wait()
		if fresh.Load() != 1 {
			t.Fatalf("%d of 8 simultaneous copies were taken as fresh", fresh.Load())
		}
	}
}

func BenchmarkSeen(b *testing.B) {
	s := New(DefaultMemory)
	b.ReportAllocs()
	var next atomic.Uint64
	b.RunParallel(func(pb *testing.PB) {
		k := make([]byte, 16)
		for pb.Next() {
			binary.LittleEndian.PutUint64(k, next.Add(1))
			s.Seen(Hello, k, 1000)
		}
	})
}
