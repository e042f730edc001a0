package dcmap

import (
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
)

// What is wrong with a secret (spec upstream-protocols 1.2).
var (
	ErrSecretSize = errors.New("dcmap: a secret has 32 to 256 bytes")
	ErrSelector   = errors.New("dcmap: the first four bytes of a secret are not all zero")
)

// hidden is what any attempt to print a secret gives.
const hidden = "secret(hidden)"

// Secret is the key that Telegram gives all proxies for their links, 32..256 bytes. It is never
// changed, and no verb, encoder or logger prints it.
type Secret []byte

// ParseSecret checks a secret as downloaded and returns a copy of it. Errors: ErrSecretSize,
// ErrSelector.
func ParseSecret(p []byte) (Secret, error) {
	if len(p) < MinSecret || len(p) > MaxSecret {
		return nil, ErrSecretSize
	}
	s := Secret(append([]byte(nil), p...))
	if s.Selector() == 0 {
		return nil, ErrSelector
	}
	return s, nil
}

// Selector returns the first four bytes, little-endian, by which both ends of a link know that they
// have the same secret; 0 for none (spec upstream-protocols 1.2).
func (s Secret) Selector() uint32 {
	if len(s) < 4 {
		return 0
	}
	return binary.LittleEndian.Uint32(s)
}

// Equal compares in constant time.
func (s Secret) Equal(o Secret) bool { return subtle.ConstantTimeCompare(s, o) == 1 }

// String keeps the bytes out of logs and texts.
func (Secret) String() string { return hidden }

// Format keeps them out of every verb, %x and %d too.
func (Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(hidden)) }

// MarshalText keeps them out of JSON and of structured logs.
func (Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }
