package lists

import "time"

// When to look again.
const (
	interval   = time.Hour       // of URLs, unless told otherwise
	jitterPart = 10              // interval ± a tenth
	watchEvery = 2 * time.Second // a look at each file; a change is read when it lasts for two looks
)

// retries are the waits after the first, second, ... failed download in a row; the last one stays.
var retries = [...]time.Duration{5 * time.Second, 15 * time.Second, time.Minute, 5 * time.Minute, 15 * time.Minute}

// Limits of one list.
const (
	maxBody    = 64 << 20  // bytes of a download
	maxFile    = 256 << 20 // bytes of the operator's own file
	maxEntries = 1 << 23   // good lines
	maxName    = 64        // bytes of a list's name
	maxHeader  = 64 << 10  // bytes of an answer's header
	maxTag     = 256       // bytes of an ETag that is worth keeping
	shrinkTo   = 10        // a download with less than a tenth of the entries is not believed
)

// Limits of one download.
const (
	dialTime     = 5 * time.Second
	tlsTime      = 5 * time.Second
	headerTime   = 10 * time.Second
	requestTime  = 5 * time.Minute // with the whole body
	maxRedirects = 3
)

// The index of a list's IPv4 spans is by the head of an address, all bits but the tail. It takes 512 KiB, and
// is made for lists from indexFrom spans on.
const (
	tail      = 15
	indexFrom = 1 << 12
)

// tempAge is when a temporary file in the state directory belongs to a process that died.
const tempAge = 10 * time.Minute
