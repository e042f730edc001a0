// Package frame is abridged, intermediate and padded packets, quick acks.
//
// The packets stand inside the stream of codec/obfs2, in clear:
//
//	abridged       quick 1 bit, words 7 bits (1..7e)                | body
//	               quick 1 bit, 7f 7 bits, words u24le (7f..ffffff) | body
//	intermediate   length 31 bits, quick 1 bit, u32le               | body
//	padded         length 31 bits, quick 1 bit, u32le               | body | padding
package frame

import (
	"encoding/binary"

	"epoxy/codec"
)

// Faults of a client (spec client-protocols 2.1).
var (
	errNone     = codec.NewError(codec.ReasonBadTag, "frame: no transport")
	errZero     = codec.NewError(codec.ReasonPacketZero, "frame: empty packet")
	errSize     = codec.NewError(codec.ReasonPacketSize, "frame: packet too long")
	errAlign    = codec.NewError(codec.ReasonPacketAlign, "frame: intermediate length is no multiple of 4")
	errOverlong = codec.NewError(codec.ReasonPacketOverlong, "frame: long abridged form of a short length")
)

// Packet is one packet of a client.
type Packet struct {
	Body  []byte // whole words, 4 bytes to MaxPacket; points into the input
	Quick bool   // the client wants a quick ack
}

// Next returns the first whole packet in p and the bytes it took with header and padding. An incomplete packet is
// codec.ErrShort and takes nothing; a bad header is an error as soon as it is whole, whatever follows. Of padding only
// the last length % 4 bytes can be told from the body and are dropped (spec client-protocols 2.1).
func Next(t codec.Transport, p []byte) (Packet, int, error) {
	return next(t, p, MaxPacket)
}

// next is Next with a limit for the delivered length.
func next(t codec.Transport, p []byte, limit int) (Packet, int, error) {
	h, err := parse(t, p, limit)
	if err != nil {
		return Packet{}, 0, err
	}
	end := h.size + h.length
	if len(p) < end {
		return Packet{}, 0, codec.ErrShort
	}
	return Packet{Body: p[h.size : h.size+h.body()], Quick: h.quick}, end, nil
}

// Size returns the bytes that the first packet in p takes with header and padding, as soon as its header is whole: for
// who collects a packet piece by piece. Errors are those of Next.
func Size(t codec.Transport, p []byte) (int, error) {
	h, err := parse(t, p, MaxPacket)
	if err != nil {
		return 0, err
	}
	return h.size + h.length, nil
}

// header is what stands before a packet.
type header struct {
	size   int // of the header itself
	length int // of body and padding
	quick  bool
}

// body returns the delivered length.
func (h header) body() int { return h.length &^ (wordSize - 1) }

// parse reads and checks the header at the start of p.
func parse(t codec.Transport, p []byte, limit int) (h header, err error) {
	switch t {
	case codec.Abridged:
		h, err = parseAbridged(p)
	case codec.Intermediate, codec.Padded:
		h, err = parseWord(p)
	case codec.TransportNone:
		err = errNone
	}
	switch {
	case err != nil:
		return header{}, err
	case h.length == 0 || t == codec.Padded && h.body() == 0:
		return header{}, errZero
	case t == codec.Intermediate && h.length != h.body():
		return header{}, errAlign
	case h.body() > limit:
		return header{}, errSize
	}
	return h, nil
}

func parseAbridged(p []byte) (header, error) {
	if len(p) == 0 {
		return header{}, codec.ErrShort
	}
	quick, words := p[0]&shortBit != 0, int(p[0]&^shortBit)
	if words != longMark {
		return header{size: 1, length: words * wordSize, quick: quick}, nil
	}
	if len(p) < wordSize {
		return header{}, codec.ErrShort
	}
	words = int(binary.LittleEndian.Uint32(p) >> 8)
	if words != 0 && words <= shortMax {
		return header{}, errOverlong
	}
	return header{size: wordSize, length: words * wordSize, quick: quick}, nil
}

func parseWord(p []byte) (header, error) {
	if len(p) < wordSize {
		return header{}, codec.ErrShort
	}
	word := binary.LittleEndian.Uint32(p)
	return header{size: wordSize, length: int(word &^ quickBit), quick: word&quickBit != 0}, nil
}

// HeaderSize returns the bytes that AppendHeader writes for length bytes.
func HeaderSize(t codec.Transport, length int) int {
	if t == codec.Abridged && length <= shortMax*wordSize {
		return 1
	}
	return wordSize
}

// AppendHeader appends the header of a packet of length bytes, padding included: whole words except for padded ones,
// and below 2^26 for abridged, 2^31 for the others. quick is for clients only.
func AppendHeader(dst []byte, t codec.Transport, length int, quick bool) []byte {
	if t != codec.Abridged {
		word := uint32(length)
		if quick {
			word |= quickBit
		}
		return binary.LittleEndian.AppendUint32(dst, word)
	}
	words, flag := uint32(length/wordSize), uint32(0)
	if quick {
		flag = shortBit
	}
	if words <= shortMax {
		return append(dst, byte(words|flag))
	}
	return binary.LittleEndian.AppendUint32(dst, words<<8|longMark|flag)
}

// Append appends one whole packet without quick bit. body is whole words and not empty, padding is random bytes, used
// by padded packets only: at most MaxServerPadding of them towards a client, which the caller sees to.
func Append(dst []byte, t codec.Transport, body, padding []byte) []byte {
	if t != codec.Padded {
		padding = nil
	}
	dst = AppendHeader(dst, t, len(body)+len(padding), false)
	dst = append(dst, body...)
	return append(dst, padding...)
}
