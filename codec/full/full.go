// Package full is the middle proxy's carrier: length, sequence, CRC, AES-CBC, key derivation.
//
// A direction is a sequence of frames, of which the first is in clear and the others are inside one AES-256-CBC stream:
//
//	frame    length u32le, 12 + body | sequence i32le, from -2 | body, whole words | checksum u32le of all before
//	filler   04 00 00 00, between frames, without a sequence number
//
// Fillers bring what a sender flushes to whole AES blocks; a frame may start at any word.
package full

import (
	"epoxy/codec"
	"epoxy/codec/crc"
)

// Faults of a middle proxy. Each ends the link: neither CBC nor the sequence can be taken up again
// (spec upstream-protocols 2.1).
var (
	errSize = codec.NewError(codec.ReasonFrameSize, "full: frame of an impossible length")
	errSeq  = codec.NewError(codec.ReasonFrameSeq, "full: frame out of sequence")
	errSum  = codec.NewError(codec.ReasonFrameSum, "full: frame with a wrong checksum")
)

// place is where a direction stands. The zero place is before the first frame.
type place struct {
	frames     uint64 // so far
	castagnoli bool   // frames from number 0 on carry CRC-32C
}

// seq returns the sequence number of the next frame, an int32 from -2 on that wraps.
func (l *place) seq() uint32 { return uint32(l.frames) - early }

// limit returns the greatest length of the next frame.
func (l *place) limit() uint32 {
	if l.frames < early {
		return MaxEarly
	}
	return MaxFrame
}

// sum returns the checksum of p in the next frame (spec upstream-protocols 2.2).
func (l *place) sum(p []byte) uint32 {
	if l.castagnoli && l.frames >= early {
		return crc.Castagnoli(0, p)
	}
	return crc.IEEE(0, p)
}

// UseCRC32C turns to CRC-32C from sequence number 0 on, which both ends do in both directions when the handshakes
// agreed on it (spec upstream-protocols 2.2). It is called before the first such frame.
func (l *place) UseCRC32C() { l.castagnoli = true }
