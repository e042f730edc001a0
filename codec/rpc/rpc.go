// Package rpc is the middle proxy's messages: nonce, handshake, proxy_req, ans, ack, close, ping.
//
// A message is the body of a frame of codec/full, a word that names it and fields in little endian:
//
//	nonce            to, from   7acb87aa | selector u32 | schema u32 | time u32 | 16 random
//	handshake        to, from   7682eef5 | flags u32 | sender, 12 | peer, 12
//	handshake error  from       6a27beda | code i32 | process, 12
//	request          to         36cef1ee | flags u32 | stream u64 | client, 20 | proxy, 20 | [length u32, extra] | packet
//	answer           from       4403da0d | flags u32 | stream u64 | packet
//	simple ack       from       3bac409b | stream u64 | confirm u32
//	close ext        from       5eb634a2 | stream u64
//	close conn       to         1fcf425d | stream u64
//	ping, pong       to, from   5730a2df, 8430eaa7 | number u64
//
// Frames are whole, so a body that is too short stays so: nothing here is codec.ErrShort.
package rpc

import (
	"encoding/binary"

	"epoxy/codec"
)

// The words that name messages (spec upstream-protocols 2.3, 2.5, 2.7, 3).
const (
	wordNonce          = 0x7acb87aa
	wordHandshake      = 0x7682eef5
	wordHandshakeError = 0x6a27beda
	wordRequest        = 0x36cef1ee
	wordAnswer         = 0x4403da0d
	wordSimpleAck      = 0x3bac409b
	wordCloseExt       = 0x5eb634a2
	wordCloseConn      = 0x1fcf425d
	wordPing           = 0x5730a2df
	wordPong           = 0x8430eaa7
)

// Kind says which message a body is.
type Kind uint8

// The kinds of messages behind the handshake.
const (
	Unknown   Kind = iota // to be ignored, and counted by its word
	Request               // a client's packet, for ParseRequest
	Answer                // a packet for a client
	SimpleAck             // a quick ack for a client
	CloseExt              // the middle proxy ends a stream
	CloseConn             // the proxy ends a stream; from a middle proxy it means the same as CloseExt
	Ping                  // to be answered by Pong at once
	Pong                  // the answer
)

// String returns the metric label.
func (k Kind) String() string {
	switch k {
	case Request:
		return "proxy_req"
	case Answer:
		return "proxy_ans"
	case SimpleAck:
		return "simple_ack"
	case CloseExt:
		return "close_ext"
	case CloseConn:
		return "close_conn"
	case Ping:
		return "ping"
	case Pong:
		return "pong"
	case Unknown:
	}
	return "unknown"
}

// Flags of an Answer. Clients of TCP need neither (spec upstream-protocols 3.2).
const (
	AnswerFlush = 8  // send at once
	AnswerError = 16 // the data is a transport error of 4 bytes
)

// Message is a message behind the handshake.
type Message struct {
	Kind    Kind
	Word    uint32 // what names it
	Flags   uint32 // of an Answer
	ID      uint64 // the stream, or the number of a Ping or Pong
	Confirm uint32 // of a SimpleAck
	Data    []byte // of an Answer, whole words, to be dropped when empty; points into the body
}

var errMessage = codec.NewError(codec.ReasonMessage, "rpc: message of a wrong length")

// Parse returns the message in body. An unknown one is no error, and of a Request there is no more than the Kind. The
// error, for a known one of a wrong length, is ReasonMessage, with no more than the Kind and Word; the link is still in
// step, and the official proxy passes over such a message.
func Parse(body []byte) (m Message, err error) {
	if len(body) < wordSize {
		return m, errMessage
	}
	m.Word = binary.LittleEndian.Uint32(body)
	switch m.Word {
	case wordAnswer:
		m.Kind = Answer
		if len(body) < AnswerSize {
			return m, errMessage
		}
		m.Flags = binary.LittleEndian.Uint32(body[4:])
		m.ID = binary.LittleEndian.Uint64(body[8:])
		m.Data = body[AnswerSize:]
		return m, nil
	case wordSimpleAck:
		m.Kind = SimpleAck
		if len(body) != ackSize {
			return m, errMessage
		}
		m.ID = binary.LittleEndian.Uint64(body[4:])
		m.Confirm = binary.LittleEndian.Uint32(body[12:])
		return m, nil
	case wordRequest:
		m.Kind = Request
		return m, nil
	case wordCloseExt:
		m.Kind = CloseExt
	case wordCloseConn:
		m.Kind = CloseConn
	case wordPing:
		m.Kind = Ping
	case wordPong:
		m.Kind = Pong
	default:
		return m, nil
	}
	if len(body) != closeSize {
		return m, errMessage
	}
	m.ID = binary.LittleEndian.Uint64(body[4:])
	return m, nil
}

// AppendAnswer appends an Answer for stream id; data is whole words.
func AppendAnswer(dst []byte, flags uint32, id uint64, data []byte) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, wordAnswer)
	dst = binary.LittleEndian.AppendUint32(dst, flags)
	dst = binary.LittleEndian.AppendUint64(dst, id)
	return append(dst, data...)
}

// AppendSimpleAck appends a SimpleAck for stream id; confirm has bit 31 set.
func AppendSimpleAck(dst []byte, id uint64, confirm uint32) []byte {
	return binary.LittleEndian.AppendUint32(appendID(dst, wordSimpleAck, id), confirm)
}

// AppendCloseExt appends a CloseExt for stream id.
func AppendCloseExt(dst []byte, id uint64) []byte { return appendID(dst, wordCloseExt, id) }

// AppendCloseConn appends a CloseConn for stream id.
func AppendCloseConn(dst []byte, id uint64) []byte { return appendID(dst, wordCloseConn, id) }

// AppendPing appends a Ping with any number.
func AppendPing(dst []byte, number uint64) []byte { return appendID(dst, wordPing, number) }

// AppendPong appends the answer to the Ping with that number.
func AppendPong(dst []byte, number uint64) []byte { return appendID(dst, wordPong, number) }

func appendID(dst []byte, word uint32, id uint64) []byte {
	return binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint32(dst, word), id)
}
