package session

import "epoxy/codec/faketls"

// seal enciphers p into records in dst; the cipher pass is the only copy.
func (s *Session) seal(dst, p []byte) []byte {
	at := 0
	for len(p) > 0 {
		n := min(len(p), faketls.MaxPayload)
		if s.flags&ramping != 0 {
			n = min(n, s.payload())
		}
		faketls.PutHeader(dst[at:], n)
		at += faketls.HeaderSize
		s.out.XOR(dst[at:at+n], p[:n])
		at += n
		p = p[n:]
	}
	return dst[:at]
}

// payload counts a record of a ramp and returns how much it may carry.
func (s *Session) payload() int {
	switch {
	case s.ramp < rampRecords:
		s.ramp++
		return rampPayload
	case s.ramp < rampRecords+riseRecords:
		s.ramp++
		return risePayload
	}
	return faketls.MaxPayload
}

// rewind starts the ramp again after a silence towards the client.
func (s *Session) rewind() {
	now := uint32(s.port.env.Loop.Now())
	if now-s.sentAt >= rampSilence {
		s.ramp = 0
	}
	s.sentAt = now
}

// ramps reports whether records to a client that met the profile f start small.
func (p *Port) ramps(f *faketls.Profile) bool {
	switch p.Records {
	case Full:
	case Ramp:
		return true
	case Auto:
		return f.Ramp
	}
	return false
}
