package split

import (
	"encoding/binary"
	"net/netip"

	"epoxy/codec"
)

// FeatureBytes is the one feature that both sides may offer; in force is what both do. B offers it when it goes to datacenters
// directly: F had then better open byte streams.
const FeatureBytes = 1 << 0

// Hello is the first frame of both sides.
//
//	vmin u16 | vmax u16 | features u32 | streams u32 | credit u32 | instance 16 | n u8 | name, n bytes
type Hello struct {
	Min, Max uint16 // versions
	Features uint32
	Streams  uint32 // that this side takes on the link at once
	Credit   uint32 // bytes that the other side may send on a new stream
	Instance [instanceSize]byte
	Name     string // at most MaxName bytes
}

// Append appends the frame.
func (h *Hello) Append(dst []byte) []byte {
	dst = AppendHeader(dst, TypeHello, 0, 0, helloSize+len(h.Name))
	dst = binary.LittleEndian.AppendUint16(dst, h.Min)
	dst = binary.LittleEndian.AppendUint16(dst, h.Max)
	dst = binary.LittleEndian.AppendUint32(dst, h.Features)
	dst = binary.LittleEndian.AppendUint32(dst, h.Streams)
	dst = binary.LittleEndian.AppendUint32(dst, h.Credit)
	dst = append(dst, h.Instance[:]...)
	return append(append(dst, byte(len(h.Name))), h.Name...)
}

// ParseHello reads a payload of TypeHello.
func ParseHello(p []byte) (h Hello, err error) {
	if len(p) < helloSize || len(p) != helloSize+int(p[helloSize-1]) {
		return h, errShape
	}
	h.Min, h.Max = binary.LittleEndian.Uint16(p), binary.LittleEndian.Uint16(p[2:])
	h.Features = binary.LittleEndian.Uint32(p[4:])
	h.Streams, h.Credit = binary.LittleEndian.Uint32(p[8:]), binary.LittleEndian.Uint32(p[12:])
	h.Instance = [instanceSize]byte(p[16:])
	h.Name = string(p[helloSize:])
	if h.Min > h.Max {
		return Hello{}, errShape
	}
	return h, nil
}

// Fits reports whether the other side speaks our version.
func (h *Hello) Fits() bool { return h.Min <= Version && Version <= h.Max }

// Flags of a Status.
const (
	StatusReady    = 1 << 0
	StatusDraining = 1 << 1
)

// DCState is one datacenter as B sees it.
type DCState struct {
	DC    codec.DC
	State uint8  // 0 is down, 1 is up
	RTT   uint16 // ms
}

// AppendStatus appends the frame of a Status.
//
//	flags u8 | count u16 | count times: dc i16 | state u8 | rtt u16
func AppendStatus(dst []byte, flags uint8, dcs ...DCState) []byte {
	dst = AppendHeader(dst, TypeStatus, 0, 0, statusSize+len(dcs)*entrySize)
	dst = binary.LittleEndian.AppendUint16(append(dst, flags), uint16(len(dcs)))
	for _, d := range dcs {
		dst = append(binary.LittleEndian.AppendUint16(dst, uint16(d.DC)), d.State)
		dst = binary.LittleEndian.AppendUint16(dst, d.RTT)
	}
	return dst
}

// ParseStatus reads a payload of TypeStatus; the i-th datacenter is StatusDC(p, i), of count.
func ParseStatus(p []byte) (flags uint8, count int, err error) {
	if len(p) < statusSize {
		return 0, 0, errShape
	}
	count = int(binary.LittleEndian.Uint16(p[1:]))
	if len(p) != statusSize+count*entrySize {
		return 0, 0, errShape
	}
	return p[0], count, nil
}

// StatusDC returns the i-th datacenter of a payload that ParseStatus took.
func StatusDC(p []byte, i int) DCState {
	p = p[statusSize+i*entrySize:]
	return DCState{codec.DC(binary.LittleEndian.Uint16(p)), p[2], binary.LittleEndian.Uint16(p[3:])}
}

// Flags of an Open.
const (
	OpenTag    = 1 << 0 // an ad tag follows
	OpenBytes  = 1 << 1 // Data carries the client's bytes as they are, not packets
	OpenDirect = 1 << 2 // F would rather have no middle proxy
)

// Open begins a stream.
//
//	dc i16 | transport u8 | flags u8 | credit u32 | client 16, port u16 | local 16, port u16 [ | 16 u8 | tag 16 ]
type Open struct {
	DC        codec.DC
	Transport codec.Transport
	Flags     uint8  // OpenTag is for Append to set
	Credit    uint32 // bytes that B may send
	Client    netip.AddrPort
	Local     netip.AddrPort
	Tag       *[tagSize]byte // nil is none
}

