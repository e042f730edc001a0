package cbc

// decryptNI decrypts blocks > 0 blocks and leaves the last of src in iv. dst is src, or apart from it.
//
//go:noescape
func decryptNI(keys *schedule, iv *[BlockSize]byte, dst, src *byte, blocks int)

// decryptVAES is decryptNI with VAES and AVX2.
//
//go:noescape
func decryptVAES(keys *schedule, iv *[BlockSize]byte, dst, src *byte, blocks int)

// encryptNI encrypts blocks > 0 blocks and leaves the last of dst in iv. dst is src, or apart from it.
//
//go:noescape
func encryptNI(keys *schedule, iv *[BlockSize]byte, dst, src *byte, blocks int)

// encryptLanes encrypts blocks > 0 blocks of each lane in place. Lanes are apart or the same.
//
//go:noescape
func encryptLanes(lanes *[width]lane, blocks int)
