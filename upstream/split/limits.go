package split

import (
	"time"

	wire "epoxy/codec/split"
)

// Credit of a new stream in bytes of Data (spec upstream-protocols 6.3).
const (
	creditUp   = 64 << 10
	creditDown = 128 << 10
	payUp      = creditUp / 4 // what is given back in one frame, at least
	payDown    = creditDown / 4
	creditMost = 1 << 30 // that a peer may give
)

// Bytes of a link.
const (
	quantum    = 16 << 10                  // of one stream in its turn to be written
	fragment   = quantum - wire.HeaderSize // of a packet in one frame: each turn sends one at least
	writeMost  = 64 << 10                  // in one write
	readMost   = 32 << 10                  // of one read
	queueHigh  = 8 << 20                   // that wait to be written, above which loops stop reading for it
	queueLow   = 4 << 20                   // at which they read again
	queueHard  = 64 << 20                  // which the rules above do not allow
	mailMost   = 64                        // reads that wait for one loop before the link is not read
	partsMost  = 64 << 20                  // of torn packets, of one link and loop
	loopBudget = 256 << 20                 // that may wait for all clients of a loop
)

// Times of a link.
const (
	dialTime  = 5 * time.Second
	helloTime = 5 * time.Second  // from connect to both hellos; for a stranger too
	pingTime  = 5 * time.Second  // of silence until a ping
	deadTime  = 15 * time.Second // of silence until the end; and that a write may take
	restLeast = 250 * time.Millisecond
	restMost  = 8 * time.Second // between attempts to connect; drawn at random, doubled each time
	sayEvery  = time.Minute     // between two lines about the same failure
	watchTime = time.Second     // between looks at whether Telegram is within reach
)

// maxPings is how many pings a second a peer may send.
const maxPings = 100

// Of streams without a link, in ms (spec upstream-protocols 4.4).
const (
	holdTime  = 3_000
	busyTime  = 10_000 // after a packet up, without one down, in which a stream does not change links
	paceTime  = 500    // over which many streams are closed
	paceLeast = 8      // closed at once
	moveEvery = 250    // between steps in which streams leave a link that takes no more
	movePace  = 64     // streams in one step
)

// Of the sessions.
const (
	fullQueue   = 1 << 20   // what Queued says while more must not come
	softQueue   = 64 << 10  // above it a guest's client has to wait (DESIGN.md 5)
	deliverMost = 256 << 10 // in one Deliver (upstream.ScratchSize)
	deliverTurn = 64 << 10  // of a queue in one turn of the loop
)

// Of a server, ours.
const (
	MaxLinks     = 16      // of a front to a back
	maxFronts    = 256     // links of all fronts
	maxStrangers = 32      // connections that have not said who they are yet
	maxStreams   = 1 << 20 // of one link
	sayRefused   = 100     // refused connections for which there is one line
)
