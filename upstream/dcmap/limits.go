package dcmap

import "epoxy/codec"

// Telegram's limits (spec upstream-protocols 1.2, 1.3).
const (
	MinSecret  = 32   // bytes
	MaxSecret  = 256  // bytes
	maxDCs     = 1024 // ids of one list
	maxTargets = 4096 // addresses of one list, over all ids
)

// DefaultDC serves unknown ids when a list names no default (spec upstream-protocols 1.3, 4.7).
const DefaultDC codec.DC = 2

// maxID is the largest id whose media flavour falls back on the id without its sign; beyond are test
// DCs, 10000 and more (spec upstream-protocols 4.7).
const maxID = 999

// MaxText is the size in bytes of a configuration text that is still read; the real one has about 2 KiB.
const MaxText = 1 << 20

// maxWords is how many words of a statement are looked at; no statement has more than three.
const maxWords = 4

// The ids of which a list that replaces a good one needs at least one (spec upstream-protocols 1.3).
const (
	firstMainDC codec.DC = 1
	lastMainDC  codec.DC = 5
)
