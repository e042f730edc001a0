package faketg

// Telegram's numbers.
const (
	// MinPacket is the shortest packet that a middle proxy hands on, and the size of a bare Command
	// (spec client-protocols 2.1).
	MinPacket = 28
	// MaxContent is the most content bytes of one Command: with its head it stays below the 1 044 480
	// bytes that the official proxy lets through (spec client-protocols 2.1).
	MaxContent = 1<<20 - 8192
)

// Ours.
const (
	// DefaultContent is the content size of a packet of OpSource that asked for 0.
	DefaultContent = 32 << 10
	// pullSize is how many bytes a server encrypts ahead of its socket: one write's worth.
	pullSize = 128 << 10
	// maxQueued is where a server stops reading a client that does not read its echoes.
	maxQueued = 1 << 20
	// maxOpenings is how many openings Seen keeps; later ones are only counted.
	maxOpenings = 1024
	// keptRest is the largest buffer for a torn packet that a connection keeps when it is empty again.
	keptRest = 4 << 10
)
