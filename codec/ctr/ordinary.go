package ctr

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
)

// ordinary is the path over crypto/cipher. Its streams know no offset, so one is kept for the call that goes on where
// the last one ended, which is nearly every call.
type ordinary struct {
	block  cipher.Block
	stream cipher.Stream // stands at next of the key stream of iv; nil at first
	iv     [BlockSize]byte
	next   uint64
}

func newOrdinary(key *[32]byte) *ordinary {
	b, err := aes.NewCipher(key[:])
	if err != nil {
		panic("ctr: " + err.Error()) // only for a key size that is not 16, 24 or 32
	}
	return &ordinary{block: b}
}

func (o *ordinary) xor(iv *[BlockSize]byte, offset uint64, dst, src []byte) {
	if o.stream == nil || o.next != offset || o.iv != *iv {
		o.seek(iv, offset)
	}
	o.stream.XORKeyStream(dst, src)
	o.next += uint64(len(src))
}

// seek builds the stream that stands at offset.
func (o *ordinary) seek(iv *[BlockSize]byte, offset uint64) {
	o.iv, o.next = *iv, offset
	var start, used [BlockSize]byte
	hi, lo := counter(iv, offset)
	binary.BigEndian.PutUint64(start[:8], hi)
	binary.BigEndian.PutUint64(start[8:], lo)
	o.stream = cipher.NewCTR(o.block, start[:])
	skip := offset % BlockSize
	o.stream.XORKeyStream(used[:skip], used[:skip])
}
