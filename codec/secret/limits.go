package secret

import "epoxy/codec"

// Domain lengths in bytes (spec client-protocols 3.1).
const (
	MinDomain      = 1   // that we accept
	MinMadeDomain  = 4   // that we make: Telegram Desktop refuses an ee secret below 21 bytes
	MaxDomain      = 182 // TDLib's limit
	plainSize      = codec.KeySize
	paddedSize     = 1 + codec.KeySize
	maxTextSize    = 1024 // ours: the longest form has 398 hex digits
	maxLinkSize    = 2048 // ours: a link of more bytes is none
	shownHexDigits = 4    // of a key, in Masked
)

// The first byte of the two longer forms (spec client-protocols 3.1).
const (
	prefixPadded  = 0xdd
	prefixFakeTLS = 0xee
)
