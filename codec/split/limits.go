package split

// Of the frames (spec upstream-protocols 6.3).
const (
	HeaderSize = 12 // in front of every payload
	MaxPayload = 64 << 10
	MaxHello   = 1 << 10 // payload of Hello
	MaxName    = 255     // bytes of a name in Hello
)

// Version is the one version of the protocol that there is.
const Version = 1

// MaxStream is the last stream id; a link that used it up is replaced.
const MaxStream = 1<<31 - 1

// sizes are the lengths of payloads without their variable ends.
const (
	helloSize  = 2 + 2 + 4 + 4 + 4 + instanceSize + 1
	statusSize = 1 + 2
	entrySize  = 2 + 1 + 2
	openSize   = 2 + 1 + 1 + 4 + 2*addrSize
	boundSize  = 1 + 2
	ackSize    = 4
	closeSize  = 2
	creditSize = 4
	pingSize   = 8
	awaySize   = 2

	instanceSize = 16
	addrSize     = 16 + 2
	tagSize      = 16
)
