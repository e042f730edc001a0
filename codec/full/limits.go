package full

// MaxFrame is the longest frame in bytes, checksum and all, in both directions: the largest that any peer accepts. The
// official proxy has no limit, and buffers 2 GiB (spec upstream-protocols 2.1).
const MaxFrame = 1 << 24

// MaxEarly is the longest of the first two frames in bytes, ours: the nonce and the handshake have 44.
const MaxEarly = 1 << 10

// Overhead is what a frame has around its body, in bytes, and MaxPadding what Flush adds at most.
const (
	Overhead   = headSize + sumSize
	MaxPadding = blockSize - wordSize
)

// Lengths of a proxy secret in bytes (spec upstream-protocols 1.2).
const (
	MinSecret = 32
	MaxSecret = 256
)

// NonceSize is the length of either end's nonce in bytes (spec upstream-protocols 2.3).
const NonceSize = 16

// growSize is the torn frame in bytes, ours, up to which memory is taken by its head: a file part of 1 MiB. A longer one
// must come first, so that twelve bytes cannot take 16 MiB. keepSize is the longest buffer that is used again.
const (
	growSize = 1<<20 + 4<<10
	keepSize = growSize + 128<<10
)

// Of the frames (spec upstream-protocols 2.1).
const (
	wordSize  = 4 // frames are whole words
	filler    = 4 // a length that is no frame: the word itself is skipped
	headSize  = 8 // length, sequence number
	sumSize   = 4
	minFrame  = headSize + wordSize + sumSize
	blockSize = 16 // AES
	early     = 2  // frames before the first message: nonce and handshake, -2 and -1
)
