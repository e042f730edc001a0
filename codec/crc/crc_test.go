package crc

import (
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

// kinds are what is tested, with the rival.
var kinds = []struct {
	name  string
	ours  func(crc uint32, p []byte) uint32
	rival *crc32.Table
	k     *polynomial
}{
	{"castagnoli", Castagnoli, crc32.MakeTable(crc32.Castagnoli), &castagnoli},
	{"ieee", IEEE, crc32.IEEETable, &ieee},
}

// random returns n bytes that are the same in every run.
func random(n int) []byte {
	p := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{7}).Read(p)
	return p
}

// The check values of the two in the catalogue of CRCs, over the digits; and 32 zeros, as in RFC 3720, B.4.
func TestKnown(t *testing.T) {
	digits, zeros := []byte("123456789"), make([]byte, 32)
	for _, c := range []struct{ got, want uint32 }{
		{Castagnoli(0, digits), 0xe3069283},
		{IEEE(0, digits), 0xcbf43926},
		{Castagnoli(0, zeros), 0x8a9136aa},
		{Castagnoli(7, nil), 7},
	} {
		if c.got != c.want {
			t.Errorf("got %#x, want %#x", c.got, c.want)
		}
	}
}

// TestLengths compares every length up to several steps of the assembly, at every alignment in turn.
func TestLengths(t *testing.T) {
	text := random(2200)
	for _, kind := range kinds {
		for n := range 2100 {
			for _, at := range []int{0, 1, n % 32, (n*7 + 3) % 64} {
				p := text[at : at+n]
				if got, want := kind.ours(uint32(n), p), crc32.Update(uint32(n), kind.rival, p); got != want {
					t.Fatalf("%s, %d bytes at %d: got %#x, want %#x", kind.name, n, at, got, want)
				}
			}
		}
	}
}

// TestFold calls the assembly with less than it gets, down to the least that it can take.
func TestFold(t *testing.T) {
	if !folds {
		t.Skip("no VPCLMULQDQ")
	}
	text := random(short + 64)
	for _, kind := range kinds {
		for n := 159; n <= short; n++ {
			for at := range 33 {
				got, want := ^fold(kind.k, ^uint32(5), &text[at], n), crc32.Update(5, kind.rival, text[at:at+n])
				if got != want {
					t.Fatalf("%s, %d bytes at %d: got %#x, want %#x", kind.name, n, at, got, want)
				}
			}
		}
	}
}

// TestStride goes over several strides, and ends at every place near one.
func TestStride(t *testing.T) {
	text := random(3*stride + 2*short)
	for _, kind := range kinds {
		for _, n := range []int{stride - 1, stride, stride + 1, stride + short - 1, stride + short, 2*stride + 17, len(text)} {
			if got, want := kind.ours(1, text[:n]), crc32.Update(1, kind.rival, text[:n]); got != want {
				t.Errorf("%s, %d bytes: got %#x, want %#x", kind.name, n, got, want)
			}
		}
	}
}

// TestPieces takes a message in pieces of any lengths.
func TestPieces(t *testing.T) {
	text := random(20000)
	rapid.Check(t, func(t *rapid.T) {
		kind := rapid.SampledFrom(kinds).Draw(t, "kind")
		p := text[rapid.IntRange(0, 100).Draw(t, "from"):]
		got, want := uint32(0), crc32.Checksum(p, kind.rival)
		for len(p) > 0 {
			n := min(rapid.IntRange(1, 3000).Draw(t, "piece"), len(p))
			got, p = kind.ours(got, p[:n]), p[n:]
		}
		if got != want {
			t.Fatalf("got %#x, want %#x", got, want)
		}
	})
}

func TestAllocations(t *testing.T) {
	p := random(1000)
	for _, kind := range kinds {
		if n := testing.AllocsPerRun(100, func() { kind.ours(kind.ours(1, p), p[:short-1]) }); n != 0 {
			t.Errorf("%s: %v allocations", kind.name, n)
		}
	}
}

// FuzzCRC compares any message, cut in two, with hash/crc32.
func FuzzCRC(f *testing.F) {
	f.Add([]byte("123456789"), uint32(0), uint16(4), uint16(3))
	f.Add(random(700), uint32(9), uint16(300), uint16(0))
	f.Fuzz(func(t *testing.T, seed []byte, crc uint32, more, cut uint16) {
		p := append(make([]byte, 0, len(seed)+int(more)), seed...)
		for i := 0; len(seed) > 0 && i < int(more); i++ {
			p = append(p, p[i]+byte(i>>8))
		}
		at := min(int(cut), len(p))
		for _, kind := range kinds {
			got, want := kind.ours(kind.ours(crc, p[:at]), p[at:]), crc32.Update(crc, kind.rival, p)
			if got != want {
				t.Fatalf("%s: got %#x, want %#x", kind.name, got, want)
			}
		}
	})
}

// Benchmark has hash/crc32 as the rival.
func Benchmark(b *testing.B) {
	for _, kind := range kinds {
		for _, size := range []int{64, short, 512, 1 << 10, 4 << 10, 16 << 10, 256 << 10} {
			p := random(size)
			b.Run(fmt.Sprintf("%s/%d/rival", kind.name, size), func(b *testing.B) {
				b.SetBytes(int64(size))
				for b.Loop() {
					crc32.Update(0, kind.rival, p)
				}
			})
			b.Run(fmt.Sprintf("%s/%d/ours", kind.name, size), func(b *testing.B) {
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
					kind.ours(0, p)
				}
			})
		}
	}
}
