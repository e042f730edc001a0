package split

import (
	"encoding/binary"

	"epoxy/codec"
)

// Why says why a stream is closed, or why a link takes no more.
type Why uint16

// The reasons.
const (
	WhyNormal   Why = iota
	WhyTelegram     // Telegram closed the stream
	WhyLost         // its way to Telegram was lost
	WhySlow         // its client reads too slowly
	WhyNoRoute
	WhyProtocol
	WhyLimit
	WhyShutdown
)

// AppendClose appends the frame that ends a stream.
func AppendClose(dst []byte, stream uint32, w Why) []byte {
	return binary.LittleEndian.AppendUint16(AppendHeader(dst, TypeClose, 0, stream, closeSize), uint16(w))
}

// AppendAway appends the frame that asks for no more streams on a link.
func AppendAway(dst []byte, w Why) []byte {
	return binary.LittleEndian.AppendUint16(AppendHeader(dst, TypeAway, 0, 0, awaySize), uint16(w))
}

// ParseWhy reads a payload of TypeClose or TypeAway.
func ParseWhy(p []byte) (Why, error) {
	if len(p) != closeSize {
		return 0, errShape
	}
	return Why(binary.LittleEndian.Uint16(p)), nil
}

// Reason returns what a session ends with whose stream B closed.
func (w Why) Reason() codec.Reason {
	switch w {
	case WhyNormal, WhyTelegram:
		return codec.ReasonUpstreamClosed
	case WhySlow:
		return codec.ReasonQueueLimit
	case WhyNoRoute:
		return codec.ReasonNoLink
	case WhyProtocol:
		return codec.ReasonPacketShape
	case WhyLimit:
		return codec.ReasonLimit
	case WhyShutdown:
		return codec.ReasonShutdown
	case WhyLost:
	}
	return codec.ReasonLinkLost
}

// WhyOf returns what to tell the other side of a stream that ended with r.
func WhyOf(r codec.Reason) Why {
	switch r {
	case codec.ReasonNone, codec.ReasonClientClosed, codec.ReasonClientReset, codec.ReasonIdle:
		return WhyNormal
	case codec.ReasonUpstreamClosed:
		return WhyTelegram
	case codec.ReasonQueueLimit, codec.ReasonMemory, codec.ReasonWriteStall:
		return WhySlow
	case codec.ReasonNoLink, codec.ReasonNoUpstream, codec.ReasonDialRefused, codec.ReasonDialTime, codec.ReasonDialError:
		return WhyNoRoute
	case codec.ReasonPacketShape, codec.ReasonPacketSize, codec.ReasonPacketZero, codec.ReasonPacketAlign,
		codec.ReasonPacketOverlong, codec.ReasonBadTag, codec.ReasonAnswerSize, codec.ReasonMessage:
		return WhyProtocol
	case codec.ReasonLimit:
		return WhyLimit
	case codec.ReasonShutdown:
		return WhyShutdown
	default: //exhaustive:ignore
	}
	return WhyLost
}
