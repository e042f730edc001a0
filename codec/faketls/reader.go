package faketls

import "encoding/binary"

// Reader strips record headers from a client's stream after the flight. It is a value that buffers
// nothing but a torn header; the zero value is ready. It belongs to one connection.
type Reader struct {
	left  uint16           // payload bytes of the current record still to come
	skip  bool             // the current record is no application data
	ccs   uint8            // change-cipher-spec records so far
	empty uint8            // empty application-data records in a row
	have  uint8            // bytes of a torn header in head
	head  [HeaderSize]byte // the torn header
}

// Strip removes the record framing from p in place: the payload bytes are moved together to the start
// of p, and n is how many. It takes all of p; records and their headers may be torn anywhere, also across
// calls, and payload is handed out before its record is whole. CCS records are dropped.
//
// Errors: ReasonTLSAlert; ReasonTLSRecord for another type, a version that is not 03 03 or a CCS of
// another length than one; ReasonTLSEmpty for 16 empty records in a row; ReasonTLSCCS for a fifth CCS
// (spec client-protocols 4.6). n counts what was stripped before the error, after which the Reader is done.
func (r *Reader) Strip(p []byte) (n int, err error) {
	for rest := p; ; {
		if r.left > 0 {
			take := min(int(r.left), len(rest))
			if !r.skip {
				n += copy(p[n:], rest[:take])
			}
			r.left -= uint16(take)
			rest = rest[take:]
		}
		if len(rest) == 0 {
			return n, nil
		}
		took := copy(r.head[r.have:], rest)
		rest = rest[took:]
		if r.have += uint8(took); r.have < HeaderSize {
			return n, nil
		}
		r.have = 0
		if err := r.open(); err != nil {
			return n, err
		}
	}
}

// open starts the record whose header is in head.
func (r *Reader) open() error {
	r.left = binary.BigEndian.Uint16(r.head[3:])
	switch {
	case r.head[0] == typeAlert:
		return errAlert
	case r.head[1] != 3 || r.head[2] != 3:
		return errRecord
	case r.head[0] == typeCCS:
		if r.left != 1 {
			return errRecord
		}
		if r.ccs++; r.ccs > maxCCS {
			return errManyCCS
		}
		r.skip = true
	case r.head[0] == typeData:
		r.skip = false
		if r.left > 0 {
			r.empty = 0
		} else if r.empty++; r.empty >= maxEmpty {
			return errEmpty
		}
	default:
		return errRecord
	}
	return nil
}