// Append appends the frame.
func (o *Open) Append(dst []byte, stream uint32) []byte {
	size, flags := openSize, o.Flags&^OpenTag
	if o.Tag != nil {
		size, flags = size+1+tagSize, flags|OpenTag
	}
	dst = AppendHeader(dst, TypeOpen, 0, stream, size)
	dst = binary.LittleEndian.AppendUint16(dst, uint16(o.DC))
	dst = binary.LittleEndian.AppendUint32(append(dst, byte(o.Transport)-byte(codec.Abridged), flags), o.Credit)
	dst = appendAddr(appendAddr(dst, o.Client), o.Local)
	if o.Tag != nil {
		dst = append(append(dst, tagSize), o.Tag[:]...)
	}
	return dst
}

// ParseOpen reads a payload of TypeOpen.
func ParseOpen(p []byte) (o Open, err error) {
	if len(p) < openSize {
		return o, errShape
	}
	flags := p[3]
	switch {
	case flags&OpenTag == 0 && len(p) == openSize:
	case flags&OpenTag != 0 && len(p) == openSize+1+tagSize && p[openSize] == tagSize:
		tag := [tagSize]byte(p[openSize+1:])
		o.Tag = &tag
	default:
		return Open{}, errShape
	}
	if p[2] > byte(codec.Padded-codec.Abridged) {
		return Open{}, errShape
	}
	o.DC, o.Transport, o.Flags = codec.DC(binary.LittleEndian.Uint16(p)), codec.Abridged+codec.Transport(p[2]), flags
	o.Credit = binary.LittleEndian.Uint32(p[4:])
	o.Client, o.Local = addr(p[8:]), addr(p[8+addrSize:])
	return o, nil
}

// appendAddr appends an address, IPv4 in IPv6, and its port; an invalid one is zeros.
func appendAddr(dst []byte, a netip.AddrPort) []byte {
	var ip [16]byte
	if a.Addr().IsValid() {
		ip = a.Addr().As16()
	}
	return binary.LittleEndian.AppendUint16(append(dst, ip[:]...), a.Port())
}

// addr is the reverse; zeros are the zero AddrPort.
func addr(p []byte) netip.AddrPort {
	ip := netip.AddrFrom16([16]byte(p))
	port := binary.LittleEndian.Uint16(p[16:])
	if ip.IsUnspecified() && port == 0 {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(ip.Unmap(), port)
}

// Route is B's way to Telegram.
type Route uint8

// The routes.
const (
	RouteMiddle Route = iota
	RouteDirect
)

// AppendBound appends the frame that tells the way of a stream.
func AppendBound(dst []byte, stream uint32, r Route, dc codec.DC) []byte {
	dst = append(AppendHeader(dst, TypeBound, 0, stream, boundSize), byte(r))
	return binary.LittleEndian.AppendUint16(dst, uint16(dc))
}

// ParseBound reads a payload of TypeBound.
func ParseBound(p []byte) (Route, codec.DC, error) {
	if len(p) != boundSize || p[0] > byte(RouteDirect) {
		return 0, 0, errShape
	}
	return Route(p[0]), codec.DC(binary.LittleEndian.Uint16(p[1:])), nil
}

// AppendAck appends the frame of a quick ack.
func AppendAck(dst []byte, stream, confirm uint32) []byte {
	return binary.LittleEndian.AppendUint32(AppendHeader(dst, TypeAck, 0, stream, ackSize), confirm)
}

// AppendCredit appends the frame that lets the other side send n more bytes.
func AppendCredit(dst []byte, stream, n uint32) []byte {
	return binary.LittleEndian.AppendUint32(AppendHeader(dst, TypeCredit, 0, stream, creditSize), n)
}

// ParseWord reads a payload of TypeAck or TypeCredit.
func ParseWord(p []byte) (uint32, error) {
	if len(p) != ackSize {
		return 0, errShape
	}
	return binary.LittleEndian.Uint32(p), nil
}

// AppendPing appends a ping, or with TypePong its answer.
func AppendPing(dst []byte, t Type, number uint64) []byte {
	return binary.LittleEndian.AppendUint64(AppendHeader(dst, t, 0, 0, pingSize), number)
}

// ParsePing reads a payload of TypePing or TypePong.
func ParsePing(p []byte) (uint64, error) {
	if len(p) != pingSize {
		return 0, errShape
	}
	return binary.LittleEndian.Uint64(p), nil
}
