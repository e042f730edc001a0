package faketg

import (
	"net/netip"

	"epoxy/codec"
	"epoxy/codec/full"
	"epoxy/codec/rpc"
)

// MiddleOptions are what a Middle knows before its link's first byte.
type MiddleOptions struct {
	Secret   []byte         // the proxy secret, 32 to 256 bytes
	DC       codec.DC       // whose datacenter it stands before, for Seen; 0 is everybody's
	Proxy    netip.AddrPort // the proxy's address as the middle proxy sees it
	Here     netip.AddrPort // the middle proxy's address as it was dialled
	NoCRC32C bool           // leave an offer of CRC-32C alone
	Process  rpc.ProcessID  // of the middle proxy
	Faults   *MiddleFaults  // nil is none; not changed
	Behind   Behind         // nil: a Mind answers for each stream
	Seen     *MiddleSeen    // where to count; nil is nowhere
	Rand     func([]byte)   // fills with random bytes
	Unix     func() int64   // the wall clock in seconds
}

// End is what a Middle wants done with its socket, once what it wrote is sent.
type End uint8

// The ends. Whatever comes after the last two is not answered any more.
const (
	EndNone    End = iota
	EndSilence     // read on, and say nothing ever again: a link that is half open
	EndDeaf        // read nothing any more
	EndFIN         // close
	EndReset       // reset
)

// Middle is the middle proxy's end of one link (spec upstream-protocols 2 and 3): it answers the nonce and the
// handshake, then every request by the Mind of its stream, and misbehaves as MiddleFaults say.
//
//	nonce -> handshake -> open
type Middle struct {
	o      MiddleOptions
	faults *MiddleFaults
	seen   *MiddleSeen
	state  linkState
	end    End
	dec    full.Decoder
	enc    full.Encoder
	at     int    // where in out the frames begin that are not yet encrypted
	theirs uint32 // flags of the proxy's handshake
	crc32c bool

	streams map[uint64]*stream
	gone    map[uint64]closer
	sources []*stream // have something to be pulled, in turns
	answers uint64
	body    [16]byte // room for a short one
}

type linkState uint8

const (
	linkNonce linkState = iota
	linkHandshake
	linkOpen
)

// What a middle proxy closes a link for.
var (
	errMiddleSecret = codec.NewError(codec.ReasonLinkSelector, "faketg: a nonce for another secret")
	errMiddleSkew   = codec.NewError(codec.ReasonLinkSkew, "faketg: a nonce of another time")
	errMiddleFlags  = codec.NewError(codec.ReasonLinkHandshake, "faketg: a handshake with unknown flags")
)

// NewMiddle returns a Middle that waits for a nonce.
func NewMiddle(o MiddleOptions) Middle {
	m := Middle{o: o, faults: o.Faults, seen: o.Seen, streams: map[uint64]*stream{}, gone: map[uint64]closer{}}
	if m.faults == nil {
		m.faults = new(MiddleFaults)
	}
	if m.seen == nil {
		m.seen = new(MiddleSeen)
	}
	if m.o.Process == (rpc.ProcessID{}) {
		m.o.Process = rpc.ProcessID{IP: rpc.IPOf(o.Here.Addr()), Port: o.Here.Port(), PID: 1}
	}
	return m
}

// Opened reports whether the handshake is done.
func (m *Middle) Opened() bool { return m.state == linkOpen }

// End returns what is to be done with the socket.
func (m *Middle) End() End { return m.end }

// Streams returns how many streams are open.
func (m *Middle) Streams() int { return len(m.streams) }

// Feed takes bytes from the wire, which it changes, and appends the answer bytes to out. An error says that a middle
// proxy would close; what was answered before it is appended all the same.
func (m *Middle) Feed(p, out []byte) ([]byte, error) {
	m.seen.Received += uint64(len(p))
	if m.end != EndNone {
		return out, nil
	}
	m.at = len(out)
	m.dec.Feed(p)
	var err error
	for err == nil && m.end == EndNone {
		var body []byte
		if body, err = m.dec.Next(); err != nil {
			break
		}
		switch m.state {
		case linkNonce:
			out, err = m.nonce(out, body)
		case linkHandshake:
			out, err = m.handshake(out, body)
		case linkOpen:
			out = m.message(out, body)
		}
	}
	if err == codec.ErrShort {
		err = nil
	}
	if err != nil {
		m.seen.fault(m.state)
	}
	return m.flush(out), err
}

