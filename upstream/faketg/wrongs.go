package faketg

import (
	"encoding/binary"
	"hash/crc32"

	"epoxy/codec/full"
	"epoxy/codec/rpc"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// wrongNonce appends our nonce with the faults that it shall have, and returns it as the proxy will read it.
func (m *Middle) wrongNonce(out []byte, theirs *rpc.Nonce, ours rpc.Nonce) ([]byte, rpc.Nonce) {
	f := m.faults
	if f.OtherSelector {
		ours.Selector = ^ours.Selector
	}
	if f.Schema != nil {
		ours.Schema = *f.Schema
	}
	if f.Mirror {
		ours.Random = theirs.Random
	}
	ours.Time += uint32(f.Skew)
	body := ours.Append(nil)
	if ours.Schema == rpc.SchemaAESExtended {
		body = append(body, 0, 0, 0, 0) // so many selectors more
	}
	at := len(out)
	out = m.enc.Append(out, body)
	if f.NonceSeq {
		m.renumber(out[at:], -1)
	}
	if f.NonceSum {
		out[len(out)-1] ^= 0x80
	}
	if f.Early {
		out = new(full.Encoder).Append(out, rpc.AppendPing(nil, pipelinedPing))
		m.renumber(out[len(out)-pingFrame:], -1)
	}
	if f.ClearFiller {
		out = append(out, 4, 0, 0, 0)
	}
	return out, ours
}

// renumber gives a frame another sequence number, and the checksum that fits.
func (m *Middle) renumber(frame []byte, seq int32) {
	binary.LittleEndian.PutUint32(frame[4:], uint32(seq))
	end := len(frame) - 4
	sum := crc32.ChecksumIEEE(frame[:end])
	if m.crc32c && m.state == linkOpen {
		sum = crc32.Checksum(frame[:end], castagnoli)
	}
	binary.LittleEndian.PutUint32(frame[end:], sum)
}

// Do appends what fault f sends, on an open link. See End for what the socket has to do then.
func (m *Middle) Do(out []byte, f Fault) []byte {
	if m.end != EndNone || m.state != linkOpen {
		return out
	}
	m.at = len(out)
	return m.flush(m.do(out, f))
}

func (m *Middle) do(out []byte, f Fault) []byte {
	m.seen.Struck++
	id, live := m.stream()
	switch f {
	case FaultNone, faultCount:
		m.seen.Struck--
	case FaultSum, FaultSeq, FaultOdd, FaultShort, FaultHuge:
		out = m.wrongFrame(out, f)
	case FaultTorn:
		out = m.flush(out)
		at := m.at
		out = m.flush(m.send(out, rpc.AppendAnswer(nil, 0, id, make([]byte, tornSize))))
		out = out[:at+(len(out)-at)/2+1]
		m.at = len(out)
		m.end = EndReset
	case FaultFIN:
		m.end = EndFIN
	case FaultReset:
		m.end = EndReset
	case FaultSilence:
		m.end = EndSilence
	case FaultDeaf:
		m.end = EndDeaf
	case FaultStrayAnswer:
		out = m.send(out, rpc.AppendAnswer(nil, 0, m.stray(), make([]byte, MinPacket)))
	case FaultStrayClose:
		out = m.send(out, rpc.AppendCloseExt(nil, m.stray()))
	case FaultStrayAck:
		out = m.send(out, rpc.AppendSimpleAck(nil, m.stray(), 1<<31))
	case FaultUnknown:
		out = m.send(out, binary.LittleEndian.AppendUint32(nil, unknownWord))
	case FaultEmpty:
		out = m.send(out, rpc.AppendAnswer(nil, 0, id, nil))
	case FaultLarge:
		out = m.send(out, rpc.AppendAnswer(nil, 0, id, make([]byte, full.MaxFrame-full.Overhead-rpc.AnswerSize)))
	case FaultPings:
		for i := range uint64(floodPings) {
			out = m.send(out, rpc.AppendPing(m.body[:0], i))
		}
	case FaultPing:
		out = m.send(out, rpc.AppendPing(nil, pipelinedPing))
	case FaultMalformed:
		ack := rpc.AppendSimpleAck(nil, id, 1<<31)
		out = m.send(out, ack[:len(ack)-4])
	case FaultCloseStream:
		if live {
			out = m.closeExt(out, id)
		}
	case FaultCloseStreams:
		for _, id := range m.IDs() {
			out = m.closeExt(out, id)
		}
	case FaultCloseConn:
		if live {
			m.forget(m.streams[id], closedByUs)
			m.seen.ClosedByUs++
			out = m.send(out, rpc.AppendCloseConn(nil, id))
		}
	case FaultNotFound:
		if live {
			out = m.send(out, rpc.AppendAnswer(nil, 0, id, binary.LittleEndian.AppendUint32(nil, notFound)))
		}
	}
	return out
}

// wrongFrame appends a pong to no ping, whose frame is wrong.
func (m *Middle) wrongFrame(out []byte, f Fault) []byte {
	at := len(out)
	out = m.enc.Append(out, rpc.AppendPong(nil, 0))
	frame := out[at:]
	switch f {
	case FaultSum:
		frame[len(frame)-1] ^= 0x80
	case FaultSeq:
		m.renumber(frame, int32(binary.LittleEndian.Uint32(frame[4:]))+1)
	case FaultOdd:
		binary.LittleEndian.PutUint32(frame, pingFrame+1)
	case FaultShort:
		binary.LittleEndian.PutUint32(frame, 8)
	case FaultHuge:
		binary.LittleEndian.PutUint32(frame, 0x7ffffffc)
	default: // the callers name the five
	}
	return out
}

// stream returns the open stream with the least id, or a stray one.
func (m *Middle) stream() (id uint64, live bool) {
	for one := range m.streams {
		if id == 0 || one < id {
			id = one
		}
	}
	if id == 0 {
		return m.stray(), false
	}
	return id, true
}

// stray returns an id that no stream of the link has.
func (m *Middle) stray() uint64 {
	for id := uint64(0xfeedfacecafebeef); ; id++ {
		if m.streams[id] == nil && m.gone[id] == 0 {
			return id
		}
	}
}
