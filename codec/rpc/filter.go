package rpc

import "encoding/binary"

// The calls that a client without an auth key makes (spec upstream-protocols 3.1).
const (
	callReqPQ        = 0x60469778
	callReqPQMulti   = 0xbe7e8ef1
	callReqDHParams  = 0xd712e4be
	callSetClientDHP = 0xf5045f1f
)

// Plain reports whether a packet has auth key 0: it is in clear, and part of making a key.
func Plain(packet []byte) bool {
	return len(packet) >= 8 && binary.LittleEndian.Uint64(packet) == 0
}

// Acceptable reports whether the official proxy passes a client's packet on: at least MinPayload bytes and, of a plain
// one, a fitting inner length and one of the four calls that make a key. anyCall leaves the calls out. A client that
// sends others again and again is no Telegram app (spec upstream-protocols 3.1).
//
//	plain packet    0 key u64, 0 | 8 message u64 | 16 length i32 | 20 call u32 ...
func Acceptable(packet []byte, anyCall bool) bool {
	if len(packet) < MinPayload {
		return false
	}
	if !Plain(packet) {
		return true
	}
	inner := int32(binary.LittleEndian.Uint32(packet[16:]))
	if inner < plainHeader || int64(inner) > int64(len(packet)-plainHeader) {
		return false
	}
	switch binary.LittleEndian.Uint32(packet[plainHeader:]) {
	case callReqPQ, callReqPQMulti, callReqDHParams, callSetClientDHP:
		return true
	}
	return anyCall
}
