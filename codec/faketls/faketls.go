// Package faketls is the TLS costume: check a ClientHello, build the answer, frame records.
//
// The way of a connection (spec client-protocols 4):
//
//	client                                    proxy
//	ClientHello, its random signed  ------->  Sniff, ParseHello, Digester.Check, Profile.Choose
//	CheckFlight  <--------------------------  Digester.AppendFlight: ServerHello | CCS | application data
//	CCS | 17 03 03 records  --------------->  Reader.Strip
//	             <--------------------------  PutHeader, 17 03 03 records
//
// Everything a stranger can send is judged by ParseHello alone, which allocates nothing; only
// well-formed hellos are worth an HMAC.
package faketls

import "epoxy/codec"

// Record types, and the versions of RFC 8446 5.1.
const (
	typeCCS       = 0x14
	typeAlert     = 0x15
	typeHandshake = 0x16
	typeData      = 0x17

	clientHello = 0x01
	serverHello = 0x02
)

// Offsets in a ClientHello and in a ServerHello record, alike (spec client-protocols 4.1, 4.3).
//
//	type | 03 0x | length u16 | kind | length u24 | 03 03 | random, 32 | session id length | session id, 0..32 | ...
const (
	versionAt  = HeaderSize + 4
	randomAt   = versionAt + 2
	randomSize = 32
	sessionAt  = randomAt + randomSize
	maxSession = 32
)

// Extension numbers that are looked at.
const (
	extSNI      = 0x0000
	extVersions = 0x002b
	extKeyShare = 0x0033
)

// ccs is the change-cipher-spec record; ccsSize its length.
const (
	ccs     = "\x14\x03\x03\x00\x01\x01"
	ccsSize = len(ccs)
)

var (
	errShape    = codec.NewError(codec.ReasonHelloShape, "faketls: malformed client hello")
	errSize     = codec.NewError(codec.ReasonHelloSize, "faketls: client hello size")
	errSuite    = codec.NewError(codec.ReasonHelloSuite, "faketls: no tls 1.3 suite")
	errShare    = codec.NewError(codec.ReasonHelloShare, "faketls: no usable key share")
	errDigest   = codec.NewError(codec.ReasonHelloDigest, "faketls: digest mismatch")
	errAlert    = codec.NewError(codec.ReasonTLSAlert, "faketls: alert record")
	errRecord   = codec.NewError(codec.ReasonTLSRecord, "faketls: bad record")
	errEmpty    = codec.NewError(codec.ReasonTLSEmpty, "faketls: too many empty records")
	errManyCCS  = codec.NewError(codec.ReasonTLSCCS, "faketls: too many change-cipher-spec records")
	errShares   = codec.NewError(codec.ReasonNone, "faketls: client hello without shares")
	errDomain   = codec.NewError(codec.ReasonNone, "faketls: domain longer than 253 bytes")
	errTooLarge = codec.NewError(codec.ReasonNone, "faketls: client hello does not fit its shape")
)

// Sniff looks at the first 1..3 bytes of a connection (spec client-protocols 3.2): true is the start of a
// TLS handshake record, 16 03 01|02|03; false is certainly none; ErrShort is undecided.
func Sniff(p []byte) (bool, error) {
	switch {
	case len(p) == 0:
		return false, codec.ErrShort
	case p[0] != typeHandshake:
		return false, nil
	case len(p) == 1:
		return false, codec.ErrShort
	case p[1] != 3:
		return false, nil
	case len(p) == 2:
		return false, codec.ErrShort
	}
	return p[2] >= 1 && p[2] <= 3, nil
}

// PutHeader writes the header of an application-data record of n payload bytes, 17 03 03 n, into
// dst[:HeaderSize]. n must be 1..MaxPayload: an empty record stops an iOS client for good.
func PutHeader(dst []byte, n int) {
	_ = dst[HeaderSize-1]
	dst[0], dst[1], dst[2], dst[3], dst[4] = typeData, 3, 3, byte(n>>8), byte(n)
}
