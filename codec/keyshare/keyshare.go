// Package keyshare makes key shares that nobody will derive a secret from, with the distribution of genuine ones.
//
// A server that only looks like TLS must answer with an x25519 public key and an ML-KEM-768 ciphertext that stand every
// test from outside, and throws away what belongs to them. That allows what a real server may not do: time may depend on
// the scalar, and a ciphertext need not be anybody's. Nothing here is fit for a key that is used.
package keyshare

// Sizes of the wire in bytes (RFC 7748 5; FIPS 203, table 3).
const (
	PointSize      = 32   // x25519 public key
	CiphertextSize = 1088 // ML-KEM-768 ciphertext, the server's part
	KeySize        = 1184 // ML-KEM-768 encapsulation key, the client's part
)

// Maker makes key shares without allocating. The zero value is ready. It belongs to one loop.
type Maker struct {
	points [batch * PointSize]byte
	left   int // points that nobody had yet
	random [random]byte
}
