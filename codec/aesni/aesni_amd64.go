package aesni

// The bits of CPUID that say what the assembly needs.
const (
	ecx1AES     = 1 << 25 // leaf 1
	ecx1OSXSAVE = 1 << 27
	ecx1AVX     = 1 << 28
	ebx7AVX2    = 1 << 5 // leaf 7
	ecx7VAES    = 1 << 9
	ecx7CLMUL   = 1 << 10     // VPCLMULQDQ
	xcr0AVX     = 1<<1 | 1<<2 // the system saves XMM and YMM
)

// best asks by CPUID. Every CPU with AES-NI has SSSE3 and SSE4.1 too.
func best() Path {
	leaves, _, _, _ := cpuid(0, 0)
	if leaves < 1 {
		return Ordinary
	}
	_, _, ecx1, _ := cpuid(1, 0)
	if ecx1&ecx1AES == 0 {
		return Ordinary
	}
	if leaves < 7 || ecx1&ecx1OSXSAVE == 0 || ecx1&ecx1AVX == 0 || xgetbv()&xcr0AVX != xcr0AVX {
		return NI
	}
	_, ebx7, ecx7, _ := cpuid(7, 0)
	if ebx7&ebx7AVX2 == 0 || ecx7&ecx7VAES == 0 {
		return NI
	}
	return VAES
}

// folds asks by CPUID. Every CPU with VPCLMULQDQ has VAES too.
func folds() bool {
	if best() != VAES {
		return false
	}
	_, _, ecx7, _ := cpuid(7, 0)
	return ecx7&ecx7CLMUL != 0
}

// cpuid executes CPUID.
//
//go:noescape
func cpuid(leaf, subleaf uint32) (eax, ebx, ecx, edx uint32)

// xgetbv returns the low half of XCR0. Without OSXSAVE it faults.
func xgetbv() uint32

//go:noescape
func expand(keys *Schedule, key *[32]byte)

//go:noescape
func invert(keys *Schedule)
