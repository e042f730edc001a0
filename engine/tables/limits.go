package tables

import "time"

const (
	gather    = 250 * time.Millisecond // how long changes are gathered before they are written; durable within 1 s
	again     = time.Second            // after a write failed
	lockTime  = 500 * time.Millisecond // how long to wait for another process's lock
	batch     = 1 << 16                // changes in one transaction: a few MB of memory, one fsync
	loadBatch = 1024                   // keys put into the tables at once

	minFile = 4 * 4096 // bytes of the smallest file that bbolt makes
)
