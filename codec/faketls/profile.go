package faketls

import (
	"encoding/binary"

	"epoxy/codec/keyshare"
)

// Group is a named group of TLS 1.3 key exchange.
type Group uint16

// The groups we answer with. GroupNone in a Profile is X25519 (spec client-protocols 4.3).
const (
	GroupNone      Group = 0
	X25519         Group = 0x001d
	X25519MLKEM768 Group = 0x11ec
)

// Sizes of the shares (spec client-protocols 4.3).
const (
	x25519Size      = keyshare.PointSize
	mlkemKeySize    = keyshare.KeySize        // 1184: ML-KEM-768 encapsulation key, the client's part
	mlkemCipherSize = keyshare.CiphertextSize // 1088: ML-KEM-768 ciphertext, our part
)

// answerSize is the length of our key share.
func (g Group) answerSize() int {
	if g == X25519MLKEM768 {
		return mlkemCipherSize + x25519Size
	}
	return x25519Size
}

// Profile is how the front answers, as measured. The zero value is the fallback for a front that nobody
// measured: the client's first TLS 1.3 suite, x25519 unless only the hybrid share is offered, key_share
// before supported_versions, FallbackAppData bytes (spec client-protocols 4.3); Fallback is better.
type Profile struct {
	Suite         uint16 // preferred when offered, 0x1301..0x1303; 0 is the client's first
	Group         Group  // preferred when its share is offered; GroupNone is X25519
	VersionsFirst bool   // supported_versions before key_share, as OpenSSL and nginx do
	AppData       int    // bytes in the application-data record with Suite, or 0x1301; clamped to MinAppData..MaxAppData; 0 is FallbackAppData
	Spread        uint8  // AppData varies by up to this many bytes upwards, as ECDSA signatures do; 0 is a constant
	DelayLow      uint16 // ms from hello to flight, at least, as the front was seen to need
	DelayHigh     uint16 // the same, at most; 0 is an answer at once
	Ramp          bool   // the front's first records, and those after a silence, are small ones
}

// Fallback returns a profile for a front that nobody measured, with an AppData of 2000..4500 bytes. Make
// it once per process: a size that all installs share betrays them, one that changes betrays itself
// (spec client-protocols 4.3). rand fills its argument with random bytes.
func Fallback(rand func([]byte)) Profile {
	var r [2]byte
	rand(r[:])
	return Profile{AppData: fallbackLow + int(binary.BigEndian.Uint16(r[:]))%(fallbackHigh-fallbackLow+1)}
}

// Choice is what one ServerHello says.
type Choice struct {
	Suite uint16 // 0x1301..0x1303
	Group Group  // X25519 or X25519MLKEM768
}

// Choose picks suite and group for h. Errors: ReasonHelloSuite when no TLS 1.3 suite is offered,
// ReasonHelloShare when neither group's share is.
func (p *Profile) Choose(h *Hello) (Choice, error) {
	var c Choice
	for s := h.Suites; len(s) >= 2; s = s[2:] {
		suite := binary.BigEndian.Uint16(s)
		if isTLS13(suite) && (c.Suite == 0 || suite == p.Suite) {
			c.Suite = suite
		}
	}
	switch {
	case c.Suite == 0:
		return Choice{}, errSuite
	case h.MLKEM != nil && (p.Group == X25519MLKEM768 || h.X25519 == nil):
		c.Group = X25519MLKEM768
	case h.X25519 != nil:
		c.Group = X25519
	default:
		return Choice{}, errShare
	}
	return c, nil
}

// appData returns the size of the application-data record; r is a random byte. The Finished message in it
// is as long as the suite's hash: 48 bytes for 0x1302, 32 for the others.
func (p *Profile) appData(suite uint16, r byte) int {
	n := p.AppData
	if n == 0 {
		n = FallbackAppData
	}
	if suite != p.Suite {
		n += finished(suite) - finished(p.Suite)
	}
	return min(max(n+int(r)%(int(p.Spread)+1), MinAppData), MaxAppData)
}

func finished(suite uint16) int {
	if suite == 0x1302 { // TLS_AES_256_GCM_SHA384
		return 48
	}
	return 32
}

// isTLS13 reports whether suite is one of the three of TLS 1.3 that browsers offer.
func isTLS13(suite uint16) bool { return suite >= 0x1301 && suite <= 0x1303 }
