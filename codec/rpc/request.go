package rpc

import (
	"encoding/binary"
	"net/netip"

	"epoxy/codec"
)

// Flags of a request (spec upstream-protocols 3.1).
const (
	FlagPlain        = 0x00000002 // the packet has auth key 0
	FlagHTTPQuery    = 0x00000004 // the extra is of an HTTP query; never by us
	FlagTag          = 0x00000008 // the extra is an ad tag
	FlagMagic        = 0x00001000 // always
	FlagObfuscated   = 0x00020000 // the client sent an opening frame of 64 bytes: always, for us
	FlagPad          = 0x08000000 // the client pads
	FlagIntermediate = 0x20000000 // and padded
	FlagAbridged     = 0x40000000
	FlagQuickAck     = 0x80000000 // the client wants a quick ack for this packet

	flagsExtra = FlagTag | FlagHTTPQuery
)

// Tag is the ad tag of a promoted channel.
type Tag [16]byte

// constructorTag and tagLength begin the ad tag in TL: a string of 16 bytes, padded to words.
const (
	constructorTag = 0xdb1e26ae
	tagLength      = 16
)

// Address is an address and port as requests have them: IPv6 or IPv4 in IPv6, port u32le.
type Address [addressSize]byte

// AddressOf returns the Address of a; that of an invalid one is 0.
func AddressOf(a netip.AddrPort) (out Address) {
	if a.Addr().IsValid() {
		ip := a.Addr().As16()
		copy(out[:], ip[:])
		binary.LittleEndian.PutUint32(out[16:], uint32(a.Port()))
	}
	return out
}

// AddrPort returns a as netip has it, IPv4 in IPv6 as IPv4.
func (a *Address) AddrPort() netip.AddrPort {
	ip := netip.AddrFrom16([16]byte(a[:])).Unmap()
	return netip.AddrPortFrom(ip, uint16(binary.LittleEndian.Uint32(a[16:])))
}

// Prefix is what stands before every packet of a stream, ready to copy: 88 bytes. One can be kept for each stream, or
// one for all streams of a port and transport, on one loop, that is bound to the stream before each Append.
type Prefix struct {
	size  uint8
	bytes [MaxRequest]byte
}

// Common is what the streams of a port and a transport have in common.
type Common struct {
	Transport codec.Transport
	Proxy     netip.AddrPort // our public address with the client's port of entry
	Tag       *Tag           // nil is none
	NoPad     bool           // leave FlagPad out, as the official proxy does
}

// NewPrefix returns a Prefix that is to be bound (spec upstream-protocols 3.1).
func NewPrefix(c *Common) (p Prefix) {
	flags := uint32(FlagMagic | FlagObfuscated)
	switch c.Transport {
	case codec.Abridged:
		flags |= FlagAbridged
	case codec.Intermediate:
		flags |= FlagIntermediate
	case codec.Padded:
		flags |= FlagIntermediate
		if !c.NoPad {
			flags |= FlagPad
		}
	case codec.TransportNone:
	}
	p.size = requestSize
	if c.Tag != nil {
		flags |= FlagTag
		p.size = MaxRequest
		binary.LittleEndian.PutUint32(p.bytes[requestSize:], extraSize-wordSize)
		binary.LittleEndian.PutUint32(p.bytes[requestSize+4:], constructorTag)
		p.bytes[requestSize+8] = tagLength
		copy(p.bytes[requestSize+9:], c.Tag[:])
	}
	proxy := AddressOf(c.Proxy)
	binary.LittleEndian.PutUint32(p.bytes[0:], wordRequest)
	binary.LittleEndian.PutUint32(p.bytes[4:], flags)
	copy(p.bytes[36:], proxy[:])
	return p
}

// Bind makes p the prefix of stream id of client. id is not 0, and never used again on its link.
func (p *Prefix) Bind(id uint64, client *Address) {
	binary.LittleEndian.PutUint64(p.bytes[8:], id)
	copy(p.bytes[16:], client[:])
}

// Append appends the request of one packet: whole words, without its framing (spec upstream-protocols 3.1). quick asks
// for a SimpleAck.
func (p *Prefix) Append(dst, packet []byte, quick bool) []byte {
	at := len(dst)
	dst = append(dst, p.bytes[:p.size]...)
	if quick {
		dst[at+7] |= FlagQuickAck >> 24
	}
	if Plain(packet) {
		dst[at+4] |= FlagPlain
	}
	return append(dst, packet...)
}

// Query is a request as a middle proxy reads it. The slices point into the body.
type Query struct {
	Flags         uint32
	ID            uint64
	Client, Proxy Address
	Extra         []byte // without its length; nil when the flags say that there is none
	Packet        []byte
}

// ParseRequest returns the request in body. The error is ReasonMessage.
func ParseRequest(body []byte) (Query, error) {
	if len(body) < requestSize || binary.LittleEndian.Uint32(body) != wordRequest {
		return Query{}, errMessage
	}
	q := Query{
		Flags:  binary.LittleEndian.Uint32(body[4:]),
		ID:     binary.LittleEndian.Uint64(body[8:]),
		Client: Address(body[16:]),
		Proxy:  Address(body[36:]),
		Packet: body[requestSize:],
	}
	if q.Flags&flagsExtra == 0 {
		return q, nil
	}
	if len(q.Packet) < wordSize {
		return Query{}, errMessage
	}
	size := binary.LittleEndian.Uint32(q.Packet)
	rest := q.Packet[wordSize:]
	if size%wordSize != 0 || uint64(size) > uint64(len(rest)) {
		return Query{}, errMessage
	}
	q.Extra, q.Packet = rest[:size:size], rest[size:]
	return q, nil
}

// Tag returns the ad tag, if there is one.
func (q *Query) Tag() (tag Tag, ok bool) {
	if q.Flags&FlagTag == 0 || len(q.Extra) != extraSize-wordSize ||
		binary.LittleEndian.Uint32(q.Extra) != constructorTag || q.Extra[4] != tagLength {
		return Tag{}, false
	}
	return Tag(q.Extra[5:]), true
}
