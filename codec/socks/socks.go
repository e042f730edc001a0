// Package socks is SOCKS5 and HTTP CONNECT towards a proxy, the client's side.
//
// SOCKS5 (RFC 1928, RFC 1929; spec upstream-protocols 5.5), ours on the left:
//
//	05 n methods                        >
//	                                    < 05 method
//	01 ulen user plen password          >               only for method 02
//	                                    < 01 00
//	05 01 00 atyp address port u16be    >
//	                                    < 05 code 00 atyp address port u16be
//
// What follows the reply belongs to the connection that the proxy made.
package socks

import (
	"encoding/binary"
	"net/netip"

	"epoxy/codec"
)

// Method is how a SOCKS5 proxy wants to know its client.
type Method uint8

// The methods.
const (
	NoAuth   Method = 0x00
	Password Method = 0x02
)

const (
	version     = 0x05
	authVersion = 0x01
	noMethod    = 0xff // none of those offered
	connect     = 0x01

	typeIPv4   = 0x01 // 4 bytes
	typeDomain = 0x03 // a length, then so many
	typeIPv6   = 0x04 // 16 bytes

	replyHead = 4 // version, code, reserved, address type
	portSize  = 2
)

var (
	errVersion  = codec.NewError(codec.ReasonEgressShape, "socks: not a SOCKS5 answer")
	errMethod   = codec.NewError(codec.ReasonEgressShape, "socks: a method that was not offered")
	errNoMethod = codec.NewError(codec.ReasonEgressAuth, "socks: the proxy takes none of our methods")
	errAsks     = codec.NewError(codec.ReasonEgressAuth, "socks: the proxy wants user and password")
	errLogin    = codec.NewError(codec.ReasonEgressAuth, "socks: the proxy does not take user and password")
	errReply    = codec.NewError(codec.ReasonEgressShape, "socks: a reply of another shape")

	// By code (RFC 1928 6); index 0 is for those that it does not have.
	errCodes = [...]*codec.Error{
		codec.NewError(codec.ReasonEgressRefused, "socks: unknown failure"),
		codec.NewError(codec.ReasonEgressRefused, "socks: general failure"),
		codec.NewError(codec.ReasonEgressRefused, "socks: not allowed by the proxy's rules"),
		codec.NewError(codec.ReasonEgressRefused, "socks: network unreachable"),
		codec.NewError(codec.ReasonEgressRefused, "socks: host unreachable"),
		codec.NewError(codec.ReasonEgressRefused, "socks: connection refused"),
		codec.NewError(codec.ReasonEgressRefused, "socks: TTL expired"),
		codec.NewError(codec.ReasonEgressRefused, "socks: command not supported"),
		codec.NewError(codec.ReasonEgressRefused, "socks: address type not supported"),
	}
)

// ValidCredentials reports whether SOCKS5 can carry user and password: 1 to 255 bytes each.
func ValidCredentials(user, password string) bool {
	return user != "" && len(user) <= MaxCredentials && password != "" && len(password) <= MaxCredentials
}

// AppendGreeting appends the offer of methods: none, and with password also user and password.
func AppendGreeting(b []byte, password bool) []byte {
	if password {
		return append(b, version, 2, byte(NoAuth), byte(Password))
	}
	return append(b, version, 1, byte(NoAuth))
}

// ParseMethod returns the method that the proxy chose and the bytes its answer took. password says whether it was
// offered.
func ParseMethod(p []byte, password bool) (Method, int, error) {
	switch {
	case len(p) > 0 && p[0] != version:
		return 0, 0, errVersion
	case len(p) < 2:
		return 0, 0, codec.ErrShort
	}
	switch p[1] {
	case byte(NoAuth):
		return NoAuth, 2, nil
	case byte(Password):
		if !password {
			return 0, 0, errAsks
		}
		return Password, 2, nil
	case noMethod:
		return 0, 0, errNoMethod
	}
	return 0, 0, errMethod
}

// AppendAuth appends user and password, which are ValidCredentials.
func AppendAuth(b []byte, user, password string) []byte {
	b = append(b, authVersion, byte(len(user)))
	b = append(b, user...)
	b = append(b, byte(len(password)))
	return append(b, password...)
}

// ParseAuth returns nil when the proxy took user and password, and the bytes its answer took.
func ParseAuth(p []byte) (int, error) {
	switch {
	case len(p) > 0 && p[0] != authVersion:
		return 0, errVersion
	case len(p) < 2:
		return 0, codec.ErrShort
	case p[1] != 0:
		return 0, errLogin
	}
	return 2, nil
}

// AppendRequest appends the wish for a connection to a valid address; an IPv4-mapped one is IPv4.
func AppendRequest(b []byte, to netip.AddrPort) []byte {
	addr := to.Addr().Unmap()
	kind := byte(typeIPv6)
	if addr.Is4() {
		kind = typeIPv4
	}
	b = append(b, version, connect, 0, kind)
	b = append(b, addr.AsSlice()...)
	return binary.BigEndian.AppendUint16(b, to.Port())
}

// ParseReply returns the address that the target sees, IPv4-mapped ones as IPv4, and the bytes that the reply took. The
// address is as the proxy says, often 0.0.0.0:0, and invalid when it says a domain.
func ParseReply(p []byte) (netip.AddrPort, int, error) {
	var none netip.AddrPort
	switch {
	case len(p) > 0 && p[0] != version:
		return none, 0, errVersion
	case len(p) < 2:
		return none, 0, codec.ErrShort
	case p[1] != 0 && int(p[1]) < len(errCodes):
		return none, 0, errCodes[p[1]]
	case p[1] != 0:
		return none, 0, errCodes[0]
	case len(p) > 2 && p[2] != 0:
		return none, 0, errReply
	case len(p) < replyHead:
		return none, 0, codec.ErrShort
	}
	var size int
	start := replyHead
	switch p[3] {
	case typeIPv4:
		size = 4
	case typeIPv6:
		size = 16
	case typeDomain:
		if len(p) == replyHead {
			return none, 0, codec.ErrShort
		}
		start, size = replyHead+1, int(p[replyHead])
	default:
		return none, 0, errReply
	}
	used := start + size + portSize
	if len(p) < used {
		return none, 0, codec.ErrShort
	}
	if p[3] == typeDomain {
		return none, used, nil
	}
	addr, _ := netip.AddrFromSlice(p[start : start+size])
	return netip.AddrPortFrom(addr.Unmap(), binary.BigEndian.Uint16(p[start+size:])), used, nil
}
