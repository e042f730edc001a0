package replay

import (
	"encoding/binary"
	"sync"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"
)

const start = 1_800_000_000

func key(i uint64) []byte { return binary.LittleEndian.AppendUint64(make([]byte, 8), i) }

// testStore is New with the same key every time.
func testStore(memory int) *Store { return newStore(memory, [16]byte{1, 2, 3}) }

// The vectors of SipHash's authors for messages of 8, 15 and 16 bytes.
func TestSipHash(t *testing.T) {
	var k [16]byte
	message := make([]byte, 16)
	for i := range k {
		k[i], message[i] = byte(i), byte(i)
	}
	for n, want := range map[int]uint64{8: 0x93f5f5799a932462, 15: 0xa129ca6149be45e5, 16: 0x3f2acc7f57c29bdb} {
		if got := newSipKey(k).sum(binary.LittleEndian.Uint64(message), message[8:n]); got != want {
			t.Errorf("%d bytes: %x, not %x", n, got, want)
		}
	}
	if newSipKey(k).bytes() != k {
		t.Error("a key does not come back")
	}
}

// A09: the second showing of an opening is known as a replay, but not as another kind's.
func TestSeen(t *testing.T) {
	s := testStore(1 << 20)
	if s.Seen(Opening, key(1), 1000) {
		t.Fatal("a fresh key was called seen")
	}
	if !s.Seen(Opening, key(1), 1001) {
		t.Fatal("the same key again was not seen")
	}
	if s.Seen(Hello, key(1), 1001) {
		t.Fatal("kinds share entries")
	}
	if st := s.Stats(); st.Checks != 3 || st.Hits != 1 || st.Entries != 2 || st.Evicted != 0 {
		t.Fatalf("%+v", st)
	}
}

// B12: a hello's key is the part of its random that no clock is mixed into, so whatever the time in it says
// and whenever it comes, it is refused for 48 h, and forgotten within 16 s of that.
func TestKept(t *testing.T) {
	for at := range int64(20) {
		s := testStore(1 << 20)
		s.Seen(Hello, key(7), start+at)
		for _, after := range []int64{1, 3600, 24 * 3600, Keep - 1, Keep} {
			if !s.Seen(Hello, key(7), start+at+after) {
				t.Fatalf("forgotten after %d s", after)
			}
		}
		if s.Seen(Hello, key(7), start+at+Keep+16) {
			t.Fatal("still there after 48 h")
		}
		if !s.Seen(Hello, key(7), start+at+2*Keep) {
			t.Fatal("the second coming does not count")
		}
	}
}

// Entries count time modulo 145 h; none comes back to life.
func TestSilence(t *testing.T) {
	for hours := int64(49); hours < 1200; hours++ {
		s := testStore(1)
		fill(s, 0, 100, start)
		if s.Seen(Hello, key(7), start+hours*3600) {
			t.Fatalf("an entry outlived %d h", hours)
		}
		if !s.Seen(Hello, key(7), start+hours*3600+5) {
			t.Fatalf("the store forgets at once after %d h", hours)
		}
	}
}

// Sweeping gives back the places of what is too old, without a handshake, too.
func TestSweep(t *testing.T) {
	s := testStore(1 << 20)
	fill(s, 0, 50_000, start)
	before := s.Stats()
	for i := range int64(shards) {
		if err := s.Flush(start + Keep + 16 + i); err != nil {
			t.Fatal(err)
		}
	}
	if n, _ := s.Len(); before.Entries != 50_000 || n != 0 {
		t.Fatalf("%d of %d entries are left after 48 h", n, before.Entries)
	}
	fill(s, 0, 50_000, start+3*Keep)
	if after := s.Stats(); after.Bytes > 2*before.Bytes || after.Hits != 0 {
		t.Fatalf("%+v, before it was %+v", after, before)
	}
}

