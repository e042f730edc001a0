package load

import (
	"encoding/binary"

	"epoxy/codec"
	"epoxy/upstream/faketg"
)

// packets reads the stream of answers without a buffer: it holds a torn head, and content is checked where it
// lies. It is not codec/frame, on purpose: what the proxy writes is judged by other code than the proxy's.
//
//	abridged:  words u8 < 0x7f  or  0x7f words u24le | packet
//	others:    bytes u32le                           | packet | 0..3 bytes of padding when padded
type packets struct {
	opened  bool // the opening frame is out
	have    uint8
	head    [4 + faketg.HeadSize]byte
	cmd     faketg.Command
	content int    // bytes of cmd's content still to come
	pad     int    // bytes behind it
	at      uint64 // offset of the next content byte in its pattern
	data    uint64 // bytes of the running source that came
}

// read checks what came and says how far the client is.
func (c *Client) read(p []byte) (done Progress, err error) {
	r := &c.packets
	for len(p) > 0 {
		switch {
		case r.content > 0:
			n := min(r.content, len(p))
			if !faketg.CheckPattern(p[:n], c.id, r.at) {
				return done, errContent
			}
			r.content -= n
			r.at += uint64(n)
			p = p[n:]
			if r.cmd.Op == faketg.OpData {
				r.data += uint64(n)
				done.Data += n
			} else if r.content == 0 {
				c.echoGot = r.at
				done.Echoes++
			}
		case r.pad > 0:
			n := min(r.pad, len(p))
			r.pad -= n
			p = p[n:]
		default:
			n, whole, err := r.fill(p, c.who.Transport)
			if err != nil {
				return done, err
			}
			p = p[n:]
			if !whole {
				return done, nil
			}
			if err := c.answer(r.cmd); err != nil {
				return done, err
			}
			done.Synced = done.Synced || r.cmd.Op == faketg.OpSynced
		}
	}
	return done, nil
}

// fill collects a packet's head: the length and the command. whole says that cmd, content and pad are set.
func (r *packets) fill(p []byte, t codec.Transport) (used int, whole bool, err error) {
	for {
		size, header := r.size(t)
		need := header
		if size >= 0 {
			if size == 4 {
				return used, false, errRefused
			}
			if size < faketg.HeadSize {
				return used, false, errFrame
			}
			need += faketg.HeadSize
		}
		n := copy(r.head[r.have:need], p[used:])
		used += n
		r.have += uint8(n)
		if int(r.have) < need {
			return used, false, nil
		}
		if size < 0 {
			continue
		}
		r.have = 0
		if r.cmd, _, err = faketg.ParseHead(r.head[header:need]); err != nil {
			return used, false, errAnswer
		}
		r.content = r.cmd.Content()
		r.pad = size - faketg.HeadSize - r.content
		r.at = r.cmd.Value
		if r.pad < 0 || r.pad > 3 || r.pad > 0 && t != codec.Padded {
			return used, false, errFrame
		}
		return used, true, nil
	}
}

// size returns the packet's length, -1 while it is not known, and the length of its header as far as known.
func (r *packets) size(t codec.Transport) (size, header int) {
	if t != codec.Abridged {
		if r.have < 4 {
			return -1, 4
		}
		return int(binary.LittleEndian.Uint32(r.head[:])), 4
	}
	switch {
	case r.have == 0:
		return -1, 1
	case r.head[0] != 0x7f:
		return int(r.head[0]) * 4, 1
	case r.have < 4:
		return -1, 4
	}
	return int(binary.LittleEndian.Uint32(r.head[:])>>8) * 4, 4
}

// appendPacket appends a command as a packet of the identity's transport.
func appendPacket(dst []byte, who *Identity, cmd faketg.Command) []byte {
	size := faketg.HeadSize + cmd.Content()
	switch who.Transport {
	case codec.Abridged:
		if words := size / 4; words < 0x7f {
			dst = append(dst, byte(words))
		} else {
			dst = binary.LittleEndian.AppendUint32(dst, uint32(words)<<8|0x7f)
		}
		return cmd.Append(dst)
	case codec.Intermediate, codec.TransportNone:
		return cmd.Append(binary.LittleEndian.AppendUint32(dst, uint32(size)))
	case codec.Padded:
	}
	who.Rand(who.pad[:])
	n := int(who.pad[0]) % clientPad
	dst = cmd.Append(binary.LittleEndian.AppendUint32(dst, uint32(size+n)))
	return append(dst, who.pad[1:1+n]...)
}

// records strips what fake-TLS adds, in place, as strictly as the apps: 17 03 03, 1..16384 bytes.
type records struct {
	left int
	have uint8
	head [5]byte
}

// strip moves the payload together at the start of p and returns its length.
func (r *records) strip(p []byte) (n int, err error) {
	for rest := p; len(rest) > 0; {
		if r.left > 0 {
			k := copy(p[n:], rest[:min(r.left, len(rest))])
			n, r.left, rest = n+k, r.left-k, rest[k:]
			continue
		}
		k := copy(r.head[r.have:], rest)
		rest = rest[k:]
		if r.have += uint8(k); int(r.have) < len(r.head) {
			return n, nil
		}
		r.have = 0
		r.left = int(binary.BigEndian.Uint16(r.head[3:]))
		if string(r.head[:3]) != "\x17\x03\x03" || r.left == 0 || r.left > maxRecord {
			return n, errRecord
		}
	}
	return n, nil
}
