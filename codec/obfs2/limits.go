package obfs2

// InitSize is the length of the opening frame in bytes, and where the up stream goes on (spec client-protocols 1.1).
const InitSize = 64

// Where the fields of the opening frame stand (spec client-protocols 1.1).
//
//	0 random | 8 key seed | 40 IV | 56 tag u32 | 60 DC i16le | 62 random
const (
	keyAt = 8
	ivAt  = keyAt + keySize
	tagAt = ivAt + blockSize
	dcAt  = tagAt + 4

	keySize   = 32 // AES-256
	blockSize = 16 // AES, and the CTR counter
)

// Words at the start of a connection that mean something else to a client, a server or a middlebox, as u32 LE
// (spec client-protocols 1.4).
const (
	wordHEAD         = 0x44414548
	wordPOST         = 0x54534f50
	wordGET          = 0x20544547
	wordOPTI         = 0x4954504f
	wordSSH          = 0x2d485353
	wordPadded       = 0xdddddddd
	wordIntermediate = 0xeeeeeeee
	byteAbridged     = 0xef
	halfTLS          = 0x0316 // 16 03, a TLS record of any version
)
