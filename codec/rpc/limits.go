package rpc

// MaxSkew is how far the clocks of both ends may be apart in seconds; middle proxies hold to it too. WarnSkew is where
// an operator should hear of it (spec upstream-protocols 2.3).
const (
	MaxSkew  = 30
	WarnSkew = 5
)

// MaxRequest is the longest head of a request in bytes, with an ad tag; the payload follows.
const MaxRequest = requestSize + extraSize

// AnswerSize is the length in bytes of what stands before an answer's data.
const AnswerSize = 16

// MinPayload is the shortest packet of a client in bytes that the official proxy passes on, and its plain header, behind
// which the call follows (spec upstream-protocols 3.1).
const (
	MinPayload  = 28
	plainHeader = 20
)

// Lengths in bytes (spec upstream-protocols 2.3, 2.5, 3).
const (
	wordSize      = 4
	nonceSize     = 32
	maxSelectors  = 8 // of schema 2
	handshakeSize = 32
	errorSize     = 20
	processSize   = 12
	closeSize     = 12 // and ping, pong
	ackSize       = 16
	addressSize   = 20
	requestSize   = 56
	extraSize     = 28 // of the ad tag, with its length
)
