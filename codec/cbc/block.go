package cbc

// Block returns one block under AES-256. It keeps nothing and, with AES instructions, allocates nothing, which
// makes it the cheap way to try many keys on one block.
func Block(key *[32]byte, in [BlockSize]byte) (out [BlockSize]byte) {
	return block(best, key, in)
}

func block(p path, key *[32]byte, in [BlockSize]byte) (out [BlockSize]byte) {
	if p == ordinary {
		slow := in // a copy, so that only this path pays for the heap
		newBlock(key).Encrypt(slow[:], slow[:])
		return slow
	}
	var k schedule
	k.Expand(key)
	encryptNI(&k, &in, &out[0], &out[0], 1) // CBC of a block of zeros with in as the IV is the cipher of in
	return out
}
