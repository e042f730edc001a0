package quota

import "time"

const (
	grain      = 1 << 20  // bytes in one direction that a loop carries for a secret before it settles, at most
	leastGrain = 4 << 10  // near the end of a quota
	quotaShare = 8        // and no more than one part in so many of what is left
	settleTime = 250      // ms between two settlements of an account in use
	rateTime   = 64       // ms between two when clients rest for want of a rate's tokens
	burstTime  = 250      // ms of a rate that are saved up
	leastBurst = 16 << 10 // bytes saved up at least, so that a message fits
	wakeShare  = 16 << 10 // bytes of tokens for which one resting client is woken at a time
	maxRate    = 1 << 44  // bytes a second; more is no limit
)

// Of the file.
const (
	lockTime = 500 * time.Millisecond // how long to wait for another process's lock
	lockTry  = 10 * time.Millisecond  // the same for Retry
	minFile  = 4 * 4096               // bytes of the smallest file that bbolt makes
	maxName  = 255                    // bytes of a secret's name
)
