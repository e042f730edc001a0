package full

import (
	"encoding/binary"

	"epoxy/codec/cbc"
)

// Encoder writes one direction. Frames are appended in clear, as many as there are; Flush then pads and encrypts them
// together. The zero Encoder is ready, in clear. It belongs to one loop; do not copy one in use.
type Encoder struct {
	place
	encrypted bool
	cipher    cbc.Encrypter
}

// Start encrypts everything that is flushed from now on.
func (e *Encoder) Start(k *Keys) {
	e.cipher = cbc.NewEncrypter(&k.Key, &k.IV)
	e.encrypted = true
}

// Begin appends room for the head of a frame. The caller appends the body, which is whole words and at least one, and
// calls End with the length that dst had before.
func (e *Encoder) Begin(dst []byte) []byte {
	return append(dst, make([]byte, headSize)...)
}

// End completes the frame that begins at dst[at] and ends with dst: the head is written, the checksum appended.
func (e *Encoder) End(dst []byte, at int) []byte {
	frame := dst[at:]
	binary.LittleEndian.PutUint32(frame, uint32(len(frame)+sumSize))
	binary.LittleEndian.PutUint32(frame[4:], e.seq())
	dst = binary.LittleEndian.AppendUint32(dst, e.sum(frame))
	e.frames++
	return dst
}

// Append appends a whole frame with body, for which the rules of Begin hold.
func (e *Encoder) Append(dst, body []byte) []byte {
	at := len(dst)
	return e.End(append(e.Begin(dst), body...), at)
}

// Flush makes dst[at:], the frames since the last Flush, ready to send: it appends 0 to 3 fillers and encrypts in
// place. In clear it does nothing.
func (e *Encoder) Flush(dst []byte, at int) []byte {
	dst, lane := e.Seal(dst, at)
	if len(lane.P) > 0 {
		e.cipher.CryptBlocks(lane.P, lane.P)
	}
	return dst
}

// Seal is Flush without the encryption, which is left to cbc.EncryptAll with the lanes of several links: four together
// take hardly longer than one. It comes before the next Seal or Flush. The lane points into the result and is empty in
// clear.
func (e *Encoder) Seal(dst []byte, at int) ([]byte, cbc.Lane) {
	if !e.encrypted {
		return dst, cbc.Lane{}
	}
	for range ((at - len(dst)) & (blockSize - 1)) / wordSize {
		dst = binary.LittleEndian.AppendUint32(dst, filler)
	}
	return dst, cbc.Lane{E: &e.cipher, P: dst[at:]}
}
