package faketls

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"slices"
)

// JA4Size is the length of a JA4 fingerprint in bytes.
const JA4Size = 36

// maxCodes is the most two-byte codes that a hello can list.
const maxCodes = MaxHello / 2

// hello4 is what JA4 looks at beside the suites; the slices point into the hello.
type hello4 struct {
	codes      []uint16 // extensions without GREASE, as sent
	versions   []byte   // supported_versions, a list of codes; nil when absent
	alpn       []byte   // the first protocol; nil when absent
	signatures []byte   // signature_algorithms, a list of codes; nil when absent
}

// AppendJA4 appends the public JA4 fingerprint of a TLS client, JA4Size bytes of ASCII, to dst. It does not
// allocate when dst has the room. h is from ParseHello and is not changed.
//
//	t | version, 2 | d or i | suites, 2 | extensions, 2 | ALPN, 2 | _ | hash, 12 | _ | hash, 12
//
// d says that there is an SNI. Both counts stop at 99. The first hash is over the sorted suites, the second over the
// sorted extensions without SNI and ALPN, and, behind a '_', the signature algorithms as sent: four hex digits
// each, commas between, the first 12 digits of SHA-256; all zero for an empty list. GREASE counts nowhere.
func AppendJA4(dst []byte, h *Hello) []byte {
	var room [maxCodes]uint16
	e := h.extensions4(room[:0])
	sni := byte('i')
	if h.SNI != nil {
		sni = 'd'
	}
	v1, v2 := version4(e.versions)
	a1, a2 := alpn4(e.alpn)
	count := len(e.codes)
	codes := slices.DeleteFunc(e.codes, func(c uint16) bool { return c == extSNI || c == ext4ALPN })
	slices.Sort(codes)
	extensions := hash4(codes, e.signatures)

	codes = codes4(room[:0], h.Suites)
	slices.Sort(codes)
	suites := hash4(codes, nil)

	dst = append(dst, 't', v1, v2, sni)
	dst = append(count4(count4(dst, len(codes)), count), a1, a2, '_')
	dst = append(append(dst, suites[:]...), '_')
	return append(dst, extensions[:]...)
}

// Extension numbers that only JA4 looks at.
const (
	ext4Signatures = 0x000d
	ext4ALPN       = 0x0010
)

// extensions4 reads the extensions of a parsed hello; the codes go to room. The first of a kind counts.
func (h *Hello) extensions4(room []uint16) (e hello4) {
	s := scanner{rest: h.Record[sessionAt:]}
	s.bytes8()
	s.bytes16()
	s.bytes8()
	list := scanner{rest: s.bytes16()}
	for len(list.rest) > 0 {
		code, data := list.u16(), scanner{rest: list.bytes16()}
		if list.bad {
			break // ParseHello has refused it
		}
		if !grease4(uint16(code)) {
			room = append(room, uint16(code))
		}
		switch {
		case code == extVersions && e.versions == nil:
			e.versions = data.bytes8()
		case code == ext4Signatures && e.signatures == nil:
			e.signatures = data.bytes16()
		case code == ext4ALPN && e.alpn == nil:
			names := scanner{rest: data.bytes16()}
			e.alpn = names.bytes8()
		}
	}
	e.codes = room
	return e
}

// grease4 reports whether code is one of the sixteen of RFC 8701: 0a0a, 1a1a .. fafa.
func grease4(code uint16) bool { return code&0x0f0f == 0x0a0a && code>>8 == code&0xff }

// codes4 appends the codes of a raw list, without GREASE, to dst.
func codes4(dst []uint16, list []byte) []uint16 {
	for ; len(list) >= 2; list = list[2:] {
		if c := binary.BigEndian.Uint16(list); !grease4(c) {
			dst = append(dst, c)
		}
	}
	return dst
}

// version4 names the highest of the supported versions; without any it is TLS 1.2, the one version that
// ParseHello takes in the hello itself.
func version4(list []byte) (byte, byte) {
	if list == nil {
		return '1', '2'
	}
	var best uint16
	for ; len(list) >= 2; list = list[2:] {
		if v := binary.BigEndian.Uint16(list); !grease4(v) {
			best = max(best, v)
		}
	}
	switch best {
	case 0x0304:
		return '1', '3'
	case 0x0303:
		return '1', '2'
	case 0x0302:
		return '1', '1'
	case 0x0301:
		return '1', '0'
	case 0x0300:
		return 's', '3'
	case 0x0002:
		return 's', '2'
	}
	return '0', '0'
}

// alpn4 is the first and the last character of the first protocol; of its hex form when either is no letter or digit.
func alpn4(name []byte) (byte, byte) {
	if len(name) == 0 {
		return '0', '0'
	}
	first, last := name[0], name[len(name)-1]
	if plain4(first) && plain4(last) {
		return first, last
	}
	const digits = "0123456789abcdef"
	return digits[first>>4], digits[last&15]
}

func plain4(c byte) bool {
	return '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z'
}

// count4 appends two digits, 99 at most.
func count4(dst []byte, n int) []byte {
	n = min(n, 99)
	return append(dst, '0'+byte(n/10), '0'+byte(n%10))
}

// hash4 is the first 12 hex digits of SHA-256 over codes and the raw list tail.
func hash4(codes []uint16, tail []byte) (sum [12]byte) {
	if len(codes) == 0 {
		return [12]byte([]byte("000000000000"))
	}
	const flush = 512
	h := sha256.New()
	var text [flush + 8]byte
	at := text[:0]
	sep := byte(0)
	put := func(c uint16) {
		if sep != 0 {
			at = append(at, sep)
		}
		at = hex.AppendEncode(at, []byte{byte(c >> 8), byte(c)})
		if sep = ','; len(at) >= flush {
			h.Write(at)
			at = at[:0]
		}
	}
	for _, c := range codes {
		put(c)
	}
	sep = '_'
	for ; len(tail) >= 2; tail = tail[2:] {
		if c := binary.BigEndian.Uint16(tail); !grease4(c) {
			put(c)
		}
	}
	h.Write(at)
	var full [sha256.Size]byte
	hex.Encode(sum[:], h.Sum(full[:0])[:len(sum)/2])
	return sum
}