// nonce answers the proxy's nonce in clear; all that follows is encrypted (spec upstream-protocols 2.3, 2.4).
func (m *Middle) nonce(out, body []byte) ([]byte, error) {
	n, err := rpc.ParseNonce(body)
	if err != nil {
		return out, err
	}
	now := m.o.Unix()
	skew := n.Skew(now)
	switch {
	case n.Selector == 0 || n.Selector != rpc.Selector(m.o.Secret):
		return out, errMiddleSecret
	case skew > rpc.MaxSkew || skew < -rpc.MaxSkew:
		return out, errMiddleSkew
	}
	m.seen.Nonces++
	if m.faults.NoNonce {
		m.end = EndSilence
		return out, nil
	}
	ours := rpc.Nonce{Selector: n.Selector, Schema: rpc.SchemaAES, Time: uint32(now)}
	m.o.Rand(ours.Random[:])
	out, ours = m.wrongNonce(out, &n, ours)
	keys := full.Nonces{
		ProxyAddr: m.o.Proxy, MiddleAddr: m.o.Here, ProxyNonce: n.Random, MiddleNonce: ours.Random, Time: n.Time,
	}
	up, down, err := keys.Derive(m.o.Secret)
	if err != nil {
		return out, err
	}
	if m.faults.WrongKeys {
		up.Key[0] ^= 1
		down.Key[0] ^= 1
	}
	m.dec.Start(&up)
	m.enc.Start(&down)
	m.at = len(out)
	m.state = linkHandshake
	return out, nil
}

// handshake answers the proxy's handshake (spec upstream-protocols 2.5).
func (m *Middle) handshake(out, body []byte) ([]byte, error) {
	h, err := rpc.ParseHandshake(body)
	f := m.faults
	switch {
	case err != nil:
		return m.refuse(out, rpc.RefusedPacket), err
	case h.Flags&forbiddenFlags != 0:
		return m.refuse(out, rpc.RefusedFlags), errMiddleFlags
	case f.HandshakeError != 0:
		m.end = EndFIN
		return m.refuse(out, f.HandshakeError), nil
	case f.NoHandshake:
		m.end = EndSilence
		return out, nil
	}
	m.theirs = h.Flags
	m.crc32c = h.Flags&rpc.HandshakeCRC32C != 0 && !m.o.NoCRC32C || f.ForceCRC32C
	answer := rpc.Handshake{Flags: f.HandshakeFlags, Sender: m.o.Process, Peer: h.Sender}
	if m.crc32c {
		answer.Flags |= rpc.HandshakeCRC32C
	}
	if f.OtherPID {
		answer.Peer = rpc.ProcessID{IP: ^h.Sender.IP, Port: ^h.Sender.Port, PID: ^h.Sender.PID, Start: ^h.Sender.Start}
	}
	at := len(out)
	out = m.close(answer.Append(m.enc.Begin(out)), at)
	if m.crc32c {
		m.enc.UseCRC32C()
		m.dec.UseCRC32C()
	}
	m.state = linkOpen
	m.seen.link(m)
	if f.Pipelined {
		out = m.send(out, rpc.AppendPing(nil, pipelinedPing))
	}
	if f.Then != FaultNone && f.After == 0 && f.LifeMin == 0 {
		out = m.do(out, f.Then)
	}
	return out, nil
}

func (m *Middle) refuse(out []byte, code rpc.HandshakeCode) []byte {
	e := rpc.HandshakeError{Code: code, Process: m.o.Process}
	return m.send(out, e.Append(nil))
}

// send appends a frame with any body to out; a flush has to follow.
func (m *Middle) send(out, body []byte) []byte {
	at := len(out)
	return m.close(append(m.enc.Begin(out), body...), at)
}

// Say appends a frame with any body to out, ready to be sent.
func (m *Middle) Say(out, body []byte) []byte {
	if m.end == EndNone && m.state == linkOpen {
		m.at = len(out)
		out = m.flush(m.send(out, body))
	}
	return out
}

// close ends the frame that begins at out[at:].
func (m *Middle) close(out []byte, at int) []byte {
	out = m.enc.End(out, at)
	if m.faults.PadEach {
		out = m.flush(out)
	}
	return out
}

// flush encrypts what was appended since the last flush.
func (m *Middle) flush(out []byte) []byte {
	out = m.enc.Flush(out, m.at)
	m.at = len(out)
	return out
}
