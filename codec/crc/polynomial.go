package crc

// polynomial is what the assembly knows of a CRC's P, which has 33 bits.
//
// Bits go from the highest power of x to the lowest, in a message as in a register: its first byte is the low one, a
// remainder of P lies in the high half of its word, and a product one bit lower than its factors say.
//
// A block of 16 bytes is two words, H·x^64 + L with H first. What stands n bytes further on has the same remainder when
// it is the block times x^8n: H times x^(8n+64) mod P and L times x^8n mod P, each with an x less, because of the product
// that lies a bit too low, which is an x too many. That is what byN holds. The same H brings a state, 32 bits that would
// be added to the 4 bytes behind a place, to another place.
type polynomial struct {
	by512, by256, by128, by64, by32, by16 [2]uint64 // the first two for CRC-32C alone
	// From the last block on, CRC32Q is the end, but it knows CRC-32C only, where what follows is zero. For others, x^96
	// and x^64 mod P leave 64 bits of a block, and of these Barrett's reduction leaves 32: it multiplies by x^64 / P for
	// the quotient, and by P for what to take away.
	end         [2]uint64
	quotient, p uint64 // of 33 bits the low one is x^32
}

// A test computes these once more.
var (
	castagnoli = polynomial{
		by512: [2]uint64{0x75bda45400000000, 0xe986c14800000000},
		by256: [2]uint64{0xe9a5d8be00000000, 0x1426a81500000000},
		by128: [2]uint64{0x6577b24500000000, 0x7417153f00000000},
		by64:  [2]uint64{0x1c19243b00000000, 0x75bba45b00000000},
		by32:  [2]uint64{0x33ccbbbc00000000, 0xa2158b3400000000},
		by16:  [2]uint64{0x3743f7bd00000000, 0x3171d43000000000},
	}
	ieee = polynomial{
		by128:    [2]uint64{0x7d657a1000000000, 0x7406fa9500000000},
		by64:     [2]uint64{0x653d982200000000, 0xcad38e8f00000000},
		by32:     [2]uint64{0x9570d49500000000, 0x01b5fd1d00000000},
		by16:     [2]uint64{0x65673b4600000000, 0x9ba54c6f00000000},
		end:      [2]uint64{0xccaa009e00000000, 0xb8bc676500000000},
		quotient: 0x1f7011641,
		p:        0x1db710641,
	}
)
