package reactor

// Sizes are bytes, times milliseconds.
const (
	readMin  = 32 << 10  // a read at first and after a partial write: what one stalled reader costs
	wideAt   = 3         // doublings of the read size at which DialOptions.RecvBufferWide takes effect
	readMax  = 256 << 10 // a read while the peer keeps up: halves the CPU per byte against 64 KiB
	turnRead = 4         // reads of one socket before the others have their turn

	lowWater = 16 << 10 // Drained is called at or below it

	smallChunk   = 2 << 10  // for an opening that waits for connect
	bigChunk     = 16 << 10 // for what a slow reader left
	chunkReserve = 4 << 20  // free chunks that a reactor keeps; more go back to the heap
	flushChunks  = 64       // chunks in one writev, so 1 MiB per socket and turn

	stallTime   = 15_000 // a queue that does not move (DESIGN.md section 5)
	patientTime = 30_000 // a queue of a Patient socket that does not move (spec upstream-protocols 4.5)
	drainTime   = 15_000 // a closing socket whose queue does not move
	halfTime    = 60_000 // a half-closed socket on which nothing moves
	dialTime    = 5_000  // spec upstream-protocols 5.4
	lingerTime  = 500    // between two looks at whether the peer took all, when its FIN does not come
	lingerTurns = 16     // such looks, and turns of 4 reads each: at most 8 s

	acceptBurst = 64   // accepts of one listener before others have their turn
	acceptRetry = 100  // until a listener that ran out of descriptors is tried again
	logEvery    = 1000 // between two lines about the same kind of fault

	mostEvents = 64   // of one wait: a full loop answers the last of them a millisecond later with 1,024
	holdTime   = 2    // that a wait holds the processor
	yieldTime  = 5    // between two calls of the scheduler: from 10 on Go's monitor takes the processor of who stays away
	quickWaits = 16   // shorter waits in a row before one does
	keptTasks  = 1024 // room for posted functions that is kept

	backlog = 4096 // the kernel caps it at net.core.somaxconn
)