// B09: a full store forgets the oldest, never the newest, also when all come in the same second.
func TestFullForgetsOldest(t *testing.T) {
	for _, c := range []struct{ perSecond, part uint64 }{{10, 3}, {1_000_000, 16}} {
		s := testStore(1)
		n, fits, perSecond := uint64(40_000), s.Stats().Capacity, c.perSecond
		for i := range n {
			now := start + int64(i/perSecond)
			if s.Seen(Opening, key(i), now) {
				t.Fatalf("fresh key %d was called seen", i)
			}
			if recent := fits / c.part; i >= recent && !s.Seen(Opening, key(i-recent), now) {
				t.Fatalf("key %d of %d handshakes ago is forgotten", i-recent, recent)
			}
		}
		st := s.Stats()
		if st.Entries < st.Capacity || st.Entries > st.Bytes/slotSize || st.Evicted != n-st.Entries {
			t.Fatalf("%+v", st)
		}
		for i := range n - 2*st.Entries {
			if s.Seen(Opening, key(i), start+int64(n/perSecond)) {
				t.Fatalf("the old key %d outlived a full store", i)
			}
		}
	}
}

// Below its capacity a store says what a map says, while it grows, sweeps and time passes.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := testStore(1 << 20)
		model := map[uint64]int64{}
		now, next := int64(start), uint64(0)
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			now += rapid.Int64Range(0, Keep/4).Draw(t, "pass")
			for range rapid.IntRange(0, 2000).Draw(t, "fresh") {
				next++
				model[next] = now
				if s.Seen(Hello, key(next), now) {
					t.Fatalf("fresh key %d was called seen", next)
				}
			}
			if next == 0 {
				continue
			}
			for range 50 {
				k := rapid.Uint64Range(1, next).Draw(t, "old")
				age := now - model[k]
				seen := s.Seen(Hello, key(k), now)
				if seen && age > Keep+8 || !seen && age <= Keep {
					t.Fatalf("key %d of %d s ago: seen is %v", k, age, seen)
				}
				if !seen {
					model[k] = now
				}
			}
			if err := s.Flush(now); err != nil {
				t.Fatal(err)
			}
		}
		for k, at := range model {
			if now-at <= Keep && !s.Seen(Hello, key(k), now) {
				t.Fatalf("key %d of %d s ago is forgotten", k, now-at)
			}
		}
		if st := s.Stats(); st.Evicted != 0 || st.Bytes > 1<<20 {
			t.Fatalf("%+v", st)
		}
	})
}

// Up to its capacity nothing is lost, whatever the size, and the memory stays within the limit.
func TestCapacity(t *testing.T) {
	for _, memory := range []int{1 << 20, 1<<21 - 1} {
		s := testStore(memory)
		_, fits := s.Len()
		fill(s, 0, fits, start)
		if st := s.Stats(); st.Hits != 0 || st.Evicted != 0 || st.Bytes > uint64(memory) || st.Entries != fits {
			t.Fatalf("%d bytes: %+v", memory, st)
		}
		fill(s, 0, fits, start+Keep)
		if st := s.Stats(); st.Hits != fits {
			t.Fatalf("%d bytes: %d of %d are remembered", memory, st.Hits, fits)
		}
	}
}

// A clock that is set back, by little or by much, loses nothing that came since and breaks nothing.
func TestClockBack(t *testing.T) {
	for _, back := range []int64{1, 8, 3600, 24*3600 - 8, 40 * 3600, 145 * 3600, 1e6, start - 1, 2 * start} {
		s := testStore(1)
		fill(s, 0, 1000, start)
		now := start - back
		if back < 24*3600 && !s.Seen(Hello, key(5), now) {
			t.Errorf("%d s back: the past is forgotten", back)
		}
		s.Seen(Hello, key(1<<40), now)
		for _, after := range []int64{1, Keep / 2, Keep} {
			if !s.Seen(Hello, key(1<<40), now+after) {
				t.Errorf("%d s back: a handshake is forgotten after %d s", back, after)
			}
		}
	}
}

// Two simultaneous copies: exactly one is fresh.
func TestOneWinner(t *testing.T) {
	s := testStore(1 << 20)
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

func TestNoAllocations(t *testing.T) {
	s := testStore(1)
	fill(s, 0, 20_000, start)
	i, k := uint64(1<<32), make([]byte, 16)
	if n := testing.AllocsPerRun(2000, func() {
		i++
		binary.LittleEndian.PutUint64(k, i)
		s.Seen(Hello, k, start)
		s.Seen(Hello, k, start)
	}); n != 0 {
		t.Fatalf("%v allocations for a check", n)
	}
}
