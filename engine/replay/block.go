package replay

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
)

// A segment of the journal is a header and blocks, all little-endian. Every Flush appends one block.
//
//	header  magic 8 | hash key 16 | crc32c of the 24 u32 | zero 4
//	block   magic u32 | count u32 | unix seconds of the flush i64 | crc32c of the hashes u32 |
//	        crc32c of the 20 u32 | hashes, count times u64
//
// All lengths are multiples of 8, so behind a damaged block the next one is found.
const (
	fileMagic   = "epoxyrp1" // its last digit is the version
	fileHeader  = 32
	blockMagic  = 0x6b6c6272 // "rblk"
	blockHeader = 24
)

var errBadHeader = errors.New("replay: segment has no valid header")

// checksum is CRC-32C; the table is made once by the standard library.
func checksum(p []byte) uint32 { return crc32.Checksum(p, crc32.MakeTable(crc32.Castagnoli)) }

// appendHeader appends a segment's header to dst.
func appendHeader(dst []byte, key [16]byte) []byte {
	from := len(dst)
	dst = append(append(dst, fileMagic...), key[:]...)
	dst = binary.LittleEndian.AppendUint32(dst, checksum(dst[from:]))
	return append(dst, 0, 0, 0, 0)
}

// parseHeader returns the hash key of a segment that begins with p.
func parseHeader(p []byte) (key [16]byte, err error) {
	if len(p) < fileHeader || string(p[:8]) != fileMagic || binary.LittleEndian.Uint32(p[24:]) != checksum(p[:24]) {
		return key, errBadHeader
	}
	return [16]byte(p[8:]), nil
}

func appendHash(block []byte, hash uint64) []byte {
	return binary.LittleEndian.AppendUint64(block, hash)
}

// sealBlock fills in the header of a block whose hashes are there already.
func sealBlock(block []byte, unix int64) {
	hashes := block[blockHeader:]
	binary.LittleEndian.PutUint32(block, blockMagic)
	binary.LittleEndian.PutUint32(block[4:], uint32(len(hashes)/slotSize))
	binary.LittleEndian.PutUint64(block[8:], uint64(unix))
	binary.LittleEndian.PutUint32(block[16:], checksum(hashes))
	binary.LittleEndian.PutUint32(block[20:], checksum(block[:20]))
}

// parseBlock returns the size of the block that p begins with, which may be longer than p; 0 is no block.
func parseBlock(p []byte) int {
	if len(p) < blockHeader || binary.LittleEndian.Uint32(p) != blockMagic ||
		binary.LittleEndian.Uint32(p[20:]) != checksum(p[:20]) {
		return 0
	}
	count := binary.LittleEndian.Uint32(p[4:])
	if count > maxBlock {
		return 0
	}
	return blockHeader + int(count)*slotSize
}

// scan calls each with the time and the hashes of every whole block of a segment. It returns where the last
// one ends and how many bytes before that belong to none: damage. What is behind the end is a torn tail.
func scan(segment []byte, each func(unix int64, hashes []byte)) (end, damaged int) {
	end = min(fileHeader, len(segment))
	for at := end; at < len(segment); {
		size := parseBlock(segment[at:])
		switch {
		case size == 0 || size > len(segment)-at:
			at += 8
		case binary.LittleEndian.Uint32(segment[at+16:]) != checksum(segment[at+blockHeader:at+size]):
			at += size
		default:
			each(int64(binary.LittleEndian.Uint64(segment[at+8:])), segment[at+blockHeader:at+size])
			damaged += at - end
			at += size
			end = at
		}
	}
	return end, damaged
}
