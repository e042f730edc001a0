package faketg

import "encoding/binary"

// Mind is what one client's datacenter thinks: packets in, answers out, whatever carries them. The zero Mind is
// ready. It echoes every packet that is neither a Command nor a request for a resPQ.
type Mind struct {
	source Command // the running OpSource; Value is its end
	next   uint64  // where it stands
	sunk   uint64
	wrong  bool
}

// Reply is an answer that is not yet written, so that a carrier can put its header first.
type Reply struct {
	Size int // bytes that Append will append, a multiple of 4; 0 is no answer

	kind   replyKind
	cmd    Command
	packet []byte
}

type replyKind uint8

const (
	replyNone replyKind = iota
	replyEcho           // packet as it came
	replyCmd            // cmd with its content
	replyPQ             // resPQ to packet
)

// Answer thinks about one packet. The reply points into packet and must be appended before the packet goes.
// A command that makes no sense is echoed like any packet. A wrong byte in a sink shows in the next OpSynced.
func (m *Mind) Answer(packet []byte) Reply {
	if wantsPQ(packet) {
		return Reply{Size: resPQSize, kind: replyPQ, packet: packet}
	}
	echo := Reply{Size: len(packet) &^ 3, kind: replyEcho, packet: packet[:len(packet)&^3]}
	if !IsCommand(packet) {
		return echo
	}
	c, _, err := ParseHead(packet)
	content := packet[HeadSize:]
	if err != nil || c.Content() > len(content) {
		return echo
	}
	switch c.Op {
	case OpSink:
		m.wrong = m.wrong || !CheckPattern(content[:c.Size], c.ID, c.Value)
		m.sunk += uint64(c.Size)
		return Reply{}
	case OpSync:
		return m.synced(c.ID)
	case OpSource:
		c.Value = (c.Value + 3) &^ 3
		if c.Size == 0 {
			c.Size = DefaultContent
		}
		m.source, m.next = c, 0
		return Reply{}
	case OpEcho, OpData, OpSynced:
	}
	echo.Size = HeadSize + c.Content() // without whole words of padding
	echo.packet = packet[:echo.Size]
	return echo
}

func (m *Mind) synced(id uint32) Reply {
	c := Command{Op: OpSynced, ID: id, Value: m.sunk}
	if m.wrong {
		c.Size = 1
	}
	return Reply{Size: HeadSize, kind: replyCmd, cmd: c}
}

// Left returns how many content bytes of an OpSource are still to be pulled.
func (m *Mind) Left() uint64 { return m.source.Value - m.next }

// Pull returns the next packet of the running OpSource; Size is 0 when there is none. Whoever carries it
// pulls only as fast as its socket drains.
func (m *Mind) Pull() Reply {
	n := min(m.Left(), uint64(m.source.Size))
	if n == 0 {
		return Reply{}
	}
	c := Command{Op: OpData, ID: m.source.ID, Value: m.next, Size: uint32(n)}
	m.next += n
	return Reply{Size: HeadSize + int(n), kind: replyCmd, cmd: c}
}

// Append appends the reply, Size bytes. rand draws the server's nonce.
func (r Reply) Append(dst []byte, rand func([]byte)) []byte {
	switch r.kind {
	case replyEcho:
		return append(dst, r.packet...)
	case replyCmd:
		return r.cmd.Append(dst)
	case replyPQ:
		return appendResPQ(dst, r.packet, rand)
	case replyNone:
	}
	return dst
}

// The first exchange of MTProto's key creation, unencrypted both ways:
//
//	auth_key_id u64 = 0 | message_id u64le | length u32le | message, length bytes
//	req_pq, req_pq_multi:  constructor u32le | nonce 16
//	resPQ:                 constructor u32le | nonce 16 | server_nonce 16 | pq string | vector of long
const (
	reqPQ      = 0x60469778
	reqPQMulti = 0xbe7e8ef1
	resPQ      = 0x05162463
	vector     = 0x1cb5c415

	plainHead  = 20
	nonceSize  = 16
	reqPQSize  = plainHead + 4 + nonceSize
	resPQSize  = plainHead + 4 + 2*nonceSize + 12 + 4 + 4 + 8 // pq: 8 bytes in a string of 12; the vector: 1 long
	pqProduct  = "\x17\xed\x48\x94\x1a\x08\xf9\x81"
	keyPrint   = 0xc3b42b026ce86b21
	serverMark = 1 // message_id mod 4 of an answer
)

// wantsPQ reports an unencrypted req_pq or req_pq_multi. Its length field may claim more than the 20 bytes,
// and padding may follow (spec client-protocols 13.5).
func wantsPQ(p []byte) bool {
	if len(p) < reqPQSize || binary.LittleEndian.Uint64(p) != 0 || binary.LittleEndian.Uint32(p[16:]) < 4+nonceSize {
		return false
	}
	id := binary.LittleEndian.Uint32(p[plainHead:])
	return id == reqPQ || id == reqPQMulti
}

func appendResPQ(dst, req []byte, rand func([]byte)) []byte {
	le := binary.LittleEndian
	dst = le.AppendUint64(dst, 0)
	dst = le.AppendUint64(dst, le.Uint64(req[8:])&^3|serverMark)
	dst = le.AppendUint32(dst, resPQSize-plainHead)
	dst = le.AppendUint32(dst, resPQ)
	dst = append(dst, req[plainHead+4:reqPQSize]...)
	dst = append(dst, make([]byte, nonceSize)...)
	rand(dst[len(dst)-nonceSize:])
	dst = append(dst, byte(len(pqProduct)))
	dst = append(dst, pqProduct...)
	dst = append(dst, 0, 0, 0)
	dst = le.AppendUint32(dst, vector)
	dst = le.AppendUint32(dst, 1)
	return le.AppendUint64(dst, keyPrint)
}
