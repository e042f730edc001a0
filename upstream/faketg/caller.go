package faketg

import (
	"epoxy/codec"
	"epoxy/codec/frame"
	"epoxy/codec/obfs2"
)

// Caller is a proxy's end of one obfuscated connection to a datacenter: packets become bytes of the wire, and back.
type Caller struct {
	transport codec.Transport
	up, down  obfs2.Stream
	rand      func([]byte)
	rest      []byte // a torn answer, in clear
}

// NewCaller returns a Caller and the opening that it sends first (spec upstream-protocols 5.2).
func NewCaller(rand func([]byte), t codec.Transport, dc codec.DC) (*Caller, [obfs2.InitSize]byte) {
	for {
		var random [obfs2.InitSize]byte
		rand(random[:])
		if wire, up, down, ok := obfs2.ClientInit(&random, nil, t, dc); ok {
			return &Caller{transport: t, up: up, down: down, rand: rand}, wire
		}
	}
}

// Send appends a packet to out.
func (c *Caller) Send(out, packet []byte, quick bool) []byte {
	at := len(out)
	var pad []byte
	if c.transport == codec.Padded {
		var room [16]byte
		c.rand(room[:])
		pad = room[:room[15]&15] // 0..15 bytes (spec client-protocols 2.1)
	}
	out = frame.AppendHeader(out, c.transport, len(packet)+len(pad), quick)
	out = append(append(out, packet...), pad...)
	c.up.XOR(out[at:], out[at:])
	return out
}

// Feed takes bytes from the wire, which it changes, and gives each whole answer to each, which may keep nothing of it.
func (c *Caller) Feed(p []byte, each func(frame.Answer)) error {
	c.down.XOR(p, p)
	if len(c.rest) > 0 {
		c.rest = append(c.rest, p...)
		p = c.rest
	}
	for {
		a, n, err := frame.NextAnswer(c.transport, p)
		if err == codec.ErrShort {
			c.rest = append(c.rest[:0], p...)
			return nil
		}
		if err != nil {
			return err
		}
		p = p[n:]
		each(a)
	}
}
