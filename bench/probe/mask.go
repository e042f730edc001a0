package probe

import (
	"bytes"
	"encoding/binary"
	"slices"
)

// The kinds of parts.
const (
	kindPlain     = "plain"
	kindCCS       = "ccs"
	kindAlert     = "alert"
	kindHandshake = "handshake"
	kindData      = "data"
	kindHeartbeat = "heartbeat"
	kindTorn      = "torn " // before the kind of a record that is not whole
)

// Numbers of TLS (RFC 8446, RFC 5246).
const (
	headerSize = 5

	typeCCS       = 20
	typeAlert     = 21
	typeHandshake = 22
	typeData      = 23
	typeHeartbeat = 24

	messageServerHello = 2
	messageTicket      = 4
	messageKeyExchange = 12

	extPadding  = 21
	extVersions = 43
	extKeyShare = 51
)

// retryRandom is the random of a HelloRetryRequest (RFC 8446 4.1.3).
const retryRandom = "\xcf\x21\xad\x74\xe5\x9a\x61\x11\xbe\x1d\x8c\x02\x1e\x65\xb8\x91\xc2\xa2\x11\x16\x7a\xbb\x8c\x5e\x07\x9e\x09\xe2\xc8\xa8\x33\x9c"

// parts splits an answer into what can be compared: got is all that a server said, sent what it was told.
// Neither is changed.
func parts(got, sent []byte) []Part {
	switch {
	case len(got) == 0:
		return nil
	case !looksTLS(got):
		return []Part{{Kind: kindPlain, Size: len(got), Bytes: maskHTTP(got)}}
	}
	var all []Part
	secret := false // behind the change of cipher
	rest := bytes.Clone(got)
	for len(rest) > 0 {
		if len(rest) < headerSize {
			return append(all, Part{Kind: kindTorn + "header", Size: len(rest), Bytes: rest})
		}
		kind, size := recordKind(rest[0]), int(binary.BigEndian.Uint16(rest[3:]))
		body := rest[headerSize:]
		if len(body) < size {
			return append(all, Part{Kind: kindTorn + kind, Size: len(body)})
		}
		body, rest = body[:size], body[size:]
		p := Part{Kind: kind, Size: size, Bytes: body}
		switch kind {
		case kindData:
			p.Bytes = nil
		case kindHandshake, kindAlert:
			if secret && size != 2 {
				p.Bytes = nil
			}
		case kindCCS:
			secret = true
		}
		all = append(all, p)
	}
	maskHandshake(all, sent)
	return all
}

// looksTLS says whether an answer starts with a TLS record.
func looksTLS(p []byte) bool {
	return p[0] >= typeCCS && p[0] <= typeHeartbeat && (len(p) == 1 || p[1] == 3)
}

func recordKind(b byte) string {
	switch b {
	case typeCCS:
		return kindCCS
	case typeAlert:
		return kindAlert
	case typeHandshake:
		return kindHandshake
	case typeData:
		return kindData
	case typeHeartbeat:
		return kindHeartbeat
	}
	return "garbage"
}

// maskHandshake blanks what differs by nature in the handshake messages that are readable. A message may
// begin in one record and end in another.
func maskHandshake(all []Part, sent []byte) {
	var stream []byte
	for _, p := range all {
		if p.Kind == kindHandshake && p.Bytes != nil {
			stream = append(stream, p.Bytes...)
		}
	}
	for rest := stream; len(rest) >= 4; {
		size := int(rest[1])<<16 | int(rest[2])<<8 | int(rest[3])
		body := rest[4:]
		body = body[:min(size, len(body))]
		switch rest[0] {
		case messageServerHello:
			maskServerHello(body, sent)
		case messageKeyExchange:
			maskKeyExchange(body)
		case messageTicket:
			blank(body, 6, len(body)) // lifetime u32 | length u16 | ticket
		}
		rest = rest[4+len(body):]
	}
	for i, p := range all {
		if p.Kind == kindHandshake && p.Bytes != nil {
			all[i].Bytes, stream = stream[:len(p.Bytes):len(p.Bytes)], stream[len(p.Bytes):]
		}
	}
}

// maskServerHello blanks the random, the session id but for a mark that it is the client's own, and the key
// share.
//
//	03 03 | random 32 | length u8 | session id | suite u16 | 00 | length u16 | extensions
func maskServerHello(b, sent []byte) {
	if len(b) < 35 {
		return
	}
	if string(b[2:34]) != retryRandom {
		blank(b, 2, 34)
	}
	at := 35 + int(b[34])
	if at > len(b) {
		return
	}
	session := b[35:at]
	echo := len(session) > 0 && bytes.Contains(sent, session)
	blank(session, 0, len(session))
	if echo {
		session[0] = 1
	}
	for at += 5; at+4 <= len(b); {
		kind, size := binary.BigEndian.Uint16(b[at:]), int(binary.BigEndian.Uint16(b[at+2:]))
		at += 4
		if kind == extKeyShare {
			blank(b, at+4, at+size) // group u16 | length u16 | key
		}
		at += size
	}
}

// maskKeyExchange blanks key and signature of an ECDHE ServerKeyExchange.
//
//	03 | curve u16 | length u8 | key | algorithm u16 | length u16 | signature
func maskKeyExchange(b []byte) {
	if len(b) < 4 {
		return
	}
	at := 4 + int(b[3])
	blank(b, 4, at)
	blank(b, at+4, len(b))
}

// blank zeroes b[from:to], as far as there is some.
func blank(b []byte, from, to int) {
	if to = min(to, len(b)); from < to {
		clear(b[from:to])
	}
}

// volatile are the headers of HTTP whose values differ by nature.
var volatile = []string{"date", "set-cookie", "expires", "age"}

// maskHTTP returns a copy of an answer in plain text in which the values of volatile headers are gone.
func maskHTTP(p []byte) []byte {
	if !bytes.HasPrefix(p, []byte("HTTP/1.")) {
		return bytes.Clone(p)
	}
	head, body, found := bytes.Cut(p, []byte("\r\n\r\n"))
	lines := bytes.Split(bytes.Clone(head), []byte("\r\n"))
	for i, line := range lines {
		if name, _, ok := bytes.Cut(line, []byte(":")); ok && slices.Contains(volatile, string(bytes.ToLower(name))) {
			lines[i] = append(bytes.Clone(name), ':')
		}
	}
	masked := bytes.Join(lines, []byte("\r\n"))
	if found {
		masked = append(append(masked, "\r\n\r\n"...), body...)
	}
	return masked
}
