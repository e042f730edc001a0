package ping

import (
	"encoding/binary"
	"time"

	"epoxy/codec"
)

// The first exchange of MTProto's key creation, unencrypted both ways:
//
//	auth_key_id u64 = 0 | message_id u64le | length u32le | message, length bytes
//	req_pq_multi: constructor u32le | nonce 16
//	resPQ:        constructor u32le | nonce 16 | server_nonce 16 | pq string | vector of long
//
// A message_id is seconds since 1970 in its upper half and a fraction in its lower one; its last two bits are 0 for a
// client's and 1 for an answer.
const (
	reqPQMulti = 0xbe7e8ef1
	resPQ      = 0x05162463

	plainHead = 20
	nonceSize = 16
	reqSize   = plainHead + 4 + nonceSize
	resLeast  = plainHead + 4 + 2*nonceSize
)

type nonce [nonceSize]byte

var (
	errPlain = codec.NewError(codec.ReasonMessage, "ping: the answer is no unencrypted MTProto message")
	errOther = codec.NewError(codec.ReasonMessage, "ping: the answer is no resPQ")
	errNonce = codec.NewError(codec.ReasonMessage, "ping: the resPQ answers another nonce")
)

// appendRequest appends a req_pq_multi of 40 bytes, sent at now.
func appendRequest(dst []byte, now time.Time, n nonce) []byte {
	fraction := uint64(now.Nanosecond()) << 32 / uint64(time.Second)
	dst = binary.LittleEndian.AppendUint64(dst, 0)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(now.Unix())<<32|fraction&^3)
	dst = binary.LittleEndian.AppendUint32(dst, reqSize-plainHead)
	dst = binary.LittleEndian.AppendUint32(dst, reqPQMulti)
	return append(dst, n[:]...)
}

// parseAnswer reads the resPQ to n from a whole packet and returns the second at which Telegram sent it.
func parseAnswer(p []byte, n nonce) (unix int64, err error) {
	le := binary.LittleEndian
	switch {
	case len(p) < plainHead+4 || le.Uint64(p) != 0 || uint64(le.Uint32(p[16:])) > uint64(len(p)-plainHead):
		return 0, errPlain
	case le.Uint32(p[plainHead:]) != resPQ || len(p) < resLeast:
		return 0, errOther
	case nonce(p[plainHead+4:]) != n:
		return 0, errNonce
	}
	return int64(le.Uint64(p[8:]) >> 32), nil
}
