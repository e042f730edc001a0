package ctr

import "epoxy/codec/aesni"

// xorNI adds the key stream to n > 0 bytes, which start skip < 16 bytes into the block whose counter is hi, lo; lo does
// not wrap within them. dst is src, or apart from it.
//
//go:noescape
func xorNI(keys *aesni.Schedule, lo, hi uint64, skip int, dst, src *byte, n int)

// xorVAES is xorNI with VAES and AVX2.
//
//go:noescape
func xorVAES(keys *aesni.Schedule, lo, hi uint64, skip int, dst, src *byte, n int)
