package faketls

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding"
	"encoding/binary"
	"hash"

	"epoxy/codec"
	"epoxy/codec/keyshare"
)

// signedSize is how much of the random is the digest; the last four bytes hide the time.
const signedSize = 28

var zeroRandom [randomSize]byte // never written

// Key is a secret prepared for digest checks: HMAC-SHA256's inner and outer state after the padded key.
// It is immutable and may be shared by all loops.
type Key struct {
	inner, outer []byte // SHA-256 states as package sha256 marshals them
}

// NewKey prepares a secret.
func NewKey(secret codec.Key) *Key {
	k := new(Key)
	k.prepare(sha256.New(), new([sha256.BlockSize]byte), &secret)
	return k
}

// prepare makes k the key of secret, in the memory that it has; pad is scratch.
func (k *Key) prepare(h hash.Hash, pad *[sha256.BlockSize]byte, secret *codec.Key) {
	state := func(dst []byte, mask byte) []byte {
		clear(pad[copy(pad[:], secret[:]):])
		for i := range pad {
			pad[i] ^= mask
		}
		h.Reset()
		h.Write(pad[:])
		dst, err := h.(encoding.BinaryAppender).AppendBinary(dst)
		if err != nil {
			panic("faketls: " + err.Error()) // SHA-256 has no such error
		}
		return dst
	}
	k.inner, k.outer = state(k.inner[:0], 0x36), state(k.outer[:0], 0x5c)
	clear(pad[:])
}

// String hides the secret from logs.
func (k *Key) String() string { return "faketls.Key" }

// GoString hides the secret from %#v.
func (k *Key) GoString() string { return k.String() }

// Digester does the HMACs and flights of one loop without allocating. It is not for concurrent use.
type Digester struct {
	hash  hash.Hash
	state encoding.BinaryUnmarshaler // the same hash
	sum   [sha256.Size]byte
	pad   [sha256.BlockSize]byte

	noise  noise
	fill   func([]byte) // noise's
	shares keyshare.Maker
	share  [mlkemCipherSize + x25519Size]byte // of the flight that is being built
}

// NewDigester returns a Digester.
func NewDigester() *Digester {
	h := sha256.New()
	d := &Digester{hash: h, state: h.(encoding.BinaryUnmarshaler)}
	d.fill = d.noise.fill
	return d
}

// Rekey makes k, the zero Key or one that d alone uses, the key of another secret in the same memory: for secrets that are
// made up on the way, such as one per SNI.
func (d *Digester) Rekey(k *Key, secret codec.Key) { k.prepare(d.hash, &d.pad, &secret) }

// begin starts an HMAC under k; the message follows by d.hash.Write.
func (d *Digester) begin(k *Key) { d.load(k.inner) }

// end returns the HMAC, valid until the next.
func (d *Digester) end(k *Key) []byte {
	inner := d.hash.Sum(d.sum[:0])
	d.load(k.outer)
	d.hash.Write(inner)
	return d.hash.Sum(d.sum[:0])
}

func (d *Digester) load(state []byte) {
	if err := d.state.UnmarshalBinary(state); err != nil {
		panic("faketls: " + err.Error()) // a Key that NewKey did not make
	}
}

// Check reports whether k made this hello, in constant time, and the unix time inside (spec
// client-protocols 4.1):
//
//	H = HMAC-SHA256(secret, record with its random zeroed); random = H[:28] | LE32(time) xor H[28:]
//
// The time is not authenticated: anybody can shift it, only the first 28 bytes are signed (4.7).
func (d *Digester) Check(k *Key, h *Hello) (unix uint32, ok bool) {
	d.begin(k)
	d.hash.Write(h.Record[:randomAt])
	d.hash.Write(zeroRandom[:])
	d.hash.Write(h.Record[sessionAt:])
	sum := d.end(k)
	ok = subtle.ConstantTimeCompare(sum[:signedSize], h.Random[:signedSize]) == 1
	return binary.LittleEndian.Uint32(sum[signedSize:]) ^ binary.LittleEndian.Uint32(h.Random[signedSize:]), ok
}

// sign writes the ServerHello's random into flight, where it must be zero (spec client-protocols 4.3).
func (d *Digester) sign(k *Key, clientRandom, flight []byte) {
	d.begin(k)
	d.hash.Write(clientRandom)
	d.hash.Write(flight)
	copy(flight[randomAt:], d.end(k))
}
