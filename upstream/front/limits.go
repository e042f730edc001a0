package front

import "epoxy/upstream"

// DefaultMax is how many strangers one loop splices at once when Options says nothing; the next are turned away
// (spec client-protocols 6, 9 row 43).
const DefaultMax = 1024

// Our limits and timings.
const (
	dialTime  = 5_000  // ms for all addresses of a target together (spec client-protocols 6)
	dialLeast = 1_000  // ms that one address gets while there is time left, however many are behind it
	badTime   = 30_000 // ms that an address is passed over after a failure
	maxAddrs  = 64     // addresses of a target that count

	maxDomain = 255 // bytes of a domain that is looked up (RFC 1035 2.3.4)

	// maxEarly is the most bytes that wait for the connection. A session that pauses its client at its soft limit
	// of 64 KiB never gets there: that and one read fit.
	maxEarly = 64<<10 + upstream.ScratchSize
)
