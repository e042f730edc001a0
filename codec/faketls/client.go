package faketls

import (
	"crypto/ecdh"
	"crypto/hmac"
	"crypto/mlkem"
	"crypto/sha256"
	"encoding/binary"

	"epoxy/codec"
)

// The client's side: what the front's probe, the load generator and tests speak. None of it is on the
// way of a client's packets.

// Shape is the kind of browser that a ClientHello looks like.
type Shape uint8

// The shapes (spec client-protocols 4.2).
const (
	Browser    Shape = iota // as TDLib in 2026: 1566 + domain + 144|176|208|240 bytes, hybrid and x25519 shares
	Classic517              // as tdesktop until 2025: 517 bytes, x25519 only
	Small                   // no GREASE, no padding, x25519 only: 158 + domain bytes; too bare for a real TLS server
)

// Shares are a client's public keys, made once and used by many hellos: an ML-KEM key costs more than
// the hello around it.
type Shares struct {
	X25519 [x25519Size]byte
	MLKEM  [mlkemKeySize + x25519Size]byte
}

// NewShares makes keys from random bytes.
func NewShares(rand func([]byte)) (*Shares, error) {
	var seed [mlkem.SeedSize]byte
	rand(seed[:])
	kem, err := mlkem.NewDecapsulationKey768(seed[:])
	if err != nil {
		return nil, err
	}
	rand(seed[:x25519Size])
	point, err := ecdh.X25519().NewPrivateKey(seed[:x25519Size])
	if err != nil {
		return nil, err
	}
	s := new(Shares)
	copy(s.X25519[:], point.PublicKey().Bytes())
	copy(s.MLKEM[:], kem.EncapsulationKey().Bytes())
	copy(s.MLKEM[mlkemKeySize:], s.X25519[:])
	return s, nil
}

// ClientHello describes a hello to build.
type ClientHello struct {
	Domain  string    // SNI, at most 253 bytes; empty leaves the extension out
	Secret  codec.Key // signs the random
	Unix    uint32    // seconds, hidden in the random
	Shares  *Shares   // required
	Shape   Shape     // Browser by default
	Version byte      // minor version of the record, 1..3; 0 is 1
	Records []int     // payload bytes of the first records, the last one takes the rest; nil is one record

	AES256First bool // TLS 1.3 suites in the order 1302, 1303, 1301, as Apple's apps; else 1301 first. Not for Small
}

// Append appends the hello's wire bytes to dst. Its 32-byte random is at offset 11, unless Records tears
// it. GREASE values, session id and the order of extensions come from rand.
func (c *ClientHello) Append(dst []byte, rand func([]byte)) (out []byte, err error) {
	switch {
	case c.Shares == nil:
		return dst, errShares
	case len(c.Domain) > 253:
		return dst, errDomain
	}
	version := c.Version
	if version == 0 {
		version = 1
	}
	b := helloBuilder{rand: rand, hello: c}
	b.random()
	start := len(dst)
	dst = append(dst, typeHandshake, 3, version, 0, 0, clientHello, 0, 0, 0, 3, 3)
	dst = append(dst, zeroRandom[:]...)
	dst = append(dst, maxSession)
	dst = append(dst, b.session[:]...)
	dst = b.appendRest(dst, start)
	hello := dst[start:]
	n := len(hello) - HeaderSize
	if n > MaxHello || c.Shape == Classic517 && len(hello) != classicSize {
		return dst[:start], errTooLarge
	}
	binary.BigEndian.PutUint16(hello[3:], uint16(n))
	binary.BigEndian.PutUint16(hello[7:], uint16(n-4))
	mac := hmac.New(sha256.New, c.Secret[:])
	mac.Write(hello)
	sum := mac.Sum(nil)
	stamp := sum[signedSize:]
	binary.LittleEndian.PutUint32(stamp, binary.LittleEndian.Uint32(stamp)^c.Unix)
	copy(hello[randomAt:], sum)
	if len(c.Records) == 0 {
		return dst, nil
	}
	return c.tear(dst[:start], hello), nil
}

// tear appends hello's payload in records of c.Records bytes each and a last one with the rest.
func (c *ClientHello) tear(dst, hello []byte) []byte {
	version := hello[2]
	payload := append([]byte(nil), hello[HeaderSize:]...)
	for i := 0; len(payload) > 0; i++ {
		n := len(payload)
		if i < len(c.Records) {
			n = min(n, c.Records[i])
		}
		dst = append(dst, typeHandshake, 3, version, byte(n>>8), byte(n))
		dst = append(dst, payload[:n]...)
		payload = payload[n:]
	}
	return dst
}

// CheckFlight verifies the server flight at the start of p as Telegram's apps do (spec client-protocols
// 4.3, 4.4): 16 03 03, exactly 14 03 03 00 01 01 17 03 03 behind it, both records 1..10240 bytes, and the
// random is the HMAC of clientRandom (32 bytes) and the flight with it zeroed. used is the flight's
// length. Errors: ErrShort until it is whole; ReasonTLSRecord for its form, ReasonHelloDigest for the HMAC.
// It allocates.
func CheckFlight(p []byte, secret *codec.Key, clientRandom []byte) (used int, err error) {
	hello, err := flightRecord(p, "\x16\x03\x03")
	if err != nil {
		return 0, err
	}
	data, err := flightRecord(p[hello:], ccs+"\x17\x03\x03")
	if err != nil {
		return 0, err
	}
	if hello < sessionAt {
		return 0, errRecord
	}
	flight := p[:hello+data]
	mac := hmac.New(sha256.New, secret[:])
	mac.Write(clientRandom)
	mac.Write(flight[:randomAt])
	mac.Write(zeroRandom[:])
	mac.Write(flight[sessionAt:])
	if !hmac.Equal(mac.Sum(nil), flight[randomAt:sessionAt]) {
		return 0, errDigest
	}
	return len(flight), nil
}

// flightRecord reads prefix | length u16 | payload at the start of p and returns the length of it all.
func flightRecord(p []byte, prefix string) (int, error) {
	have := min(len(p), len(prefix))
	if string(p[:have]) != prefix[:have] {
		return 0, errRecord
	}
	if len(p) < len(prefix)+2 {
		return 0, codec.ErrShort
	}
	n := int(binary.BigEndian.Uint16(p[len(prefix):]))
	switch {
	case n == 0 || n > maxFlightRecord:
		return 0, errRecord
	case len(p) < len(prefix)+2+n:
		return 0, codec.ErrShort
	}
	return len(prefix) + 2 + n, nil
}

// AppendRecords frames p into application-data records of at most max bytes, 1..65535; clients use
// ClientPayload.
func AppendRecords(dst, p []byte, max int) []byte {
	for len(p) > 0 {
		n := min(len(p), max)
		dst = append(dst, typeData, 3, 3, byte(n>>8), byte(n))
		dst = append(dst, p[:n]...)
		p = p[n:]
	}
	return dst
}
