package faketls

import (
	"bytes"
	"encoding/binary"

	"epoxy/codec"
)

// retryRandom is the random that makes a ServerHello a HelloRetryRequest (RFC 8446 4.1.3).
const retryRandom = "\xcf\x21\xad\x74\xe5\x9a\x61\x11\xbe\x1d\x8c\x02\x1e\x65\xb8\x91" +
	"\xc2\xa2\x11\x16\x7a\xbb\x8c\x5e\x07\x9e\x09\xe2\xc8\xa8\x33\x9c"

var errFront = codec.NewError(codec.ReasonNone, "faketls: the front does not answer with TLS 1.3")

// Learn reads what a front sent in answer to a ClientHello whose session id was session, all of it until
// it fell silent, and returns how it answers (spec client-protocols 4.5). AppData is the sum of the
// application-data records, MinAppData..MaxAppData. A front that asks again (HelloRetryRequest), does not
// mirror the session id or speaks TLS 1.2 has no profile: that is an error that carries no Reason.
// ErrShort says that p ends before the first application-data record.
func Learn(p, session []byte) (Profile, error) {
	hello, rest, err := nextRecord(p, typeHandshake)
	if err != nil {
		return Profile{}, err
	}
	profile, ok := learnHello(hello, session)
	if !ok {
		return Profile{}, errFront
	}
	change, rest, err := nextRecord(rest, typeCCS)
	if err != nil {
		return Profile{}, err
	}
	if len(change) != 1 {
		return Profile{}, errFront
	}
	sum := 0
	for {
		var data []byte
		data, rest, err = nextRecord(rest, typeData)
		if err == codec.ErrShort && sum > 0 {
			profile.AppData = min(max(sum, MinAppData), MaxAppData)
			return profile, nil
		}
		if err != nil {
			return Profile{}, err
		}
		sum += len(data)
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

// learnHello reads a ServerHello record's payload.
func learnHello(p, session []byte) (profile Profile, ok bool) {
	s := scanner{rest: p}
	kind, size := s.u8(), s.u8()<<16|s.u16()
	version, random, mirrored := s.u16(), s.take(randomSize), s.bytes8()
	profile.Suite = uint16(s.u16())
	compression := s.u8()
	extensions := scanner{rest: s.bytes16()}
	if !s.done() || kind != serverHello || size != len(p)-4 || version != 0x0303 || string(random) == retryRandom ||
		!bytes.Equal(mirrored, session) || !isTLS13(profile.Suite) || compression != 0 {
		return profile, false
	}
	versions := false
	for len(extensions.rest) > 0 && !extensions.bad {
		kind, data := extensions.u16(), scanner{rest: extensions.bytes16()}
		switch kind {
		case extVersions:
			versions = data.u16() == 0x0304 && data.done()
			profile.VersionsFirst = profile.Group == GroupNone
		case extKeyShare:
			profile.Group = Group(data.u16())
			if len(data.bytes16()) != profile.Group.answerSize() || !data.done() {
				return profile, false
			}
		}
	}
	known := profile.Group == X25519 || profile.Group == X25519MLKEM768
	return profile, !extensions.bad && versions && known
}
