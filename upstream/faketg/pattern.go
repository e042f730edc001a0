package faketg

import "encoding/binary"

// The pattern is a stream of little-endian words, word k of stream id being id*weylSeed + k*weylStep.
// All words of a stream differ, so a byte that is wrong, lost, doubled or out of order shows.
const (
	weylStep = 0x9e3779b97f4a7c15
	weylSeed = 0xd1342543de82ef95
	wordSize = 8
)

// AppendPattern appends bytes off..off+n-1 of pattern id to dst.
func AppendPattern(dst []byte, id uint32, off uint64, n int) []byte {
	word := uint64(id)*weylSeed + off/wordSize*weylStep
	if skip := int(off % wordSize); skip > 0 && n > 0 {
		var w [wordSize]byte
		binary.LittleEndian.PutUint64(w[:], word)
		k := min(wordSize-skip, n)
		dst = append(dst, w[skip:skip+k]...)
		word, n = word+weylStep, n-k
	}
	for ; n >= wordSize; n -= wordSize {
		dst = binary.LittleEndian.AppendUint64(dst, word)
		word += weylStep
	}
	if n > 0 {
		var w [wordSize]byte
		binary.LittleEndian.PutUint64(w[:], word)
		dst = append(dst, w[:n]...)
	}
	return dst
}

// CheckPattern reports whether p is what pattern id holds from off on.
func CheckPattern(p []byte, id uint32, off uint64) bool {
	word := uint64(id)*weylSeed + off/wordSize*weylStep
	if skip := int(off % wordSize); skip > 0 && len(p) > 0 {
		k := min(wordSize-skip, len(p))
		if !equalWord(p[:k], word>>(8*skip)) {
			return false
		}
		word, p = word+weylStep, p[k:]
	}
	for ; len(p) >= wordSize; p = p[wordSize:] {
		if binary.LittleEndian.Uint64(p) != word {
			return false
		}
		word += weylStep
	}
	return equalWord(p, word)
}

// equalWord compares p with the low bytes of word.
func equalWord(p []byte, word uint64) bool {
	for _, b := range p {
		if b != byte(word) {
			return false
		}
		word >>= 8
	}
	return true
}
