package faketls

import "encoding/binary"

// classicSize is the whole length of a Classic517 hello.
const classicSize = 517

// Fixed parts of a browser's hello, after GREASE (spec client-protocols 13).
const (
	aes128First = "\x13\x01\x13\x02\x13\x03"
	aes256First = "\x13\x02\x13\x03\x13\x01"
	olderSuites = "\xc0\x2b\xc0\x2f\xc0\x2c\xc0\x30\xcc\xa9\xcc\xa8\xc0\x13\xc0\x14\x00\x9c\x00\x9d\x00\x2f\x00\x35"
	smallSuites = aes256First + "\xc0\x2c"
)

// plain are the extensions of a browser that say the same in every hello: number, content.
var plain = [...]struct {
	kind uint16
	data string
}{
	{0x0005, "\x01\x00\x00\x00\x00"}, // status_request
	{0x000b, "\x01\x00"},             // ec_point_formats
	{0x000d, "\x00\x10\x04\x03\x08\x04\x04\x01\x05\x03\x08\x05\x05\x01\x08\x06\x06\x01"}, // signature_algorithms
	{0x0010, "\x00\x0c\x02h2\x08http/1.1"},                                               // ALPN
	{0x0012, ""},                                                                         // signed_certificate_timestamp
	{0x0017, ""},                                                                         // extended_master_secret
	{0x001b, "\x02\x00\x02"},                                                             // compress_certificate: brotli
	{0x0023, ""},                                                                         // session_ticket
	{0x002d, "\x01\x01"},                                                                 // psk_key_exchange_modes
	{0xff01, "\x00"},                                                                     // renegotiation_info
}

// helloBuilder appends what follows a hello's session id.
type helloBuilder struct {
	rand    func([]byte)
	hello   *ClientHello
	session [maxSession]byte
	grease  [5]byte      // suites, first extension, groups, versions, last extension
	ech     [1 + 32]byte // config id, encapsulated key
	echSize int
	order   [24]byte
}

// random draws everything that differs between two hellos, but the encrypted ECH payload.
func (b *helloBuilder) random() {
	b.rand(b.session[:])
	b.rand(b.grease[:])
	b.rand(b.ech[:])
	b.rand(b.order[:])
	for i := range b.grease {
		b.grease[i] = b.grease[i]&0xf0 | 0x0a
	}
	if b.grease[1] == b.grease[4] { // no extension twice
		b.grease[4] ^= 0x10
	}
	b.echSize = 144 + 32*int(b.order[len(b.order)-1]&3)
}

// appendRest appends suites, compression and extensions; start is where the record begins in dst.
func (b *helloBuilder) appendRest(dst []byte, start int) []byte {
	if b.hello.Shape == Small {
		dst = append(dst, 0, byte(len(smallSuites)))
		dst = append(dst, smallSuites...)
	} else {
		dst = append(dst, 0, byte(2+len(aes128First)+len(olderSuites)), b.grease[0], b.grease[0])
		if b.hello.AES256First {
			dst = append(dst, aes256First...)
		} else {
			dst = append(dst, aes128First...)
		}
		dst = append(dst, olderSuites...)
	}
	dst = append(dst, 1, 0, 0, 0)
	at := len(dst)
	switch b.hello.Shape {
	case Browser, Classic517:
		dst = b.appendBrowser(dst, start)
	case Small:
		dst = b.appendSNI(dst)
		dst = appendExtension(dst, extVersions, "\x04\x03\x04\x03\x03")
		dst = appendExtension(dst, 0x000a, "\x00\x02\x00\x1d")
		dst = append(dst, 0, extKeyShare, 0, 38, 0, 36)
		dst = b.appendX25519(dst)
	}
	binary.BigEndian.PutUint16(dst[at-2:], uint16(len(dst)-at))
	return dst
}

