package cbc

import (
	"bytes"
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

// TestLanes encrypts up to 9 streams of any lengths together, several times, and each alone.
func TestLanes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := rapid.SampledFrom(paths()).Draw(t, "path")
		n := rapid.IntRange(0, 9).Draw(t, "streams")
		all, alone := make([]Encrypter, n), make([]Encrypter, n)
		for i := range n {
			way := p
			if rapid.IntRange(0, 9).Draw(t, "odd") == 0 {
				way = ordinary // one that cannot go along
			}
			key, iv := [32]byte(random(uint64(i), 32)), [16]byte(random(uint64(i+100), 16))
			all[i], alone[i] = newEncrypter(way, &key, &iv), newEncrypter(ordinary, &key, &iv)
		}
		for range rapid.IntRange(1, 4).Draw(t, "rounds") {
			lanes, got, want := make([]Lane, n), make([][]byte, n), make([][]byte, n)
			for i := range n {
				got[i] = random(uint64(i), rapid.IntRange(0, 40).Draw(t, "blocks")*BlockSize)
				want[i] = bytes.Clone(got[i])
				alone[i].CryptBlocks(want[i], want[i])
				lanes[i] = Lane{&all[i], got[i]}
			}
			EncryptAll(lanes)
			for i := range n {
				if !bytes.Equal(got[i], want[i]) {
					t.Fatalf("stream %d of %d differs", i, n)
				}
			}
		}
	})
}

// TestLongLanes goes over several strides.
func TestLongLanes(t *testing.T) {
	for n := range 6 {
		e, want, lanes := make([]Encrypter, n), make([][]byte, n), make([]Lane, n)
		for i := range n {
			key, iv := [32]byte{byte(i)}, [16]byte{byte(i)}
			e[i] = NewEncrypter(&key, &iv)
			lanes[i] = Lane{&e[i], random(uint64(i), 2*stride+i*3*BlockSize)}
			want[i], _ = reference(&key, &iv, lanes[i].P)
		}
		got := make([][]byte, n)
		for i := range n {
			got[i] = lanes[i].P
		}
		EncryptAll(lanes)
		for i := range n {
			if !bytes.Equal(got[i], want[i]) {
				t.Errorf("stream %d of %d differs", i, n)
			}
		}
	}
}

func TestLanesPanic(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a part of a block passes")
		}
	}()
	e := NewEncrypter(&[32]byte{}, &[16]byte{})
	EncryptAll([]Lane{{&e, make([]byte, 20)}})
}

func TestLanesAllocations(t *testing.T) {
	var e [5]Encrypter
	for i := range e {
		e[i] = NewEncrypter(&[32]byte{byte(i)}, &[16]byte{})
	}
	p, lanes := make([]byte, 5*160), make([]Lane, 5)
	if n := testing.AllocsPerRun(100, func() {
		for i := range lanes {
			lanes[i] = Lane{&e[i], p[i*160 : i*160+(i+1)*32]}
		}
		EncryptAll(lanes)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// BenchmarkLanes is 1 KiB of each stream; one stream is the baseline.
func BenchmarkLanes(b *testing.B) {
	for _, n := range []int{1, 2, 4, 8} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			e, lanes, p := make([]Encrypter, n), make([]Lane, n), random(14, n<<10)
			for i := range e {
				e[i] = NewEncrypter(&[32]byte{byte(i)}, &[16]byte{})
			}
			b.SetBytes(int64(len(p)))
			b.ReportAllocs()
			for b.Loop() {
				for i := range lanes {
					lanes[i] = Lane{&e[i], p[i<<10 : (i+1)<<10]}
				}
				EncryptAll(lanes)
			}
		})
	}
}
