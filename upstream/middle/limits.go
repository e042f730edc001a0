package middle

import (
	"epoxy/codec"
	"epoxy/codec/frame"
)

// Of the links, in ms (spec upstream-protocols 2.5, 2.7).
const (
	dialTime  = 5_000  // to connect
	shakeTime = 5_000  // from connect to ready; bytes do not extend it
	pingTime  = 10_000 // of silence until a ping
	deadTime  = 30_000 // of silence with a ping outstanding
)

// maxPings is how many pings a second a link may send.
const maxPings = 100 // (spec upstream-protocols 8, fault 38)

// maxAnswer is the longest answer in bytes that apps take (spec client-protocols 2.2).
const maxAnswer = frame.MaxAnswer

// Of dialling (spec upstream-protocols 4.2).
const (
	maxDialling = 2      // links of one DC and loop that are not ready yet
	dialRate    = 50     // connects a second and loop, over all DCs
	skipFails   = 3      // failures in a row after which an address comes last
	goodLife    = 30_000 // ms of life that forgive an address its failures
	shortLife   = 1_000  // ms of life below which a ready link's end is a failure
	muteWait    = 1_000  // ms at least after a link died of wrong keys
)

// backoff is how long in ms an address rests at most after so many failures in a row; the time is drawn at random.
var backoff = [...]int64{0, 250, 500, 1000, 2000, 4000, 8000, 16000}

// Of the pools (spec upstream-protocols 4.6).
const (
	linkShare  = 512    // streams for which a pool has one link
	bulkLinks  = 4      // of a pool through which much goes up: as many are encrypted side by side
	maxLinks   = 16     // of one DC and loop, as long as they are not full
	maxStreams = 4096   // of one link
	linkFill   = 3072   // streams for which a pool with maxLinks has one more link, so that it stands before it is needed
	mostLinks  = 512    // of one DC and loop, ours: 1.5 million streams
	spareTime  = 60_000 // ms that a link without streams stays
	upkeepTime = 5_000  // ms between two looks at a pool in which nothing happens
)

// Of streams without a link (spec upstream-protocols 4.4).
const (
	holdTime  = 3_000  // ms that a stream waits for a link
	busyTime  = 10_000 // ms after a packet up, without one down, in which a stream does not change links
	faultTime = 1_000  // ms after traffic in which a stream does not survive a fault of its link
	paceTime  = 500    // ms over which many streams are closed
	paceLeast = 8      // streams that are closed at once
)

// Of links that are given up in order: their address was removed (spec upstream-protocols 1.4).
const (
	drainTime  = 90_000 // ms until the last streams have to leave
	drainPace  = 64     // idle streams that change links in one step
	drainEvery = 250    // ms between steps
)

// Bytes.
const (
	hardQueue   = 1 << 20   // that may wait for one client before a further packet closes it (DESIGN.md 5)
	loopBudget  = 256 << 20 // that may wait for all clients of a loop
	linkHigh    = 4 << 20   // unsent on a link above which its senders are paused (spec upstream-protocols 4.5)
	linkGrow    = 256 << 10 // unsent on every link of a pool above which it takes one more
	linkLevel   = 64 << 10  // by which queues of links must differ to matter more than their streams
	flushSize   = 512 << 10 // of requests on a link that leave before the turn is over
	flushTotal  = 1 << 20   // of requests on all links, the same; until then they gather to be encrypted side by side
	outKeep     = 1 << 20   // of a link's room for requests that is used again
	deliverMost = 256 << 10 // in one Deliver: what a session's scratch takes (upstream.ScratchSize)
	deliverTurn = 64 << 10  // of a queue in one turn of the loop
	fullQueue   = 1 << 20   // what Stream.Queued says while there is no link
)

// Shares of the loop's budget in percent (DESIGN.md 5).
const (
	shedAbove  = 80 // the largest queues are closed
	shedTo     = 75 // until this is reached
	pauseAbove = 95 // links are not read
	readBelow  = 90 // links are read again
)

// maxWrong is how many packets that no app sends close a client (spec upstream-protocols 3.1).
const maxWrong = 3

// unknownEvery is how long in ms a link's answers for one unknown id are left alone after a CloseConn, and
// unknownSlots how many ids a link remembers for that (spec upstream-protocols 3.2).
const (
	unknownEvery = 1_000
	unknownSlots = 16
)

// maxPrefixes is how many heads of requests are kept: one per port, address of ours, transport and tag.
const maxPrefixes = 4096

// maxID is the largest DC id of the lists; beyond it the default serves (spec upstream-protocols 4.7).
const maxID = 999

const staleEvery = 60_000 // ms between two requests for a new secret (spec upstream-protocols 8, fault 5)

// Warm lists the DCs that clients start with: a link to each is kept ready (spec upstream-protocols 4.6).
func Warm() []codec.DC { return []codec.DC{2, -2, 4, -4} }
