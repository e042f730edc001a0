package rpc

import (
	"encoding/binary"

	"epoxy/codec"
)

// Crypto schemas (spec upstream-protocols 2.3). CRC-32C is no schema but a flag of the handshake.
const (
	SchemaAES         = 1
	SchemaAESExtended = 2 // with up to 8 more selectors
)

// Faults of a middle proxy's nonce.
var (
	errNonce    = codec.NewError(codec.ReasonLinkNonce, "rpc: malformed nonce")
	errMirror   = codec.NewError(codec.ReasonLinkNonce, "rpc: nonce equal to ours")
	errSchema   = codec.NewError(codec.ReasonLinkSchema, "rpc: unsupported crypto schema")
	errSelector = codec.NewError(codec.ReasonLinkSelector, "rpc: nonce for another secret")
	errSkew     = codec.NewError(codec.ReasonLinkSkew, "rpc: clocks too far apart")
)

// Nonce opens a link in both directions, in clear; the proxy's comes first (spec upstream-protocols 2.3).
type Nonce struct {
	Selector uint32   // names the secret
	Schema   uint32   // SchemaAES in ours
	Time     uint32   // the sender's clock, seconds of Unix time
	Random   [16]byte // from a secure source
}

// Selector returns what names a secret: its first 4 bytes. 0 is no selector (spec upstream-protocols 1.2).
func Selector(secret []byte) uint32 {
	if len(secret) < wordSize {
		return 0
	}
	return binary.LittleEndian.Uint32(secret)
}

// Append appends the nonce, without further selectors.
func (n *Nonce) Append(dst []byte) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, wordNonce)
	dst = binary.LittleEndian.AppendUint32(dst, n.Selector)
	dst = binary.LittleEndian.AppendUint32(dst, n.Schema)
	dst = binary.LittleEndian.AppendUint32(dst, n.Time)
	return append(dst, n.Random[:]...)
}

// ParseNonce returns the nonce in body, which has schema 1, or 2 whose further selectors are passed over. Errors:
// ReasonLinkNonce for another shape, ReasonLinkSchema for another schema.
func ParseNonce(body []byte) (Nonce, error) {
	if len(body) < nonceSize || binary.LittleEndian.Uint32(body) != wordNonce {
		return Nonce{}, errNonce
	}
	n := Nonce{
		Selector: binary.LittleEndian.Uint32(body[4:]),
		Schema:   binary.LittleEndian.Uint32(body[8:]),
		Time:     binary.LittleEndian.Uint32(body[12:]),
		Random:   [16]byte(body[16:]),
	}
	size := nonceSize
	switch n.Schema {
	case SchemaAES:
	case SchemaAESExtended:
		if len(body) < nonceSize+wordSize {
			return Nonce{}, errNonce
		}
		more := binary.LittleEndian.Uint32(body[nonceSize:])
		if more > maxSelectors {
			return Nonce{}, errNonce
		}
		size += wordSize + int(more)*wordSize
	default:
		return Nonce{}, errSchema
	}
	if len(body) != size {
		return Nonce{}, errNonce
	}
	return n, nil
}

// Skew returns by how many seconds the sender's clock is ahead of ours, which shows now, seconds of Unix time.
func (n *Nonce) Skew(now int64) int32 { return int32(n.Time - uint32(now)) }

// Accept checks a middle proxy's answer to n, which arrived at now. Errors: ReasonLinkSelector, ReasonLinkNonce when it
// is our own, ReasonLinkSkew (spec upstream-protocols 2.3).
func (n *Nonce) Accept(answer *Nonce, now int64) error {
	skew := answer.Skew(now)
	switch {
	case answer.Selector != n.Selector || n.Selector == 0:
		return errSelector
	case answer.Random == n.Random:
		return errMirror
	case skew > MaxSkew || skew < -MaxSkew:
		return errSkew
	}
	return nil
}
