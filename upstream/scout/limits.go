package scout

import "time"

// When to look again; the operator may change the first two.
const (
	resolveEvery = time.Minute
	measureEvery = 4 * time.Hour // peers: 4..6 h (spec client-protocols 4.5)
	jitterPart   = 10            // each ± a tenth
)

// The waits after the first, second, ... failure in a row; the last one stays, and none is longer than
// the usual interval.
var (
	resolveRetries = [...]time.Duration{2 * time.Second, 5 * time.Second, 15 * time.Second, time.Minute}
	measureRetries = [...]time.Duration{30 * time.Second, 2 * time.Minute, 10 * time.Minute, time.Hour}
)

// Names and addresses.
const (
	startTime   = 3 * time.Second // New waits no longer for names
	resolveTime = 10 * time.Second
	maxAddrs    = 16  // of one name
	maxDomain   = 253 // bytes
)

// One measurement.
const (
	measureTime = time.Minute // all of it
	dialTime    = 5 * time.Second
	answerTime  = 5 * time.Second        // to the end of one answer
	silence     = 300 * time.Millisecond // the first flight is over (spec client-protocols 4.5)
	maxFlight   = 32 << 10               // bytes of it; four times what any client takes
	repeats     = 3                      // of the usual hello
	pageSilence = time.Second
	maxPage     = 128 << 10 // bytes of the page that shows the record sizes
)

// What a profile may say.
const (
	leastDelay = 5 * time.Millisecond // a front that is never slower answers at once
	mostDelay  = 2 * time.Second      // clients give up after 8 s (spec client-protocols 4.4)
	maxSpread  = 255                  // bytes
)

// Record sizes of a server that starts small, with headers (see ramp).
const (
	smallRecord = 1500 // the most that fits in a packet
	fullRecord  = 1100 // a small record at least this large is small on purpose
)

// What clients accept (spec client-protocols 4.4).
const clientsAccept = 10240 // bytes in the first flight

// The cache.
const (
	cacheAge  = 30 * 24 * time.Hour // older is forgotten
	cacheSkew = time.Hour           // a file may be this much from the future
	maxCached = 16 << 10            // bytes
)

// networkV4 and networkV6 are how much of two addresses makes them of one network.
const networkV4, networkV6 = 24, 48
