// Package cbc is AES-256-CBC as fast as the CPU allows.
//
// Blocks of a CBC stream can be decrypted side by side, which crypto/cipher does not do: it runs one block after the
// other through a unit that works on eight or sixteen. On amd64 the decrypter uses AES-NI, 8 blocks at a time, or VAES,
// 16 at a time; the encrypter, where each block needs the one before, keeps its state and keys in registers. CPUs
// without AES-NI and other architectures take crypto/cipher.
package cbc

import (
	"crypto/aes"
	"crypto/cipher"
	"unsafe"

	"epoxy/codec/aesni"
)

// BlockSize is the length of a block in bytes: what goes in is a multiple of it.
const BlockSize = aesni.BlockSize

// stride is the most bytes that go into the assembly at once, 80 microseconds of encryption: a goroutine cannot be
// stopped there, and the garbage collector would wait for it. It can be stopped where a function begins that is not
// inlined and is no assembly, which is what the methods crypt are for.
const stride = 64 << 10

// Short words for what aesni shares.
type (
	schedule = aesni.Schedule
	path     = aesni.Path
)

// The paths.
const (
	ordinary = aesni.Ordinary
	aesNI    = aesni.NI
	vaes     = aesni.VAES
)

// best is the fastest path of this CPU.
var best = aesni.Best()

// Decrypter decrypts one stream: about 280 bytes, which it does not share. It belongs to one loop. Do not use a
// Decrypter and a copy of it: they may advance one IV. The zero Decrypter is not usable.
type Decrypter struct {
	keys schedule
	iv   [BlockSize]byte
	std  cipher.BlockMode // of the ordinary path
	path path
}

// NewDecrypter returns a Decrypter for the stream that starts with iv. On the ordinary path it allocates.
func NewDecrypter(key *[32]byte, iv *[BlockSize]byte) Decrypter { return newDecrypter(best, key, iv) }

func newDecrypter(p path, key *[32]byte, iv *[BlockSize]byte) Decrypter {
	d := Decrypter{iv: *iv, path: p}
	switch p {
	case ordinary:
		d.std = cipher.NewCBCDecrypter(newBlock(key), iv[:])
	case aesNI, vaes:
		d.keys.Expand(key)
		d.keys.Invert()
	}
	return d
}

// CryptBlocks decrypts src into dst and goes on where the last call ended. Like crypto/cipher it panics when src is not
// whole blocks, when dst is shorter, and when the two overlap without being the same bytes. It allocates nothing.
func (d *Decrypter) CryptBlocks(dst, src []byte) {
	check(dst, src)
	for len(src) > 0 {
		n := min(len(src), stride)
		d.crypt(dst[:n], src[:n])
		dst, src = dst[n:], src[n:]
	}
}

//go:noinline
func (d *Decrypter) crypt(dst, src []byte) {
	switch d.path {
	case ordinary:
		d.std.CryptBlocks(dst, src)
	case aesNI:
		decryptNI(&d.keys, &d.iv, &dst[0], &src[0], len(src)/BlockSize)
	case vaes:
		decryptVAES(&d.keys, &d.iv, &dst[0], &src[0], len(src)/BlockSize)
	}
}

// Encrypter encrypts one stream; what is said of Decrypter holds.
type Encrypter struct {
	keys schedule
	iv   [BlockSize]byte
	std  cipher.BlockMode // of the ordinary path
	path path
}

// NewEncrypter returns an Encrypter for the stream that starts with iv. On the ordinary path it allocates.
func NewEncrypter(key *[32]byte, iv *[BlockSize]byte) Encrypter { return newEncrypter(best, key, iv) }

func newEncrypter(p path, key *[32]byte, iv *[BlockSize]byte) Encrypter {
	e := Encrypter{iv: *iv, path: p}
	switch p {
	case ordinary:
		e.std = cipher.NewCBCEncrypter(newBlock(key), iv[:])
	case aesNI, vaes:
		e.keys.Expand(key)
	}
	return e
}

// CryptBlocks encrypts src into dst and goes on where the last call ended; the rules are those of the Decrypter.
func (e *Encrypter) CryptBlocks(dst, src []byte) {
	check(dst, src)
	for len(src) > 0 {
		n := min(len(src), stride)
		e.crypt(dst[:n], src[:n])
		dst, src = dst[n:], src[n:]
	}
}

//go:noinline
func (e *Encrypter) crypt(dst, src []byte) {
	switch e.path {
	case ordinary:
		e.std.CryptBlocks(dst, src)
	case aesNI, vaes:
		encryptNI(&e.keys, &e.iv, &dst[0], &src[0], len(src)/BlockSize)
	}
}

// check panics on what the assembly would answer with a wild write.
func check(dst, src []byte) {
	switch {
	case len(src)%BlockSize != 0:
		panic("cbc: input is not whole blocks")
	case len(dst) < len(src):
		panic("cbc: output is shorter than input")
	case len(src) > 0 && overlap(&dst[0], &src[0], len(src)):
		panic("cbc: output overlaps input")
	}
}

// overlap reports whether the n bytes at a and at b have some, but not all, in common.
func overlap(a, b *byte, n int) bool {
	x, y := uintptr(unsafe.Pointer(a)), uintptr(unsafe.Pointer(b))
	return x != y && x < y+uintptr(n) && y < x+uintptr(n)
}

// newBlock returns AES-256 under key.
func newBlock(key *[32]byte) cipher.Block {
	b, err := aes.NewCipher(key[:])
	if err != nil {
		panic("cbc: " + err.Error()) // only for a key size that is not 16, 24 or 32
	}
	return b
}
