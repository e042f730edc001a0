// Package obfs2 is the 64-byte opening frame and its two AES-CTR streams.
package obfs2

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"

	"epoxy/codec"
	"epoxy/codec/cbc"
)

// seed is the 48 bytes of an opening frame that the keys come from: key seed, IV.
type seed [keySize + blockSize]byte

// seedOf returns bytes 8..55 of init, which is at least that long.
func seedOf(init []byte) seed { return seed(init[keyAt:tagAt]) }

// reversed returns the seed of the other direction.
func (d seed) reversed() seed {
	slices.Reverse(d[:])
	return d
}

// derive returns the key and IV of one direction: the key seed is hashed with the secret, or taken as it is when
// there is none (spec client-protocols 1.2).
func (d *seed) derive(secret *codec.Key) (key [keySize]byte, iv [blockSize]byte) {
	copy(iv[:], d[keySize:])
	if secret == nil {
		copy(key[:], d[:keySize])
		return key, iv
	}
	var salted [keySize + codec.KeySize]byte
	copy(salted[:], d[:keySize])
	copy(salted[keySize:], secret[:])
	return sha256.Sum256(salted[:]), iv
}

// stream returns the cold stream of one direction.
func (d *seed) stream(secret *codec.Key, offset uint64) Stream {
	key, iv := d.derive(secret)
	return NewStream(&key, &iv, offset)
}

// Match tries one secret on the first 64 bytes that a client sent; nil is no secret. It costs one SHA-256, one key
// schedule and one block, the one that holds the tag. ok is false for a wrong secret and for a tag that is none of
// the three, which cannot be told apart, and for fewer than 64 bytes. init is not changed.
func Match(init []byte, secret *codec.Key) (t codec.Transport, dc codec.DC, ok bool) {
	if len(init) < InitSize {
		return codec.TransportNone, 0, false
	}
	d := seedOf(init)
	key, iv := d.derive(secret)
	// No cipher on the heap: a stranger's opening costs no memory however many secrets there are.
	block := cbc.Block(&key, addCounter(&iv, tagAt/blockSize))
	word := binary.LittleEndian.Uint64(init[tagAt:]) ^ binary.LittleEndian.Uint64(block[tagAt%blockSize:])
	t = codec.TransportOf(uint32(word))
	if t == codec.TransportNone {
		return codec.TransportNone, 0, false
	}
	return t, codec.DC(uint16(word >> 32)), true
}

// Accept returns the server's two streams, both cold, for an init that Match accepted with the same secret: in
// continues at 64, out starts at 0. init is at least 64 bytes.
func Accept(init []byte, secret *codec.Key) (in, out Stream) {
	up := seedOf(init)
	down := up.reversed()
	return up.stream(secret, InitSize), down.stream(secret, 0)
}

// ReplayKey returns the 48 bytes of an init that make its keys, which two clients never share. It points into init,
// which is at least 64 bytes.
func ReplayKey(init []byte) []byte { return init[keyAt:tagAt:tagAt] }

// Forbidden reports that an opening may not start with these random bytes, at least 8, and that they must be drawn
// again (spec client-protocols 1.4). It is a rule for those who open; never enforce it on what a client sent.
func Forbidden(random []byte) bool {
	switch binary.LittleEndian.Uint32(random) {
	case wordHEAD, wordPOST, wordGET, wordOPTI, wordPadded, wordIntermediate:
		return true
	}
	return random[0] == byteAbridged ||
		binary.LittleEndian.Uint16(random) == halfTLS ||
		binary.LittleEndian.Uint32(random[4:]) == 0
}

// Foreign reports that p begins as HTTP or SSH do, with which no official client's opening ever begins and any other's once
// in a thousand million: what waits for more of it as an opening shows that it is no web server.
func Foreign(p []byte) bool {
	if len(p) < 4 {
		return false
	}
	switch binary.LittleEndian.Uint32(p) {
	case wordHEAD, wordPOST, wordGET, wordOPTI, wordSSH:
		return true
	}
	return false
}

// ClientInit builds the 64 wire bytes of an opening from 64 random bytes, and the client's two streams: up continues
// at 64, down starts at 0. secret nil is straight to a DC. t is one of the three transports. ok is false when random
// is Forbidden: draw again.
func ClientInit(random *[64]byte, secret *codec.Key, t codec.Transport, dc codec.DC) (wire [64]byte, up, down Stream, ok bool) {
	if Forbidden(random[:]) {
		return wire, up, down, false
	}
	plain := *random
	binary.LittleEndian.PutUint32(plain[tagAt:], t.Tag())
	binary.LittleEndian.PutUint16(plain[dcAt:], uint16(dc))

	d := seedOf(plain[:])
	up = d.stream(secret, 0)
	up.XOR(wire[:], plain[:])
	copy(wire[:tagAt], plain[:tagAt])
	d = d.reversed()
	return wire, up, d.stream(secret, 0), true
}

// Mirror writes into random, before ClientInit, the key seed that makes a DC encrypt with exactly the key and IV of
// out, the proxy's stream to its client: what comes down can then be passed on as it is (spec upstream-protocols
// 5.3, fast mode). Both hops must start at offset 0. It shows the client's key to whoever sees the DC hop.
func Mirror(random *[64]byte, out *Stream) {
	var d seed
	copy(d[:keySize], out.key[:])
	copy(d[keySize:], out.iv[:])
	d = d.reversed()
	copy(random[keyAt:tagAt], d[:])
}
