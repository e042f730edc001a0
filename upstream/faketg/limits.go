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
	// maxGone is how many closed streams of a link are remembered, to notice ids that are used again.
	maxGone = 1 << 16
	// linkQueued is how much waits for a link before its forwarded datacenters are not read any more, and the other
	// way round.
	linkQueued = 1 << 20
)

// Of the faults, ours.
const (
	pipelinedPing = 0x1122334455667788 // the number of a ping that comes unasked
	pingFrame     = 24                 // bytes of a frame with a ping or pong
	tornSize      = 4096               // bytes of the answer that is torn
	floodPings    = 1000               // a proxy answers 100 a second (spec upstream-protocols 8)
	unknownWord   = 0x0badf00d         // names no message
	notFound      = 1<<32 - 404        // the transport error -404 (spec client-protocols 2.4)
)

// forbiddenFlags are bits of a handshake that are 0 (spec upstream-protocols 2.5).
const forbiddenFlags = 0xff
