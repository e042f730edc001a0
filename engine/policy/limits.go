package policy

// DefaultMax is how many keys all tables hold together unless told otherwise: about 140 MB of memory, and of disk.
const DefaultMax = 1_000_000

const (
	maxTables = 1024 // names, so that a script cannot fill memory with empty tables
	maxName   = 64   // bytes of a table's name
	maxText   = 255  // bytes of a domain (RFC 1035), a port's or a secret's name
	maxRules  = 64   // in one set
	maxCount  = 1<<31 - 1

	// subnetBits6 goes with a client_subnet that names its IPv4 length only: what one household gets.
	subnetBits6 = 64

	// batch is how many keys are put into a table under one lock: well below a millisecond.
	batch = 1024
)

// Of the limiter.
const (
	shards  = 64   // no more: a set of them is one word
	few     = 3    // counters that a ticket holds without a second allocation
	stacked = 8    // limits that are asked without an allocation
	roomy   = 1024 // counters: a map that was larger is made anew when it is empty
)

// Of the buckets.
const (
	bucketShards = 64
	ways         = 8       // places that one network may take, side by side: 192 bytes
	minBuckets   = 1 << 10 // of all shards
	maxBuckets   = 1 << 24 // 384 MiB
)

// Of the buckets, where the operator says nothing.
const (
	DefaultBuckets = 1 << 16 // networks: 1.5 MiB
	DefaultBits4   = 24      // prefix length of an IPv4 network
	DefaultBits6   = 48      // of an IPv6 network: what one customer gets
)
