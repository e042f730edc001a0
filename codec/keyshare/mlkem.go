package keyshare

import (
	"encoding/binary"
	"math/bits"
)

// ML-KEM-768 (FIPS 203, tables 2 and 3): a ciphertext is u, 3 polynomials compressed to 10 bits a coefficient, and v, one
// compressed to 4. A key is 3 polynomials of 12 bits a coefficient, and a 32-byte seed.
const (
	q     = 3329
	uBits = 10
	vBits = 4
	uSize = 3 * 256 * uBits / 8
	kSize = 3 * 256 * 12 / 8
)

// A random word makes 4 coefficients, the digits of a number below q^4 (Lemire 2019): words*8 random bytes are enough
// for a ciphertext, and spare ones for those that are refused, less than 1 in 2^17.
const (
	q4     = q * q * q * q
	words  = 4 * 256 / 4
	spare  = 2
	random = (words + spare) * 8
)

// Ciphertext writes an ML-KEM-768 ciphertext to dst[:CiphertextSize] that belongs to nothing: the coefficients of u and v
// are uniform modulo q, as genuine ones are to everybody without the private key or a way to break ML-KEM, and are then
// compressed as genuine ones are. So the values are not uniform bits: some stand for 3 coefficients, others for 4. A client
// that opens it gets a secret from it, as from any other (FIPS 203, algorithm 18). rand fills its argument with secure
// random bytes.
func (m *Maker) Ciphertext(dst []byte, rand func([]byte)) {
	dst = dst[:CiphertextSize]
	rand(m.random[:])
	left := m.random[:]
	i := 0
	for ; i < uSize; i += 4 * uBits / 8 {
		var x, word uint64
		x, left = m.word(left, rand)
		for shift := 0; shift < 4*uBits; shift += uBits {
			var c uint64
			c, x = bits.Mul64(x, q)
			word |= compress(c, uBits) << shift
		}
		binary.LittleEndian.PutUint64(dst[i:], word) // 5 bytes, and 3 that are written again
	}
	for ; i < CiphertextSize; i += 4 * vBits / 8 {
		var x, word uint64
		x, left = m.word(left, rand)
		for shift := 0; shift < 4*vBits; shift += vBits {
			var c uint64
			c, x = bits.Mul64(x, q)
			word |= compress(c, vBits) << shift
		}
		binary.LittleEndian.PutUint16(dst[i:], uint16(word))
	}
}

// word takes a random word from left, or from more when it is used up, such that all numbers below q^4 are equally likely.
func (m *Maker) word(left []byte, rand func([]byte)) (uint64, []byte) {
	for {
		if len(left) == 0 {
			rand(m.random[:])
			left = m.random[:]
		}
		x := binary.LittleEndian.Uint64(left)
		left = left[8:]
		if x*q4 >= 1<<64%q4 {
			return x, left
		}
	}
}

// compress returns the d bits of c, 0..q-1: 2^d/q * c rounded, modulo 2^d (FIPS 203, 4.2.1).
func compress(c uint64, d int) uint64 { return (c<<d + q/2) / q & (1<<d - 1) }

// ValidKey reports whether key is an ML-KEM-768 encapsulation key, whose coefficients are all below q (FIPS 203, 7.2): a
// TLS server refuses others.
func ValidKey(key []byte) bool {
	if len(key) != KeySize {
		return false
	}
	// 6 bytes are 4 coefficients; every other of them stands in 24 bits of its own, and reaches bit 12 from q on.
	const (
		lanes = 0x000fff_000fff
		reach = 1<<12 - q
		add   = reach<<24 | reach
		over  = 1<<36 | 1<<12
	)
	var all uint64
	for i := 0; i < kSize; i += 6 {
		word := binary.LittleEndian.Uint64(key[i:])
		all |= (word&lanes + add) | (word>>12&lanes + add)
	}
	return all&over == 0
}
