package faketls

import (
	"slices"

	"epoxy/codec/keyshare"
)

// helloBodyMax is the longest ServerHello record payload, the hybrid one (spec client-protocols 4.3).
const helloBodyMax = sessionAt - HeaderSize + 1 + maxSession + 3 + 2 + 4 + 4 + mlkemCipherSize + x25519Size + 6

// AppendFlight appends the whole server flight to dst; the caller writes it with one write, because a
// ServerHello in a segment of its own breaks Android (spec client-protocols 4.3, 4.4):
//
//	16 03 03 len | 02 len | 03 03 | random | session id | suite | 00 | extensions
//	14 03 03 00 01 01
//	17 03 03 len | random bytes, p.AppData of them
//
// The x25519 key is a point as genuine ones are, which can be tested from outside, and the ML-KEM ciphertext has the
// distribution of genuine ones; package keyshare says more. rand fills its argument with secure random bytes; it is asked
// for a seed, once. A hybrid share whose ML-KEM key is malformed is answered with x25519 when offered, else with
// ReasonHelloShare; dst comes back unchanged then. It allocates nothing but dst's growth.
func (d *Digester) AppendFlight(dst []byte, k *Key, h *Hello, p *Profile, c Choice, rand func([]byte)) ([]byte, error) {
	if c.Group == X25519MLKEM768 && (len(h.MLKEM) < mlkemKeySize || !keyshare.ValidKey(h.MLKEM[:mlkemKeySize])) {
		if h.X25519 == nil {
			return dst, errShare
		}
		c.Group = X25519
	}
	d.noise.seed(rand)
	share := d.share[:c.Group.answerSize()]
	point := share
	if c.Group == X25519MLKEM768 {
		d.shares.Ciphertext(share, d.fill)
		point = share[mlkemCipherSize:]
	}
	d.shares.Point(point, d.fill)
	var spread byte
	if p.Spread > 0 {
		spread = d.noise.byte()
	}
	start, data := len(dst), p.appData(c.Suite, spread)
	dst = slices.Grow(dst, HeaderSize+helloBodyMax+ccsSize+HeaderSize+data)
	dst = appendServerHello(dst, h.SessionID, c, p.VersionsFirst, share)
	dst = appendTail(dst, data)
	d.noise.fill(dst[len(dst)-data:])
	d.sign(k, h.Random, dst[start:])
	return dst, nil
}

// appendServerHello appends the first record, its random zero.
func appendServerHello(dst, session []byte, c Choice, versionsFirst bool, share []byte) []byte {
	extensions := 4 + 4 + len(share) + 6
	body := 2 + randomSize + 1 + len(session) + 2 + 1 + 2 + extensions
	dst = append(dst, typeHandshake, 3, 3, byte((body+4)>>8), byte(body+4), serverHello, 0, byte(body>>8), byte(body), 3, 3)
	dst = append(dst, zeroRandom[:]...)
	dst = append(dst, byte(len(session)))
	dst = append(dst, session...)
	dst = append(dst, byte(c.Suite>>8), byte(c.Suite), 0, byte(extensions>>8), byte(extensions))
	if versionsFirst {
		dst = appendVersions(dst)
	}
	n := len(share)
	dst = append(dst, 0, extKeyShare, byte((n+4)>>8), byte(n+4), byte(c.Group>>8), byte(c.Group), byte(n>>8), byte(n))
	dst = append(dst, share...)
	if !versionsFirst {
		dst = appendVersions(dst)
	}
	return dst
}

// appendVersions appends supported_versions, which selects TLS 1.3.
func appendVersions(dst []byte) []byte { return append(dst, 0, extVersions, 0, 2, 3, 4) }

// appendTail appends the CCS record and an application-data record of n bytes that are still to be filled.
func appendTail(dst []byte, n int) []byte {
	dst = append(dst, ccs...)
	dst = append(dst, typeData, 3, 3, byte(n>>8), byte(n))
	return slices.Grow(dst, n)[:len(dst)+n]
}
