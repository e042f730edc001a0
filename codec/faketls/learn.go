package faketls

import (
	"bytes"
	"encoding/binary"

	"epoxy/codec"
)

// retryRandom is the random that makes a ServerHello a HelloRetryRequest (RFC 8446 4.1.3).
const retryRandom = "\xcf\x21\xad\x74\xe5\x9a\x61\x11\xbe\x1d\x8c\x02\x1e\x65\xb8\x91" +
	"\xc2\xa2\x11\x16\x7a\xbb\x8c\x5e\x07\x9e\x09\xe2\xc8\xa8\x33\x9c"

// Why a front has no profile. None carries a Reason: no client is to blame.
var (
	ErrOldTLS      = codec.NewError(codec.ReasonNone, "faketls: the front has no TLS 1.3")
	ErrRetry       = codec.NewError(codec.ReasonNone, "faketls: the front wants another key share")
	ErrNotMirrored = codec.NewError(codec.ReasonNone, "faketls: the front does not mirror the session id")

	errFront = codec.NewError(codec.ReasonNone, "faketls: the front does not answer as TLS does")
)

// Answer is what Learn reads from one answer.
type Answer struct {
	Profile     // Suite, Group, VersionsFirst and AppData, which is Sum within MinAppData..MaxAppData
	Sum     int // bytes in the application-data records of the first flight
	Records int // how many they are
}

// Learn reads what a front sent in answer to a ClientHello whose session id was session, all of it until
// it fell silent (spec client-protocols 4.5). Errors: ErrOldTLS, ErrRetry, ErrNotMirrored; another one
// without a Reason for what is not TLS or an alert; ErrShort when p ends before the first
// application-data record does.
func Learn(p, session []byte) (Answer, error) {
	if len(p) >= 3 && p[0] == typeHandshake && p[1] == 3 && p[2] < 3 {
		return Answer{}, ErrOldTLS
	}
	hello, rest, err := nextRecord(p, typeHandshake)
	if err != nil {
		return Answer{}, err
	}
	profile, err := learnHello(hello, session)
	if err != nil {
		return Answer{}, err
	}
	change, rest, err := nextRecord(rest, typeCCS)
	if err != nil {
		return Answer{}, err
	}
	if len(change) != 1 {
		return Answer{}, errFront
	}
	a := Answer{Profile: profile}
	for {
		var data []byte
		data, rest, err = nextRecord(rest, typeData)
		if err == codec.ErrShort && a.Sum > 0 {
			a.AppData = min(max(a.Sum, MinAppData), MaxAppData)
			return a, nil
		}
		if err != nil {
			return Answer{}, err
		}
		a.Sum += len(data)
		a.Records++
	}
}

// nextRecord splits the first record, which must be of the given kind, from p.
func nextRecord(p []byte, kind byte) (payload, rest []byte, err error) {
	head := [...]byte{kind, 3, 3}
	if n := min(len(p), len(head)); !bytes.Equal(p[:n], head[:n]) {
		return nil, nil, errFront
	}
	if len(p) < HeaderSize {
		return nil, nil, codec.ErrShort
	}
	n := HeaderSize + int(binary.BigEndian.Uint16(p[3:]))
	if len(p) < n {
		return nil, nil, codec.ErrShort
	}
	return p[HeaderSize:n], p[n:], nil
}

// learnHello reads the payload of a record that begins with a ServerHello. In TLS 1.2 there may be more
// behind it and the extensions may be missing.
func learnHello(p, session []byte) (Profile, error) {
	var profile Profile
	s := scanner{rest: p}
	kind, size := s.u8(), s.u8()<<16|s.u16()
	s.rest = s.take(size)
	version, random, mirrored := s.u16(), s.take(randomSize), s.bytes8()
	profile.Suite = uint16(s.u16())
	compression := s.u8()
	if s.bad || kind != serverHello {
		return Profile{}, errFront
	}
	extensions := scanner{rest: s.bytes16()}
	versions, known := false, false
	for len(extensions.rest) > 0 {
		kind, data := extensions.u16(), scanner{rest: extensions.bytes16()}
		switch {
		case extensions.bad:
			return Profile{}, errFront
		case kind == extVersions:
			versions = data.u16() == 0x0304 && data.done()
			profile.VersionsFirst = profile.Group == GroupNone
		case kind == extKeyShare:
			profile.Group = Group(data.u16())
			known = (profile.Group == X25519 || profile.Group == X25519MLKEM768) &&
				len(data.bytes16()) == profile.Group.answerSize() && data.done()
		}
	}
	switch {
	case !versions:
		return Profile{}, ErrOldTLS
	case string(random) == retryRandom:
		return Profile{}, ErrRetry
	case !bytes.Equal(mirrored, session):
		return Profile{}, ErrNotMirrored
	case !s.done() || size != len(p)-4 || version != 0x0303 || compression != 0 || !isTLS13(profile.Suite) || !known:
		return Profile{}, errFront
	}
	return profile, nil
}
