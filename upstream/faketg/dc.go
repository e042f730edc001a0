// Package faketg is a datacenter and a middle proxy as socket-free machines, for tests, demo and bench.
//
// A DC takes the bytes of one connection and gives the answer bytes, a Middle those of one link; a Mind does the same
// for packets, whatever carries them. A Server puts DCs, a MiddleServer Middles behind the listeners of event loops,
// with faults to order.
package faketg

import (
	"encoding/binary"

	"epoxy/codec"
	"epoxy/codec/frame"
	"epoxy/codec/obfs2"
)

// Opening is what a connection said of itself in its first 64 bytes.
type Opening struct {
	DC        codec.DC
	Transport codec.Transport
	Init      [obfs2.InitSize]byte // as it was on the wire
}

var (
	errOpening = codec.NewError(codec.ReasonBadTag, "faketg: an opening frame without a known tag")
	errOtherDC = codec.NewError(codec.ReasonDenied, "faketg: an opening for another datacenter")
)

// DC is Telegram's end of one obfuscated connection without a secret (spec upstream-protocols 5.2).
type DC struct {
	Opening
	Only    codec.DC // answer -444 to all others, media or not; 0 takes everybody
	Packets uint64   // taken so far

	in, out obfs2.Stream
	mind    Mind
	rand    func([]byte)
	rest    []byte  // a torn opening as it came, or a torn packet in clear
	pad     [4]byte // random bytes for the packet at hand
}

// NewDC returns a DC that waits for an opening. rand fills its argument with random bytes: padding, nonces.
func NewDC(rand func([]byte)) DC { return DC{rand: rand} }

// Opened reports whether Opening is known.
func (d *DC) Opened() bool { return d.Transport != codec.TransportNone }

// Feed takes bytes from the wire, which it changes, and appends the answer bytes to out. An error says that
// Telegram would close: a bad opening or a bad frame; what was answered before it is appended all the same.
func (d *DC) Feed(p, out []byte) ([]byte, error) {
	if !d.Opened() {
		rest, err := d.open(p)
		if err != nil || !d.Opened() {
			return out, err
		}
		if d.Only != 0 && d.DC.Abs() != d.Only.Abs() {
			return d.refuse(out), errOtherDC
		}
		p = rest
	}
	d.in.XOR(p, p)
	if len(d.rest) > 0 {
		d.rest = append(d.rest, p...)
		p = d.rest
	}
	from := len(out)
	used := 0
	var err error
	for err == nil {
		var packet frame.Packet
		var n int
		if packet, n, err = frame.Next(d.Transport, p[used:]); err != nil {
			break
		}
		used += n
		d.Packets++
		out = d.answer(out, packet)
	}
	d.out.XOR(out[from:], out[from:])
	if err != codec.ErrShort {
		return out, err
	}
	d.keep(p[used:])
	return out, nil
}

// Left returns how many content bytes of an OpSource wait for Pull.
func (d *DC) Left() uint64 { return d.mind.Left() }

// Pull appends packets of the running OpSource until out grew by size bytes or more, or nothing is left.
func (d *DC) Pull(out []byte, size int) []byte {
	from := len(out)
	for len(out)-from < size {
		r := d.mind.Pull()
		if r.Size == 0 {
			break
		}
		out = d.append(out, r)
	}
	d.out.XOR(out[from:], out[from:])
	return out
}

// open takes the 64 bytes and returns what follows them; nothing while they are short.
func (d *DC) open(p []byte) ([]byte, error) {
	n := min(obfs2.InitSize-len(d.rest), len(p))
	d.rest = append(d.rest, p[:n]...)
	if len(d.rest) < obfs2.InitSize {
		return nil, nil
	}
	t, dc, ok := obfs2.Match(d.rest, nil)
	if !ok {
		return nil, errOpening
	}
	d.Opening = Opening{DC: dc, Transport: t, Init: [obfs2.InitSize]byte(d.rest)}
	d.in, d.out = obfs2.Accept(d.rest, nil)
	d.rest = nil
	return p[n:], nil
}

// refuse appends the transport error of a wrong datacenter (spec client-protocols 2.4).
func (d *DC) refuse(out []byte) []byte {
	from := len(out)
	var code int32 = frame.ErrorBadDC
	out = frame.Append(out, d.Transport, binary.LittleEndian.AppendUint32(nil, uint32(code)), nil)
	d.out.XOR(out[from:], out[from:])
	return out
}

func (d *DC) answer(out []byte, p frame.Packet) []byte {
	if p.Quick {
		out = frame.AppendQuickAck(out, d.Transport, Confirm(p.Body))
	}
	return d.append(out, d.mind.Answer(p.Body))
}

func (d *DC) append(out []byte, r Reply) []byte {
	if r.Size == 0 {
		return out
	}
	var pad []byte
	if d.Transport == codec.Padded {
		d.rand(d.pad[:])
		pad = d.pad[:d.pad[3]&3] // 0..3 bytes (spec client-protocols 2.2)
	}
	out = frame.AppendHeader(out, d.Transport, r.Size+len(pad), false)
	return append(r.Append(out, d.rand), pad...)
}

// keep holds a torn packet for the next Feed.
func (d *DC) keep(rest []byte) {
	if len(rest) == 0 && cap(d.rest) > keptRest {
		d.rest = nil
		return
	}
	d.rest = append(d.rest[:0], rest...)
}

// Confirm is the quick ack that the fake Telegram gives to a packet: the word behind its auth_key_id with bit
// 31 set.
func Confirm(packet []byte) uint32 {
	if len(packet) < 12 {
		return 1 << 31
	}
	return binary.LittleEndian.Uint32(packet[8:]) | 1<<31
}
