package frame

import (
	"encoding/binary"

	"epoxy/codec"
)

// Transport error codes, which Telegram sends as a packet of 4 bytes (spec client-protocols 2.4).
const (
	Nop           = 0    // no error: to be ignored
	ErrorNotFound = -404 // the auth key is not known; what replayed or random payloads provoke
	ErrorFlood    = -429
	ErrorBadDC    = -444
)

// TransportError returns the code of a body of exactly 4 bytes, which is no MTProto packet but a transport error or,
// with code 0, a nop. Everybody on the way passes it on like a packet.
func TransportError(body []byte) (code int32, ok bool) {
	if len(body) != wordSize {
		return 0, false
	}
	return int32(binary.LittleEndian.Uint32(body)), true
}

// AppendQuickAck appends the answer to a packet with the quick bit: 4 bytes without a header. confirm is as Telegram
// gives it, with bit 31 set (spec client-protocols 2.3).
func AppendQuickAck(dst []byte, t codec.Transport, confirm uint32) []byte {
	if t == codec.Abridged {
		return binary.BigEndian.AppendUint32(dst, confirm)
	}
	return binary.LittleEndian.AppendUint32(dst, confirm)
}

// Answer is what a client reads: a packet, or a quick ack when Body is nil.
type Answer struct {
	Body    []byte // whole words; points into the input
	Confirm uint32 // of a quick ack
}

// NextAnswer is Next for the way down, where the quick bit makes a quick ack and the limit is MaxAnswer. Clients use it.
func NextAnswer(t codec.Transport, p []byte) (Answer, int, error) {
	var order binary.ByteOrder = binary.LittleEndian
	sign := wordSize - 1 // the byte with bit 31
	if t == codec.Abridged {
		order, sign = binary.BigEndian, 0
	}
	if len(p) > sign && p[sign]&shortBit != 0 {
		if len(p) < wordSize {
			return Answer{}, 0, codec.ErrShort
		}
		return Answer{Confirm: order.Uint32(p)}, wordSize, nil
	}
	packet, n, err := next(t, p, MaxAnswer)
	return Answer{Body: packet.Body}, n, err
}
