package probe

import "time"

// How long a probe listens after its last byte. What has not ended by then counts as open.
const (
	fastLimit = 2 * time.Second  // a probe of the fast group
	slowLimit = 70 * time.Second // a probe of the slow group: nginx gives a silent client 60 s
	dialLimit = 5 * time.Second

	answerLimit = 10 * time.Second // a TLS client's handshake and page; as long as no user would wait
)

// What counts as the same in time. A proxy next to its front adds less; a scanner elsewhere sees its own
// network's jitter on top and cannot tell less apart either.
const (
	endTolerance   = time.Second           // two ends this near are one
	endShare       = 10                    // or this near, as 1/endShare of the reference's time
	firstTolerance = 25 * time.Millisecond // two first bytes this near are one
	firstFactor    = 3                     // and so are two that differ by no more than this factor
)

// Slack is how much later a connection that got no answer may well end at the target than at
// the reference: a proxy waits for the rest of a hello before it asks its front, and only then does the
// front's own timer start (spec client-protocols 7.1: 15 s without a byte, 10 s with some).
const Slack = 15 * time.Second

const (
	defaultRepeat   = 3
	defaultParallel = 16                    // probes at the same time; each has 2 x Repeat connections
	stagger         = 30 * time.Millisecond // between the repeats of a probe, so that they do not meet each other
	segmentPause    = 50 * time.Millisecond // between the segments of a torn hello
	slowBytePause   = time.Second           // row 44 of spec client-protocols 9
	maxAnswer       = 1 << 20               // bytes of an answer that are kept
	mostRuns        = 5                     // runs of like records that a summary shows
	maxHead         = 60                    // characters of an answer in plain text that a summary shows
)