// appendBrowser appends GREASE, the extensions of a browser in random order, and GREASE again.
func (b *helloBuilder) appendBrowser(dst []byte, start int) []byte {
	hybrid := b.hello.Shape == Browser
	dst = append(dst, b.grease[1], b.grease[1], 0, 0)
	const own = 6 // SNI, groups, versions, shares, ALPS, ECH
	var order [len(plain) + own]byte
	for i := range order {
		j := int(b.order[i]) % (i + 1)
		order[i], order[j] = order[j], byte(i)
	}
	for _, i := range order {
		switch int(i) - len(plain) {
		case 0:
			dst = b.appendSNI(dst)
		case 1:
			dst = b.appendGroups(dst, hybrid)
		case 2:
			dst = append(dst, 0, extVersions, 0, 7, 6, b.grease[3], b.grease[3], 3, 4, 3, 3)
		case 3:
			dst = b.appendShares(dst, hybrid)
		case 4:
			alps := uint16(0x4469) // application_settings; renumbered in 2025
			if hybrid {
				alps = 0x44cd
			}
			dst = appendExtension(dst, alps, "\x00\x03\x02h2")
		case 5:
			if hybrid {
				dst = b.appendECH(dst)
			}
		default:
			dst = appendExtension(dst, plain[i].kind, plain[i].data)
		}
	}
	dst = append(dst, b.grease[4], b.grease[4], 0, 1, 0)
	if pad := classicSize - (len(dst) - start) - 4; !hybrid && pad >= 0 {
		dst = append(dst, 0, 0x15, byte(pad>>8), byte(pad))
		dst = append(dst, make([]byte, pad)...)
	}
	return dst
}

func (b *helloBuilder) appendSNI(dst []byte) []byte {
	n := len(b.hello.Domain)
	if n == 0 {
		return dst
	}
	dst = append(dst, 0, extSNI, byte((n+5)>>8), byte(n+5), byte((n+3)>>8), byte(n+3), 0, byte(n>>8), byte(n))
	return append(dst, b.hello.Domain...)
}

func (b *helloBuilder) appendGroups(dst []byte, hybrid bool) []byte {
	g := b.grease[2]
	if hybrid {
		return append(dst, 0, 0x0a, 0, 12, 0, 10, g, g, 0x11, 0xec, 0, 0x1d, 0, 0x17, 0, 0x18)
	}
	return append(dst, 0, 0x0a, 0, 10, 0, 8, g, g, 0, 0x1d, 0, 0x17, 0, 0x18)
}

func (b *helloBuilder) appendShares(dst []byte, hybrid bool) []byte {
	n := 5 + 4 + x25519Size
	if hybrid {
		n += 4 + len(b.hello.Shares.MLKEM)
	}
	g := b.grease[2]
	dst = append(dst, 0, extKeyShare, byte((n+2)>>8), byte(n+2), byte(n>>8), byte(n), g, g, 0, 1, 0)
	if hybrid {
		dst = append(dst, 0x11, 0xec, 0x04, 0xc0)
		dst = append(dst, b.hello.Shares.MLKEM[:]...)
	}
	return b.appendX25519(dst)
}

func (b *helloBuilder) appendX25519(dst []byte) []byte {
	dst = append(dst, 0, 0x1d, 0, x25519Size)
	return append(dst, b.hello.Shares.X25519[:]...)
}

// appendECH appends a GREASE encrypted_client_hello: outer, HKDF-SHA256 with AES-128-GCM, config id, key, payload.
func (b *helloBuilder) appendECH(dst []byte) []byte {
	n := 1 + 4 + 1 + 2 + 32 + 2 + b.echSize
	dst = append(dst, 0xfe, 0x0d, byte(n>>8), byte(n), 0, 0, 1, 0, 1, b.ech[0], 0, 32)
	dst = append(dst, b.ech[1:]...)
	dst = append(dst, byte(b.echSize>>8), byte(b.echSize))
	at := len(dst)
	dst = append(dst, make([]byte, b.echSize)...)
	b.rand(dst[at:])
	return dst
}

func appendExtension(dst []byte, kind uint16, data string) []byte {
	dst = append(dst, byte(kind>>8), byte(kind), byte(len(data)>>8), byte(len(data)))
	return append(dst, data...)
}
