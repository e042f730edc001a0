// Package proxyproto is PROXY protocol v1/v2 headers, both ways.
//
// A balancer sends one header ahead of the client's bytes (spec client-protocols 7.2):
//
//	v1   "PROXY " ("TCP4" | "TCP6") " " SRC " " DST " " SPORT " " DPORT CRLF, or "PROXY UNKNOWN" anything CRLF
//	v2   signature 12 | version 4 bits, command 4 bits | family 4 bits, protocol 4 bits | length u16be | addresses | TLVs
package proxyproto

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"strconv"

	"epoxy/codec"
)

// Header is what a balancer says about the connection.
type Header struct {
	Src, Dst netip.AddrPort // the client and what it connected to, IPv4-mapped addresses as IPv4; zero when Local
	Local    bool           // no addresses, or none that we know: those of the socket hold
}

const (
	prefixV1    = "PROXY "
	signatureV2 = "\r\n\r\n\x00\r\nQUIT\n"
	crlf        = "\r\n"

	versionMask, version2      = 0xf0, 0x20
	commandLocal, commandProxy = 0x0, 0x1
	familyInet4, familyInet6   = 0x1, 0x2 // the high half of byte 13; 0 is none, 3 a unix socket
	protocolStream             = 0x1
)

var (
	errSignature = codec.NewError(codec.ReasonProxyHeader, "proxyproto: no header")
	errLine      = codec.NewError(codec.ReasonProxyHeader, "proxyproto: bad version 1 line")
	errVersion   = codec.NewError(codec.ReasonProxyHeader, "proxyproto: bad version or command")
	errLength    = codec.NewError(codec.ReasonProxyHeader, "proxyproto: bad length")
)

// Parse returns the header at the start of p and the bytes it took. What cannot become a header is an error at once.
func Parse(p []byte) (Header, int, error) {
	switch {
	case begins(p, signatureV2):
		return parseV2(p)
	case begins(p, prefixV1):
		return parseV1(p)
	}
	return Header{}, 0, errSignature
}

// begins reports whether p starts with want, or could with more bytes.
func begins(p []byte, want string) bool {
	n := min(len(p), len(want))
	return string(p[:n]) == want[:n]
}

// parseV1 reads a line that begins as one.
func parseV1(p []byte) (Header, int, error) {
	line, _, whole := bytes.Cut(p[:min(len(p), MaxV1)], []byte(crlf))
	switch {
	case !whole && len(p) >= MaxV1:
		return Header{}, 0, errLine
	case !whole:
		return Header{}, 0, codec.ErrShort
	}
	used := len(line) + len(crlf)
	family, rest, _ := bytes.Cut(line[len(prefixV1):], []byte(" "))
	if string(family) == "UNKNOWN" {
		return Header{Local: true}, used, nil
	}
	var field [4][]byte
	for i := range field[:3] {
		field[i], rest, _ = bytes.Cut(rest, []byte(" "))
	}
	field[3] = rest
	src, ok1 := parseAddrPort(field[0], field[2], string(family))
	dst, ok2 := parseAddrPort(field[1], field[3], string(family))
	if !ok1 || !ok2 {
		return Header{}, 0, errLine
	}
	return Header{Src: src, Dst: dst}, used, nil
}

// parseAddrPort reads an address of the family, TCP4 or TCP6, and a port without sign and leading zeros.
func parseAddrPort(addrText, portText []byte, family string) (netip.AddrPort, bool) {
	addr, err := netip.ParseAddr(string(addrText))
	if err != nil || addr.Zone() != "" {
		return netip.AddrPort{}, false
	}
	switch family {
	case "TCP4":
		if !addr.Is4() {
			return netip.AddrPort{}, false
		}
	case "TCP6":
		if !addr.Is6() {
			return netip.AddrPort{}, false
		}
	default:
		return netip.AddrPort{}, false
	}
	if len(portText) > 1 && portText[0] == '0' {
		return netip.AddrPort{}, false
	}
	port, err := strconv.ParseUint(string(portText), 10, 16)
	return netip.AddrPortFrom(addr.Unmap(), uint16(port)), err == nil
}

