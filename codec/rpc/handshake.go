package rpc

import (
	"encoding/binary"
	"net/netip"

	"epoxy/codec"
)

// HandshakeCRC32C is the flag that offers CRC-32C, and that accepts it. The low 8 bits are 0
// (spec upstream-protocols 2.2, 2.5).
const (
	HandshakeCRC32C = 0x800
	forbiddenFlags  = 0xff
)

// Faults of a middle proxy's handshake.
var (
	errHandshake = codec.NewError(codec.ReasonLinkHandshake, "rpc: malformed handshake")
	errFlags     = codec.NewError(codec.ReasonLinkHandshake, "rpc: handshake with unknown flags")
	errChecksum  = codec.NewError(codec.ReasonLinkChecksum, "rpc: CRC-32C was not offered")
	errPID       = codec.NewError(codec.ReasonLinkPID, "rpc: handshake for another process")
	errRefused   = codec.NewError(codec.ReasonLinkRefused, "rpc: handshake refused")
)

// ProcessID names a process, in 12 bytes. Fields that are not known are 0 (spec upstream-protocols 2.5).
type ProcessID struct {
	IP    uint32 // IPv4, the first byte highest; 0 for IPv6 and loopback
	Port  uint16 // 0 for a client
	PID   uint16 // low half
	Start uint32 // seconds of Unix time
}

// IPOf returns what a ProcessID says of an address.
func IPOf(a netip.Addr) uint32 {
	if a = a.Unmap(); !a.Is4() || a.IsLoopback() {
		return 0
	}
	b := a.As4()
	return binary.BigEndian.Uint32(b[:])
}

// append appends ip u32 | port u16 | pid u16 | start u32.
func (p *ProcessID) append(dst []byte) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, p.IP)
	dst = binary.LittleEndian.AppendUint16(dst, p.Port)
	dst = binary.LittleEndian.AppendUint16(dst, p.PID)
	return binary.LittleEndian.AppendUint32(dst, p.Start)
}

// parseProcess reads processSize bytes.
func parseProcess(p []byte) ProcessID {
	return ProcessID{
		IP:    binary.LittleEndian.Uint32(p),
		Port:  binary.LittleEndian.Uint16(p[4:]),
		PID:   binary.LittleEndian.Uint16(p[6:]),
		Start: binary.LittleEndian.Uint32(p[8:]),
	}
}

// matches reports whether what p says fits other: every field that is known in p.
func (p *ProcessID) matches(other *ProcessID) bool {
	return (p.IP == 0 || p.IP == other.IP) && (p.Port == 0 || p.Port == other.Port) &&
		(p.PID == 0 || p.PID == other.PID) && (p.Start == 0 || p.Start == other.Start)
}

// Handshake is the second frame in both directions, the first encrypted one.
type Handshake struct {
	Flags        uint32
	Sender, Peer ProcessID
}

// Append appends the handshake.
func (h *Handshake) Append(dst []byte) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, wordHandshake)
	dst = binary.LittleEndian.AppendUint32(dst, h.Flags)
	return h.Peer.append(h.Sender.append(dst))
}

// ParseHandshake returns the handshake in body. Errors: ReasonLinkHandshake; ReasonLinkRefused for a handshake error,
// for ParseHandshakeError.
func ParseHandshake(body []byte) (Handshake, error) {
	if _, ok := ParseHandshakeError(body); ok {
		return Handshake{}, errRefused
	}
	if len(body) != handshakeSize || binary.LittleEndian.Uint32(body) != wordHandshake {
		return Handshake{}, errHandshake
	}
	return Handshake{
		Flags:  binary.LittleEndian.Uint32(body[4:]),
		Sender: parseProcess(body[8:]),
		Peer:   parseProcess(body[8+processSize:]),
	}, nil
}

// Accept checks a middle proxy's answer to h and reports whether both directions turn to CRC-32C. The answer's sender
// is not looked at, as the official proxy does not. Errors: ReasonLinkHandshake for unknown flags, ReasonLinkChecksum,
// ReasonLinkPID (spec upstream-protocols 2.5).
func (h *Handshake) Accept(answer *Handshake) (crc32c bool, err error) {
	crc32c = answer.Flags&HandshakeCRC32C != 0
	switch {
	case answer.Flags&forbiddenFlags != 0:
		return false, errFlags
	case crc32c && h.Flags&HandshakeCRC32C == 0:
		return false, errChecksum
	case !answer.Peer.matches(&h.Sender):
		return false, errPID
	}
	return crc32c, nil
}

// HandshakeCode says why a handshake was refused (spec upstream-protocols 2.5).
type HandshakeCode int32

// The codes.
const (
	RefusedPacket HandshakeCode = -3
	RefusedPeer   HandshakeCode = -4
	RefusedSender HandshakeCode = -6
	RefusedFlags  HandshakeCode = -7
	RefusedCRC32C HandshakeCode = -8
)

// String returns the metric label.
func (c HandshakeCode) String() string {
	switch c {
	case RefusedPacket:
		return "bad_packet"
	case RefusedPeer:
		return "peer_pid"
	case RefusedSender:
		return "sender_pid"
	case RefusedFlags:
		return "flags"
	case RefusedCRC32C:
		return "crc32c"
	default: // the wire may say anything
		return "other"
	}
}

// HandshakeError is what a middle proxy may send in place of its handshake, before it closes.
type HandshakeError struct {
	Code    HandshakeCode
	Process ProcessID
}

// Append appends the error.
func (e *HandshakeError) Append(dst []byte) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, wordHandshakeError)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(e.Code))
	return e.Process.append(dst)
}

// ParseHandshakeError returns the handshake error in body, if it is one.
func ParseHandshakeError(body []byte) (HandshakeError, bool) {
	if len(body) != errorSize || binary.LittleEndian.Uint32(body) != wordHandshakeError {
		return HandshakeError{}, false
	}
	return HandshakeError{
		Code:    HandshakeCode(binary.LittleEndian.Uint32(body[4:])),
		Process: parseProcess(body[8:]),
	}, true
}
