// Package aesni is what AES-256 in assembly shares: the round keys, and what the CPU can do.
package aesni

// BlockSize is the length of a block in bytes.
const BlockSize = 16

// rounds is how many AES-256 has; one key more is needed.
const rounds = 14

// Schedule is the round keys in the order of their use: 240 bytes.
type Schedule [rounds + 1][BlockSize]byte

// Expand writes the encryption keys of key (FIPS 197, 5.2). It needs a path other than Ordinary.
func (s *Schedule) Expand(key *[32]byte) { expand(s, key) }

// Invert turns encryption keys into those of the equivalent inverse cipher (FIPS 197, 5.3.5). It needs a path other
// than Ordinary.
func (s *Schedule) Invert() { invert(s) }

// Path is the way that blocks can go on a CPU. Each needs what those before it need.
type Path uint8

// The paths.
const (
	Ordinary Path = iota // crypto/cipher
	NI                   // amd64 with AES-NI: one block in a register
	VAES                 // amd64 with VAES and AVX2: two blocks in a register
)

// String returns the path's name.
func (p Path) String() string {
	switch p {
	case NI:
		return "aesni"
	case VAES:
		return "vaes"
	case Ordinary:
	}
	return "ordinary"
}

// Best asks the CPU for its fastest path.
func Best() Path { return best() }

// Folds reports whether the CPU multiplies without carry in 256-bit registers, VPCLMULQDQ with AVX2, as checksums of long
// messages need it.
func Folds() bool { return folds() }