// parseV2 reads a header that begins as one.
func parseV2(p []byte) (Header, int, error) {
	const versionAt = len(signatureV2)
	if len(p) <= versionAt {
		return Header{}, 0, codec.ErrShort
	}
	command := p[versionAt] &^ versionMask
	if p[versionAt]&versionMask != version2 || command > commandProxy {
		return Header{}, 0, errVersion
	}
	if len(p) < fixedV2 {
		return Header{}, 0, codec.ErrShort
	}
	family, length := p[versionAt+1]>>4, int(binary.BigEndian.Uint16(p[versionAt+2:]))
	size := 0 // of the addresses
	if command == commandProxy {
		switch family {
		case familyInet4:
			size = inet4
		case familyInet6:
			size = inet6
		}
	}
	switch {
	case length < size || length > restV2:
		return Header{}, 0, errLength
	case len(p) < fixedV2+length:
		return Header{}, 0, codec.ErrShort
	case size == 0:
		return Header{Local: true}, fixedV2 + length, nil
	}
	src, dst := parsePair(p[fixedV2 : fixedV2+size])
	return Header{Src: src, Dst: dst}, fixedV2 + length, nil
}

// parsePair reads two addresses, then two ports.
func parsePair(p []byte) (src, dst netip.AddrPort) {
	half := (len(p) - 4) / 2
	srcAddr, _ := netip.AddrFromSlice(p[:half])
	dstAddr, _ := netip.AddrFromSlice(p[half : 2*half])
	ports := p[2*half:]
	return netip.AddrPortFrom(srcAddr.Unmap(), binary.BigEndian.Uint16(ports)),
		netip.AddrPortFrom(dstAddr.Unmap(), binary.BigEndian.Uint16(ports[2:]))
}

// AppendV1 appends a version 1 line. An invalid address, as of a unix socket, makes it UNKNOWN; two families become
// IPv6. Zones are left out.
func AppendV1(b []byte, src, dst netip.AddrPort) []byte {
	from, to, ok := samePair(src, dst)
	if !ok {
		return append(b, "PROXY UNKNOWN\r\n"...)
	}
	family := "TCP6 "
	if from.Is4() {
		family = "TCP4 "
	}
	b = append(append(b, prefixV1...), family...)
	b = append(from.AppendTo(b), ' ')
	b = append(to.AppendTo(b), ' ')
	b = append(strconv.AppendUint(b, uint64(src.Port()), 10), ' ')
	b = strconv.AppendUint(b, uint64(dst.Port()), 10)
	return append(b, crlf...)
}

// AppendV2 appends a version 2 header without TLVs. An invalid address makes it LOCAL; two families become IPv6.
func AppendV2(b []byte, src, dst netip.AddrPort) []byte {
	b = append(b, signatureV2...)
	from, to, ok := samePair(src, dst)
	switch {
	case !ok:
		return append(b, version2|commandLocal, 0, 0, 0)
	case from.Is4():
		b = append(b, version2|commandProxy, familyInet4<<4|protocolStream, 0, inet4)
	default:
		b = append(b, version2|commandProxy, familyInet6<<4|protocolStream, 0, inet6)
	}
	b = append(append(b, from.AsSlice()...), to.AsSlice()...)
	b = binary.BigEndian.AppendUint16(b, src.Port())
	return binary.BigEndian.AppendUint16(b, dst.Port())
}

// samePair returns both addresses in one family, IPv4 when both are; ok is false when one is invalid.
func samePair(src, dst netip.AddrPort) (from, to netip.Addr, ok bool) {
	from, to = src.Addr().Unmap().WithZone(""), dst.Addr().Unmap().WithZone("")
	if !from.IsValid() || !to.IsValid() {
		return from, to, false
	}
	if from.Is4() != to.Is4() {
		from, to = netip.AddrFrom16(from.As16()), netip.AddrFrom16(to.As16())
	}
	return from, to, true
}
