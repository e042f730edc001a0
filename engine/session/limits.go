package session

// Our limits and timings; those that operators set are in Timing.
const (
	softQueue    = 64 << 10 // bytes queued for one side at which its source is not read on (DESIGN: budgets)
	discardBytes = 1 << 20  // bytes swallowed from a stranger before reading stops (spec client-protocols 1.6)
	discardLeast = 30_000   // ms; a stranger's silence ends at a random moment after accept (1.6)
	discardSpan  = 90_000   // ms on top of discardLeast at most
	openingTime  = 30_000   // ms from our ServerHello to a whole opening frame (7.1, T3)

	scanSlice = 256  // secrets tried for one client in one turn of the loop, about a quarter of a millisecond
	scanFree  = 64   // secrets tried for any client at once, whatever the load
	scanRate  = 250  // secrets per millisecond that a loop spends on long scans, about a quarter of its time
	scanBurst = 4096 // secrets that a quiet loop may spend at once
	scanWait  = 16   // ms until a client whose scan ran out of budget is looked at again

	recentSize = 32   // secrets used lately, per loop and port, tried first
	hintSlots  = 4096 // client addresses remembered with their secret, per loop and port with many secrets
	fewSecrets = 16   // with no more than this many there is nothing to be gained by hints
)

// Timing holds the times of a session in milliseconds; shared and not changed.
type Timing struct {
	FirstByte int64 // from accept to the first byte
	Handshake int64 // from the first byte to a whole hello or init; bytes do not extend it
	Idle      int64 // nothing moved either way
	Compact   int64 // silence after which ciphers are dropped
	Window    int64 // seconds that a hello's clock may differ from ours
}
