// Package ctr is AES-256-CTR as fast as the CPU allows.
//
// A call makes the key stream from key, IV and offset alone: a stream that rests costs no more than these, and one that
// is in use a Schedule. On amd64 the blocks go side by side, 8 at a time with AES-NI and 16 with VAES; a first and a last
// part of a block go along, so that a short message costs one pass. CPUs without AES-NI and other architectures take
// crypto/cipher.
package ctr

import (
	"encoding/binary"
	"math/bits"
	"unsafe"

	"epoxy/codec/aesni"
)

// BlockSize is the length of a block and of the counter in bytes.
const BlockSize = aesni.BlockSize

// stride is the most bytes that go into the assembly at once, 5 to 20 microseconds: a goroutine cannot be stopped there,
// and the garbage collector would wait for it. It can be stopped where a function begins that is not inlined and is no
// assembly, which is what xor is for.
const stride = 64 << 10

// Path is aesni's, under a short word.
type path = aesni.Path

// best is the fastest path of this CPU.
var best = aesni.Best()

// Schedule is an expanded key. Any number of streams may use it, on one loop. The zero Schedule is not usable.
//
// It is a little longer than 256 bytes, so that the Go heap keeps schedules in pages of their own (the class of 288): they go
// when a client falls silent, and in one page with objects that stay, such as sessions, they would leave holes.
type Schedule struct {
	keys     aesni.Schedule
	ordinary *ordinary // of that path; else nil
	path     path
	_        [8]byte
}

// Expand makes the Schedule of key. With AES instructions it allocates nothing.
func (s *Schedule) Expand(key *[32]byte) { s.expand(best, key) }

func (s *Schedule) expand(p path, key *[32]byte) {
	s.path = p
	switch p {
	case aesni.Ordinary:
		s.ordinary = newOrdinary(key)
	case aesni.NI, aesni.VAES:
		s.ordinary = nil
		s.keys.Expand(key)
	}
}

// XORKeyStream adds the key stream to src and writes the sum to dst. The key stream starts with the counter iv, 128 bits
// big-endian that wrap, and src stands offset bytes behind its start. Like crypto/cipher it panics when dst is shorter
// than src, and when the two overlap without starting at the same byte. It allocates nothing, except on the ordinary
// path, and there only where it does not go on from the end of the call before.
func (s *Schedule) XORKeyStream(iv *[BlockSize]byte, offset uint64, dst, src []byte) {
	if len(dst) < len(src) {
		panic("ctr: output is shorter than input")
	}
	if len(src) == 0 {
		return
	}
	if overlap(&dst[0], &src[0], len(src)) {
		panic("ctr: output overlaps input")
	}
	for len(src) > stride {
		s.xor(iv, offset, &dst[0], src[:stride])
		dst, src, offset = dst[stride:], src[stride:], offset+stride
	}
	s.xor(iv, offset, &dst[0], src)
}

// xor is XORKeyStream for 1 to stride bytes.
//
//go:noinline
func (s *Schedule) xor(iv *[BlockSize]byte, offset uint64, dst *byte, src []byte) {
	if s.path == aesni.Ordinary {
		s.ordinary.xor(iv, offset, unsafe.Slice(dst, len(src)), src)
		return
	}
	hi, lo := counter(iv, offset)
	skip := int(offset % BlockSize)
	blocks := uint64(skip+len(src)+BlockSize-1) / BlockSize
	if left := -lo; left != 0 && left < blocks { // the assembly counts in lo alone
		cut := int(left)*BlockSize - skip
		s.blocks(lo, hi, skip, dst, &src[0], cut)
		s.blocks(0, hi+1, 0, (*byte)(unsafe.Add(unsafe.Pointer(dst), cut)), &src[cut], len(src)-cut)
		return
	}
	s.blocks(lo, hi, skip, dst, &src[0], len(src))
}

// blocks sends n > 0 bytes, which start skip bytes into the block with the counter hi, lo, through the assembly.
func (s *Schedule) blocks(lo, hi uint64, skip int, dst, src *byte, n int) {
	if s.path == aesni.VAES {
		xorVAES(&s.keys, lo, hi, skip, dst, src, n)
	} else {
		xorNI(&s.keys, lo, hi, skip, dst, src, n)
	}
}

// counter returns the counter of the block that byte offset lies in.
func counter(iv *[BlockSize]byte, offset uint64) (hi, lo uint64) {
	lo, carry := bits.Add64(binary.BigEndian.Uint64(iv[8:]), offset/BlockSize, 0)
	return binary.BigEndian.Uint64(iv[:8]) + carry, lo
}

// overlap reports whether the n bytes at a and at b have some, but not all, in common.
func overlap(a, b *byte, n int) bool {
	x, y := uintptr(unsafe.Pointer(a)), uintptr(unsafe.Pointer(b))
	return x != y && x < y+uintptr(n) && y < x+uintptr(n)
}
