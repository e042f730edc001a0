package cbc

// The bits of CPUID that say what the assembly needs.
const (
	ecx1AES     = 1 << 25 // leaf 1
	ecx1OSXSAVE = 1 << 27
	ecx1AVX     = 1 << 28
	ebx7AVX2    = 1 << 5 // leaf 7
	ecx7VAES    = 1 << 9
	xcr0AVX     = 1<<1 | 1<<2 // the system saves XMM and YMM
)

// detect asks the CPU which path it can take.
func detect() path {
	leaves, _, _, _ := cpuid(0, 0)
	if leaves < 1 {
		return ordinary
	}
	_, _, ecx1, _ := cpuid(1, 0)
	if ecx1&ecx1AES == 0 {
		return ordinary
	}
	if leaves < 7 || ecx1&ecx1OSXSAVE == 0 || ecx1&ecx1AVX == 0 || xgetbv()&xcr0AVX != xcr0AVX {
		return aesNI
	}
	_, ebx7, ecx7, _ := cpuid(7, 0)
	if ebx7&ebx7AVX2 == 0 || ecx7&ecx7VAES == 0 {
		return aesNI
	}
	return vaes
}

// cpuid executes CPUID.
//
//go:noescape
func cpuid(leaf, subleaf uint32) (eax, ebx, ecx, edx uint32)

// xgetbv returns the low half of XCR0. Without OSXSAVE it faults.
func xgetbv() uint32

// expandKey writes the encryption keys of key (FIPS 197, 5.2).
//
//go:noescape
func expandKey(keys *schedule, key *[32]byte)

// invertKeys turns encryption keys into those of the equivalent inverse cipher (FIPS 197, 5.3.5).
//
//go:noescape
func invertKeys(keys *schedule)

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
