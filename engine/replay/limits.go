package replay

// The table.
const (
	shards     = 256 // locks; a handshake takes one of them once
	shardShift = 64 - 8
	slots      = 8  // entries of a bucket, which is one cache line
	slotSize   = 8  // bytes of an entry
	minBuckets = 4  // of a shard: 64 KiB for an empty store
	indexBits  = 24 // of each of an entry's two places: 256 GiB at most
	movesBelow = 60 // 64ths of the slots; a fuller shard spends no cache misses on moving entries
	tagBits    = 2 * indexBits
	timeBits   = 16
)

// DefaultMemory is the size of a full table in bytes: 8.4 million slots, 6.3 million handshakes (3/4) with none lost.
const DefaultMemory = 64 << 20

// Keep is how long a handshake is remembered at least, in seconds. The guide asks for 24 to 48 h (spec
// client-protocols 5); a copy is of no use to anybody who has to wait longer.
const Keep = 48 * 3600

// Time in an entry, which counts in 16 bits and so comes round after 145 h.
const (
	unitShift = 3                      // 8 s: a flood of 100k handshakes a second fills a tenth of the table in that
	keepUnits = Keep >> unitShift      // older is forgotten
	backUnits = 24 * 3600 >> unitShift // how far the clock may be set back before entries look old instead of new
	sweepWait = 12 * 3600              // s; a shard that nobody swept for so long is swept by the next handshake
	sweepStep = 1024                   // buckets that are swept under one lock: some 20 us
)

// The journal.
const (
	maxPending   = 2048                 // fingerprints of a shard between two flushes; 5 s of 100k a second
	maxBlock     = shards * maxPending  // fingerprints of a block: 4 MiB
	segmentBytes = 8 << 20              // a segment that has reached this, or a quarter of the table, is closed
	segmentAge   = 12 * 3600            // s, likewise
	maxSegment   = segmentBytes + 5<<20 // more than a whole one ever is, read of a file at most
	spareBuffer  = 256 << 10            // bytes of a flush's buffer that are kept for the next one
)
