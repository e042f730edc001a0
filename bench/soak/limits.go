package soak

import "time"

// Ours.
const (
	linkLife    = "2s-10s" // of the middle proxies' links
	sampleCount = 200      // in a soak, as far as sampleStep allows: its report is to be kept
	sampleStep  = time.Second
	reloadStep  = 3 * time.Second
	// replayMemory is full within minutes, so that what still grows is not the memory of handshakes.
	replayMemory = "2M"
	restTime     = 40 * time.Second // for the last clients to leave: longer than a stall's
	// spareFDs and spareGoroutines are what a proxy may hold more at the end than at the start: links and what dials them.
	spareFDs        = 16
	spareGoroutines = 16
	// A median of memory may grow by a part and by growBytes from the second quarter to the last: a collector's whims.
	growShare = 5
	growBytes = 16 << 20
	// linearShare is what a client may cost in the second half of Density, in parts of a hundred of the first half's; linearSpare is
	// bytes on top for the whole process, which a collector holds more at one moment than at another; judgedFrom is the
	// number of clients from which on it is judged.
	linearShare = 125
	linearSpare = 4 << 20
	judgedFrom  = 10_000
)
