package obfs2

import (
	"encoding/binary"
	"math/bits"

	"epoxy/codec/ctr"
)

// Stream is one direction's AES-256-CTR stream: 64 bytes, of which 56 say all, and the expanded key (256 bytes
// elsewhere) can be dropped while the connection is silent. It belongs to one loop. The zero Stream is not usable.
type Stream struct {
	key    [keySize]byte
	iv     [blockSize]byte
	offset uint64        // bytes of key stream used
	live   *ctr.Schedule // of key; nil while cold
}

// NewStream returns a cold stream that stands offset bytes behind the start of the key stream.
func NewStream(key *[32]byte, iv *[16]byte, offset uint64) Stream {
	return Stream{key: *key, iv: *iv, offset: offset}
}

// XOR encrypts or decrypts src into dst and advances by len(src). dst is at least as long as src and is either the
// same slice or does not overlap it. A cold stream becomes live, which allocates; a live one does not.
func (s *Stream) XOR(dst, src []byte) {
	if len(src) == 0 {
		return
	}
	if s.live == nil {
		s.live = new(ctr.Schedule)
		s.live.Expand(&s.key)
	}
	s.live.XORKeyStream(&s.iv, s.offset, dst, src)
	s.offset += uint64(len(src))
}

// Compact drops the expanded key and keeps key, iv and offset; the next XOR expands it again. It reports whether the
// stream was live.
func (s *Stream) Compact() bool {
	was := s.live != nil
	s.live = nil
	return was
}

// Live reports whether XOR would allocate nothing.
func (s *Stream) Live() bool { return s.live != nil }

// Offset returns how many bytes of the key stream were used.
func (s *Stream) Offset() uint64 { return s.offset }

// Wipe forgets everything; the stream is not usable any more.
func (s *Stream) Wipe() { *s = Stream{} }

// addCounter returns iv + blocks as a 128-bit big-endian number that wraps (spec client-protocols 1.2).
func addCounter(iv *[blockSize]byte, blocks uint64) (sum [blockSize]byte) {
	low, carry := bits.Add64(binary.BigEndian.Uint64(iv[8:]), blocks, 0)
	binary.BigEndian.PutUint64(sum[8:], low)
	binary.BigEndian.PutUint64(sum[:8], binary.BigEndian.Uint64(iv[:8])+carry)
	return sum
}
