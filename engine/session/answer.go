package session

import (
	"encoding/binary"

	"epoxy/codec/buf"
	"epoxy/codec/faketls"
)

// lower appends an SNI in lower case to dst, which has room for the longest; what is longer becomes nothing.
func lower(dst *[255]byte, sni []byte) []byte {
	if len(sni) > len(dst) {
		return nil
	}
	for i, c := range sni {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		dst[i] = c
	}
	return dst[:len(sni)]
}

// profile returns how the site looks that a hello asks for: by its SNI, else by the secret's domain.
func (p *Port) profile(sni []byte, c *Secret) *faketls.Profile {
	if f := p.Sites.ByDomain[string(sni)]; f != nil {
		return f
	}
	if f := p.Sites.ByDomain[c.Domain]; f != nil {
		return f
	}
	return p.Sites.Default
}

// avoidTrap changes a choice of the hybrid group to x25519 where one of the segments to the client ends about where a hybrid
// ServerHello does: Android fails when one of its reads ends right behind that (spec client-protocols 4.4, trap 2).
func (s *Session) avoidTrap(c *faketls.Choice, h *faketls.Hello) {
	if c.Group != faketls.X25519MLKEM768 || h.X25519 == nil {
		return
	}
	if mss := s.socket.MSS(); mss > 0 && trapHigh%mss <= trapHigh-trapLow {
		c.Group = faketls.X25519
	}
}

// answer sends the flight, or keeps it for as long as the site would think about it. Nothing is read meanwhile.
func (s *Session) answer(flight []byte, f *faketls.Profile) {
	if f.DelayHigh == 0 {
		s.fly(flight)
		return
	}
	low, high := int64(f.DelayLow), int64(f.DelayHigh)-timerLate
	at := s.port.env.Loop.Now() + low + int64(s.random())%(max(high-low, 0)+1)
	if s.part == nil {
		s.part = buf.Handshake.Get()
	}
	s.part.B = append(s.part.B[:0], flight...)
	s.flags |= grounded
	s.socket.Pause()
	s.socket.SetTimer(at)
}

// takeOff sends the flight that was kept.
func (s *Session) takeOff() {
	s.flags &^= grounded
	s.fly(s.part.B)
	s.forget()
	s.socket.Resume()
}

// fly sends the flight: in one write, because a client must not meet a ServerHello that ends where its read does, or in
// two that are cut inside the ServerHello.
func (s *Session) fly(flight []byte) {
	s.deadline = s.port.env.Loop.Now() + openingTime
	s.socket.SetTimer(s.deadline)
	if s.port.SplitHello {
		first := faketls.HeaderSize + int(binary.BigEndian.Uint16(flight[3:]))
		at := cut(first, s.socket.MSS(), s.random())
		s.socket.Write(flight[:at])
		flight = flight[at:]
	}
	s.socket.Write(flight)
}

// cut returns where to cut a flight whose first record has first bytes: behind its header, before its end, and so that
// no segment of mss bytes after the cut ends in the trapSpan bytes behind the record. mss 0 is not known.
func cut(first, mss int, r uint32) int {
	at := faketls.HeaderSize + int(r%uint32(first-faketls.HeaderSize))
	if mss > 0 && (first+trapSpan-at)%mss <= trapSpan {
		if at -= trapSpan + 1; at < faketls.HeaderSize {
			at += 2 * (trapSpan + 1)
		}
	}
	return at
}

// random draws a number.
func (s *Session) random() uint32 {
	var r [4]byte
	s.port.env.Loop.Rand(r[:])
	return binary.LittleEndian.Uint32(r[:])
}
