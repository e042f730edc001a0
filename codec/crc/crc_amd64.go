package crc

// fold sends n bytes at p, 159 or more, through the shift register of k. It needs what aesni.Folds asks for.
//
//go:noescape
func fold(k *polynomial, state uint32, p *byte, n int) uint32

// words sends n bytes at p through the shift register of CRC-32C, 8 after 8. It needs the same.
//
//go:noescape
func words(state uint32, p *byte, n int) uint32
