package session

// Our limits and timings; those that operators set are in Timing.
const (
	softQueue    = 64 << 10 // bytes queued for one side at which its source is not read on (DESIGN: budgets)
	discardBytes = 1 << 20  // bytes swallowed from a stranger before reading stops (spec client-protocols 1.6)
	discardLeast = 30_000   // ms; a stranger's silence ends at a random moment after accept (1.6)
	discardSpan  = 90_000   // ms on top of discardLeast at most
	openingTime  = 30_000   // ms from our ServerHello to a whole opening frame (7.1, T3)
	timerLate    = 16       // ms that a socket's timer may come late (upstream.Socket)

	headerTime   = 500     // ms; Timing.ProxyHeader when it is 0 (7.2)
	frontSilence = 15_000  // ms; Timing.FrontSilence when it is 0 (7.1, T1)
	frontIdle    = 60_000  // ms; Timing.FrontIdle when it is 0 (6)
	frontTime    = 600_000 // ms; Timing.FrontTime when it is 0 (6)

	trapLow, trapHigh = 1206, 1236 // no segment may end here, give or take TCP options: a hybrid ServerHello does, and Android stumbles (4.4)
	trapSpan          = 10         // bytes behind the ServerHello in which no read of Android may end (4.4)

	rampRecords = 40    // first records of a ramp (4.6)
	rampPayload = 1425  // bytes in each of them at most
	riseRecords = 20    // records after those
	risePayload = 4096  // bytes in each of them at most
	rampSilence = 1_000 // ms without a byte to the client after which a ramp starts again

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

	// 0 of these is the default in parentheses.
	ProxyHeader  int64 // from accept to a whole PROXY protocol header (500 ms)
	FrontSilence int64 // FirstByte where strangers are fronted (15 s)
	FrontIdle    int64 // nothing moved between a stranger and the front (60 s)
	FrontTime    int64 // all of a stranger's time with the front (600 s)
}

// filled returns a copy of t with the defaults in it.
func (t *Timing) filled() *Timing {
	f := *t
	for _, d := range []struct {
		field *int64
		value int64
	}{{&f.ProxyHeader, headerTime}, {&f.FrontSilence, frontSilence}, {&f.FrontIdle, frontIdle}, {&f.FrontTime, frontTime}} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	return &f
}
