package crc

import (
	"hash/crc32"
	"testing"
)

// power returns x^n mod P in the high half of a word, its bits reversed.
func power(p uint32, n int) uint64 {
	r := uint32(1) << 31
	for range n {
		r = r>>1 ^ p&-(r&1)
	}
	return uint64(r) << 32
}

// quotient returns x^64 / P, 33 bits, reversed, by long division: its bit for x^(32-i) says whether P goes into what is
// left at x^(64-i).
func quotient(p uint32) uint64 {
	q, r := uint64(1), p // x^64 - P·x^32
	for i := 1; i <= 32; i++ {
		top := r & 1
		r = r>>1 ^ p&-top
		q |= uint64(top) << i
	}
	return q
}

func TestPolynomials(t *testing.T) {
	for _, c := range []struct {
		name string
		p    uint32
		got  polynomial
	}{{"castagnoli", crc32.Castagnoli, castagnoli}, {"ieee", crc32.IEEE, ieee}} {
		by := func(n int) [2]uint64 { return [2]uint64{power(c.p, 8*n+64-1), power(c.p, 8*n-1)} }
		want := polynomial{by128: by(128), by64: by(64), by32: by(32), by16: by(16)}
		if c.p == crc32.Castagnoli {
			want.by512, want.by256 = by(512), by(256)
		} else {
			want.end = [2]uint64{power(c.p, 96-1), power(c.p, 64-1)}
			want.quotient = quotient(c.p)
			want.p = uint64(c.p)<<1 | 1
		}
		if c.got != want {
			t.Errorf("%s: got %#x, want %#x", c.name, c.got, want)
		}
	}
}
