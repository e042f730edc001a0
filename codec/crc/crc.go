// Package crc is CRC-32C and CRC-32 of long messages as fast as the CPU allows.
//
// On amd64 with VPCLMULQDQ a message is folded: 128 bytes, as a polynomial, are multiplied by x^1024 mod P and added to
// the 128 bytes behind them, until 16 are left that have the checksum of all. For CRC-32C the CPU has an instruction too,
// and another unit that works on it: it takes other parts of the message at the same time. CPUs without VPCLMULQDQ and
// other architectures take hash/crc32, as do short messages with CRC-32.
package crc

import (
	"hash/crc32"
	"unsafe"

	"epoxy/codec/aesni"
)

// short is the length in bytes from which on a message is folded: fold needs 159, and is faster from there on.
const short = 160

// stride is the most bytes that go into the assembly at once, 2 or 3 microseconds: a goroutine cannot be stopped there,
// and the garbage collector would wait for it. It can be stopped where a function begins that is not inlined and is no
// assembly, which is what step is for.
const stride = 64 << 10

var (
	folds = aesni.Folds()
	table = crc32.MakeTable(crc32.Castagnoli)
)

// Castagnoli returns the CRC-32C of a message that starts with one whose CRC-32C is crc, 0 for none, and ends with p. It
// allocates nothing.
func Castagnoli(crc uint32, p []byte) uint32 {
	if !folds {
		return crc32.Update(crc, table, p)
	}
	if len(p) < short {
		return ^words(^crc, unsafe.SliceData(p), len(p))
	}
	return ^run(&castagnoli, ^crc, p)
}

// IEEE is Castagnoli for CRC-32, the checksum of Ethernet and zip.
func IEEE(crc uint32, p []byte) uint32 {
	if len(p) < short || !folds {
		return crc32.Update(crc, crc32.IEEETable, p)
	}
	return ^run(&ieee, ^crc, p)
}

// run sends p, short bytes or more, through the shift register of k, whose state is a checksum's complement.
func run(k *polynomial, state uint32, p []byte) uint32 {
	for len(p) >= stride+short {
		state = step(k, state, p[:stride])
		p = p[stride:]
	}
	return step(k, state, p)
}

//go:noinline
func step(k *polynomial, state uint32, p []byte) uint32 { return fold(k, state, &p[0], len(p)) }
