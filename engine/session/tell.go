package session

import (
	"epoxy/codec"
	"epoxy/codec/obfs2"
)

// tell tells of a session that is about to end for why, while all that is known of it is still there.
func (s *Session) tell(why codec.Reason) {
	if ended := s.port.env.Ended; ended != nil {
		ended(s, why)
	}
}

// Protocol returns what the client speaks; it means something from Relay on.
func (s *Session) Protocol() codec.Protocol { return s.proto }

// DC returns the datacenter that the client asked for, 0 before it did.
func (s *Session) DC() codec.DC { return s.dc }

// Since returns the loop time in ms when the client's stream was opened, 0 before.
func (s *Session) Since() int64 {
	if s.state != Relay {
		return 0
	}
	return s.deadline
}

// Moved returns the clear bytes from and to the client so far.
func (s *Session) Moved() (up, down uint64) {
	return s.in.Offset() - min(s.in.Offset(), obfs2.InitSize), s.out.Offset()
}
