// Package split is the link between front and back: frames and messages, link protocol v1.
//
//	type u8 | flags u8 | 0 u16 | stream u32 | length u32 | payload, length bytes
//
// Everything is little-endian. Stream 0 is the link itself. Types that are not known are skipped by their length,
// flags that are not known are ignored (spec upstream-protocols 6.3).
package split

import (
	"encoding/binary"

	"epoxy/codec"
)

// Type is the kind of a frame.
type Type uint8

// The types. F is the front, B the back.
const (
	TypeHello  Type = 1 + iota // both, first
	TypeStatus                 // B to F, after Hello and on change
	TypeOpen                   // F to B; data may follow at once
	TypeBound                  // B to F
	TypeData                   // both
	TypeAck                    // B to F
	TypeClose                  // both; final, never answered
	TypeCredit                 // both
	TypePing                   // both
	TypePong                   // both
	TypeAway                   // both: no new streams on this link
)

// Flags of Data.
const (
	FlagMore  = 1 << 0 // more fragments of this packet follow
	FlagQuick = 1 << 1 // the client wants a quick ack; F to B, on the last fragment
)

// Frame is one frame.
type Frame struct {
	Type    Type
	Flags   uint8
	Stream  uint32 // 0 is the link
	Payload []byte // points into the input
}

// More reports that fragments of the same packet follow.
func (f *Frame) More() bool { return f.Flags&FlagMore != 0 }

// Quick reports that the client wants a quick ack.
func (f *Frame) Quick() bool { return f.Flags&FlagQuick != 0 }

// Faults of the other side; each ends the link.
var (
	errReserved = codec.NewError(codec.ReasonFrameSize, "split: reserved bytes are not zero")
	errSize     = codec.NewError(codec.ReasonFrameSize, "split: a frame longer than 64 KiB")
	errHello    = codec.NewError(codec.ReasonFrameSize, "split: a hello longer than 1 KiB")
	errStream   = codec.NewError(codec.ReasonMessage, "split: a stream where none belongs, or none where one does")
	errShape    = codec.NewError(codec.ReasonMessage, "split: a message of another shape")
)

// Next returns the first whole frame in p and the bytes it took. An incomplete frame is codec.ErrShort and takes
// nothing; a bad header is an error as soon as it is whole.
func Next(p []byte) (Frame, int, error) {
	if len(p) < HeaderSize {
		return Frame{}, 0, codec.ErrShort
	}
	f := Frame{Type: Type(p[0]), Flags: p[1], Stream: binary.LittleEndian.Uint32(p[4:])}
	size := binary.LittleEndian.Uint32(p[8:])
	switch {
	case p[2]|p[3] != 0:
		return Frame{}, 0, errReserved
	case size > MaxPayload:
		return Frame{}, 0, errSize
	case size > MaxHello && f.Type == TypeHello:
		return Frame{}, 0, errHello
	case f.Stream > MaxStream || f.Type.known() && f.Type.ofStream() != (f.Stream != 0):
		return Frame{}, 0, errStream
	}
	end := HeaderSize + int(size)
	if len(p) < end {
		return Frame{}, 0, codec.ErrShort
	}
	f.Payload = p[HeaderSize:end:end]
	return f, end, nil
}

// known reports whether the version has this type.
func (t Type) known() bool { return t >= TypeHello && t <= TypeAway }

// ofStream reports whether a known type is about a stream, not about the link.
func (t Type) ofStream() bool { return t >= TypeOpen && t <= TypeCredit }

// AppendHeader appends the header of a frame of length bytes, at most MaxPayload.
func AppendHeader(dst []byte, t Type, flags uint8, stream uint32, length int) []byte {
	dst = append(dst, byte(t), flags, 0, 0)
	dst = binary.LittleEndian.AppendUint32(dst, stream)
	return binary.LittleEndian.AppendUint32(dst, uint32(length))
}

// SetStream writes the stream of the frame at the start of p.
func SetStream(p []byte, stream uint32) { binary.LittleEndian.PutUint32(p[4:], stream) }

// AppendData appends a packet of a stream as frames of at most most bytes each, the last with flags; an empty packet is
// none.
func AppendData(dst []byte, stream uint32, flags uint8, packet []byte, most int) []byte {
	for len(packet) > most {
		dst = AppendHeader(dst, TypeData, FlagMore, stream, most)
		dst = append(dst, packet[:most]...)
		packet = packet[most:]
	}
	if len(packet) == 0 {
		return dst
	}
	dst = AppendHeader(dst, TypeData, flags, stream, len(packet))
	return append(dst, packet...)
}
