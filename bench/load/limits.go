package load

import "time"

// What Telegram's apps do.
const (
	clientPad    = 16   // padded packets get 0..15 bytes (spec client-protocols 2.1)
	clientRecord = 2878 // most payload bytes in a record of TDLib, tdesktop, Android, iOS (4.6)
	maxRecord    = 16384
	middleSecret = 128 // bytes of the proxy secret today (spec upstream-protocols 1.2)
)

// Ours.
const (
	// pingSize is the content of the echo that proves a handshake: with its head it is 92 bytes.
	pingSize = 64
	// uploadPacket is the content size of an uploaded packet, uploadAhead what is encrypted in one go.
	uploadPacket = 32 << 10
	uploadAhead  = 128 << 10
	// turnsPerEvent bounds what one client writes in one turn of the loop.
	turnsPerEvent = 4
	// pingers is how many clients of Stall do read: their echoes are paced, and one alone gives too few for a p99.
	pingers = 8
	// fillTime is how long the queues of stalled readers have to fill before they count as stalled.
	fillTime = 2 * time.Second
	// quietTime is the end of Idle's silence, a third of it at most, in which CPU time is noted.
	quietTime = 20 * time.Second
	// dialsAtOnce is how many connects one loop has in flight, so that no accept queue overflows.
	dialsAtOnce = 128
	// clientsPerSource is how many connections share one source address: of its 28,232 ports Linux finds a free one
	// the slower the more are taken.
	clientsPerSource = 4000
	// maxSources bounds the loopback addresses that are taken without asking.
	maxSources = 64
	// dialTime bounds a connect, in milliseconds.
	dialTime = 10_000
	// closeTime is how long closing clients have before the run ends without them.
	closeTime = 5 * time.Second
	// watchEvery is how often a run looks at its loops: progress, stuck clients, the end.
	watchEvery = 100 * time.Millisecond
)

// Strangers.
const (
	probeTime  = 2000 // milliseconds that a probe waits for an answer
	slowTime   = 1000 // milliseconds between the bytes of a slow stranger
	probeNoise = 300  // bytes of a probe that is nothing
	// beat is how often probes are sent, and mostLate what they catch up with when the machine was busy.
	beat     = time.Millisecond
	mostLate = 20 * time.Millisecond
	// portTime is how long a port of a probe that closed first stays taken on Linux.
	portTime = time.Minute
)

// maxLanes bounds loops times groups, so that the patterns of all clients differ.
const maxLanes = 1024
