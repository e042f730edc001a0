package faketg

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"
)

func TestPatternIsOneStream(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id := rapid.Uint32().Draw(t, "id")
		off := rapid.Uint64Range(0, 1<<40).Draw(t, "off")
		cuts := rapid.SliceOfN(rapid.IntRange(0, 40), 1, 8).Draw(t, "cuts")
		var parts []byte
		for _, n := range cuts {
			parts = AppendPattern(parts, id, off+uint64(len(parts)), n)
		}
		whole := AppendPattern(nil, id, off, len(parts))
		if !bytes.Equal(parts, whole) {
			t.Fatalf("cut at %v: %x, whole %x", cuts, parts, whole)
		}
		if !CheckPattern(whole, id, off) {
			t.Fatal("its own bytes refused")
		}
		for i := range whole {
			whole[i] ^= 1 << (i % 8)
			if CheckPattern(whole, id, off) {
				t.Fatalf("byte %d may be anything", i)
			}
			whole[i] ^= 1 << (i % 8)
		}
	})
}

func TestPatternShowsDisplacement(t *testing.T) {
	p := AppendPattern(nil, 7, 0, 1<<16)
	for _, move := range []int{1, 4, 8, 64, 4096} {
		if CheckPattern(p[move:move+64], 7, 0) {
			t.Errorf("bytes from %d pass as bytes from 0", move)
		}
	}
	if CheckPattern(p[:64], 8, 0) {
		t.Error("another client's bytes pass")
	}
}
