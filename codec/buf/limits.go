package buf

// Sizes by purpose, ours, in bytes: what a fresh buffer has room for, and the most that a pool keeps.
const (
	handshakeSize = 2 << 10         // a ClientHello with ML-KEM has 1.8 KiB
	handshakeMax  = 32 << 10        // the longest hello we read has 16 KiB, and append grows in steps
	partialSize   = 512             // an opening frame and a first packet
	partialMax    = 1<<20 + 128<<10 // the longest packet has 1 MiB
	chunkSize     = 16 << 10        // one read, one TLS record
	chunkMax      = 64 << 10        // the soft limit of one client's queue
)
