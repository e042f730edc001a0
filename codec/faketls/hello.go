package faketls

import (
	"bytes"
	"encoding/binary"

	"epoxy/codec"
)

// Hello is a parsed ClientHello. All slices point into the input, or into join when it came in several
// records, and live as long as that does.
type Hello struct {
	Record    []byte // the one coalesced record, header included: what the digest covers
	Random    []byte // 32 bytes, the signature; its first 16 are the replay key (spec client-protocols 5)
	SessionID []byte // 0..32 bytes
	SNI       []byte // as sent, no NUL byte; nil when absent
	Suites    []byte // raw list, two bytes each, at least one
	X25519    []byte // 32-byte share, nil when absent
	MLKEM     []byte // 1216-byte X25519MLKEM768 share: 1184 of ML-KEM-768 encapsulation key, 32 of x25519; or nil
}

// ParseHello reads the ClientHello at the start of p, in one record or torn into at most 16 (spec
// client-protocols 4.1, 4.2).
//
//	16 | 03 01..03 | length u16 | 01 | length u24 | 03 03 | random | session id | suites | compression | extensions
//
// used is its wire bytes. A hello of one record is not copied; a torn one is appended to join, under one
// header with the first record's version, and Hello.Record is then the (perhaps grown) tail of join.
// Errors: ErrShort, and nothing is consumed; ReasonHelloSize when the record length is not
// MinHello..MaxHello; ReasonHelloShape for anything malformed. What the record headers and the length
// give away is refused as soon as they are there.
func ParseHello(p, join []byte) (h Hello, used int, err error) {
	used, records, err := measure(p)
	if err != nil {
		return Hello{}, 0, err
	}
	record := p[:used:used]
	if records > 1 {
		record = coalesce(join, p[:used], records)
	}
	if h, ok := parseBody(record); ok {
		return h, used, nil
	}
	return Hello{}, 0, errShape
}

// measure finds the end of the hello at the start of p by its record headers and its handshake length.
func measure(p []byte) (used, records int, err error) {
	var head [4]byte // kind and length of the handshake message, which may itself be torn
	got, want := 0, MaxHello
	for records < maxHelloRecords {
		rest := p[used:]
		if ok, err := Sniff(rest); err != nil {
			return 0, 0, err
		} else if !ok {
			return 0, 0, errShape
		}
		if len(rest) < HeaderSize {
			return 0, 0, codec.ErrShort
		}
		n := int(binary.BigEndian.Uint16(rest[3:]))
		switch {
		case got+n > MaxHello:
			return 0, 0, errSize
		case n == 0 || got+n > want:
			return 0, 0, errShape
		}
		body := rest[HeaderSize:min(len(rest), HeaderSize+n)]
		if got < len(head) && len(body) > 0 {
			copy(head[got:], body)
			if head[0] != clientHello {
				return 0, 0, errShape
			}
			if got+len(body) >= len(head) {
				want = len(head) + int(binary.BigEndian.Uint32(head[:])&0xffffff)
			}
			switch {
			case want < MinHello || want > MaxHello:
				return 0, 0, errSize
			case got+n > want:
				return 0, 0, errShape
			}
		}
		if len(body) < n {
			return 0, 0, codec.ErrShort
		}
		got, used, records = got+n, used+HeaderSize+n, records+1
		if got == want {
			return used, records, nil
		}
	}
	return 0, 0, errShape
}

// coalesce appends the payloads of the records in wire to join, under one header.
func coalesce(join, wire []byte, records int) []byte {
	at := len(join)
	n := len(wire) - records*HeaderSize
	join = append(join, wire[0], wire[1], wire[2], byte(n>>8), byte(n))
	for len(wire) > 0 {
		end := HeaderSize + int(binary.BigEndian.Uint16(wire[3:]))
		join = append(join, wire[HeaderSize:end]...)
		wire = wire[end:]
	}
	return join[at:]
}

// parseBody reads the fields of a whole record whose lengths measure has checked.
func parseBody(record []byte) (h Hello, ok bool) {
	if record[versionAt] != 3 || record[versionAt+1] != 3 {
		return h, false
	}
	h.Record = record
	h.Random = record[randomAt:sessionAt:sessionAt]
	s := scanner{rest: record[sessionAt:]}
	h.SessionID = s.bytes8()
	h.Suites = s.bytes16()
	compression := s.bytes8()
	extensions := scanner{rest: s.bytes16()}
	if !s.done() || len(h.SessionID) > maxSession || len(h.Suites) < 2 || len(h.Suites)%2 != 0 || len(compression) == 0 {
		return h, false
	}
	var sni, share bool
	for len(extensions.rest) > 0 {
		kind, data := extensions.u16(), extensions.bytes16()
		if extensions.bad {
			return h, false
		}
		switch kind {
		case extSNI:
			if sni || !h.parseSNI(data) {
				return h, false
			}
			sni = true
		case extKeyShare:
			if share || !h.parseShares(data) {
				return h, false
			}
			share = true
		}
	}
	return h, true
}

// parseSNI reads list length u16 | 00 | name length u16 | name (spec client-protocols 4.1).
func (h *Hello) parseSNI(data []byte) bool {
	s := scanner{rest: data}
	list := scanner{rest: s.bytes16()}
	kind := list.u8()
	h.SNI = list.bytes16()
	return s.done() && list.done() && kind == 0 && len(h.SNI) > 0 && bytes.IndexByte(h.SNI, 0) < 0
}

// parseShares reads list length u16 | (group u16 | length u16 | key)... and keeps the first share of each
// known group, if it has the length of one.
func (h *Hello) parseShares(data []byte) bool {
	s := scanner{rest: data}
	list := scanner{rest: s.bytes16()}
	for len(list.rest) > 0 {
		group, key := Group(list.u16()), list.bytes16()
		switch {
		case list.bad:
			return false
		case group == X25519 && len(key) == x25519Size && h.X25519 == nil:
			h.X25519 = key
		case group == X25519MLKEM768 && len(key) == mlkemKeySize+x25519Size && h.MLKEM == nil:
			h.MLKEM = key
		}
	}
	return s.done()
}

// scanner takes length-prefixed fields from rest; bad is set, for good, by a field that does not fit.
type scanner struct {
	rest []byte
	bad  bool
}

func (s *scanner) take(n int) []byte {
	if s.bad || n > len(s.rest) {
		s.bad = true
		return nil
	}
	p := s.rest[:n:n]
	s.rest = s.rest[n:]
	return p
}

func (s *scanner) u8() int {
	if p := s.take(1); p != nil {
		return int(p[0])
	}
	return 0
}

func (s *scanner) u16() int {
	if p := s.take(2); p != nil {
		return int(binary.BigEndian.Uint16(p))
	}
	return 0
}

func (s *scanner) bytes8() []byte  { return s.take(s.u8()) }
func (s *scanner) bytes16() []byte { return s.take(s.u16()) }

// done reports whether every field fitted and nothing is left.
func (s *scanner) done() bool { return !s.bad && len(s.rest) == 0 }
