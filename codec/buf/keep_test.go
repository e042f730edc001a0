//go:build !epoxydebug && !race

// The race detector makes pools forget at random, and the debug build has none.

package buf

import "testing"

// The calibration of bytebufferpool, after 42,000 Puts, must not forget the usual size.
func TestAllocations(t *testing.T) {
	for name, p := range pools {
		cycle := func() {
			b := p.Get()
			b.B = append(b.B, "a few bytes only"...)
			p.Put(b)
		}
		for range 100_000 {
			cycle()
		}
		if n := testing.AllocsPerRun(1000, cycle); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func TestLargeIsNotKept(t *testing.T) {
	p := newPool(16, 64)
	for range 100 {
		b := p.Get()
		if cap(b.B) > 64 {
			t.Fatalf("a buffer of %d bytes came back", cap(b.B))
		}
		b.B = append(b.B, make([]byte, 100)...)
		p.Put(b)
	}
}

func BenchmarkGetPut(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		Partial.Put(Partial.Get())
	}
}

func BenchmarkMake(b *testing.B) { // the baseline
	b.ReportAllocs()
	var keep []byte
	for b.Loop() {
		keep = make([]byte, partialSize)
	}
	_ = keep
}
