package replay

import (
	"bytes"
	"testing"
)

// sample is a segment of three blocks.
func sample() []byte {
	data := appendHeader(nil, [16]byte{1: 7})
	for b := range uint64(3) {
		block := make([]byte, blockHeader)
		for i := range b + 1 {
			block = appendHash(block, b<<60|i)
		}
		sealBlock(block, start+int64(b))
		data = append(data, block...)
	}
	return data
}

// Each shorter input gives the blocks that are whole, and takes nothing of the torn one.
func TestScanPrefixes(t *testing.T) {
	data := sample()
	ends := []int{fileHeader}
	scan(data, func(_ int64, hashes []byte) { ends = append(ends, ends[len(ends)-1]+blockHeader+len(hashes)) })
	if len(ends) != 4 || ends[3] != len(data) {
		t.Fatalf("blocks end at %v of %d", ends, len(data))
	}
	for cut := range data {
		blocks := 0
		end, damaged := scan(data[:cut], func(unix int64, _ []byte) {
			if unix != start+int64(blocks) {
				t.Fatalf("block %d is of %d", blocks, unix)
			}
			blocks++
		})
		if _, err := parseHeader(data[:cut]); (err == nil) != (cut >= fileHeader) {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		if cut >= fileHeader && (end != ends[blocks] || ends[blocks+1] <= cut) || damaged != 0 {
			t.Fatalf("cut at %d: %d blocks to %d, %d bytes damaged", cut, blocks, end, damaged)
		}
	}
}

// FuzzLoad loads any bytes as a segment: never more than they can hold, and what is written behind the place
// that is good for it is there again after the next start.
func FuzzLoad(f *testing.F) {
	good := sample()
	f.Add(good)
	f.Add(good[:len(good)-3])
	f.Add(good[:fileHeader-1])
	f.Add(append(append(bytes.Clone(good[:fileHeader+5]), 0, 0, 0), good[fileHeader:]...))
	f.Add(append([]byte("epoxyrp2"), good[8:]...))
	ours := make([]byte, blockHeader)
	for i := range uint64(10) {
		ours = appendHash(ours, i<<56|1<<40)
	}
	sealBlock(ours, start+5)
	f.Fuzz(func(t *testing.T, data []byte) {
		s := newStore(1, [16]byte{1: 7})
		var g segment
		whole, err := s.absorb(data, &g, start+5, true, true)
		n, _ := s.Len()
		if n > uint64(len(data)/slotSize) || whole > int64(len(data)) || n > 0 && g.last == 0 {
			t.Fatalf("%d bytes give %d entries to %d, %+v", len(data), n, whole, g)
		}
		if whole < 0 {
			if err == nil {
				t.Fatal("neither a place to go on nor an error")
			}
			return
		}
		again := newStore(1, [16]byte{1: 7})
		end, err2 := again.absorb(append(bytes.Clone(data[:whole]), ours...), &g, start+5, true, false)
		if end != whole+int64(len(ours)) || (err == nil) != (err2 == nil) || g.last != start+5 {
			t.Fatalf("first %v to %d, then %v to %d, %+v", err, whole, err2, end, g)
		}
		for i := range uint64(10) {
			if !again.parts[i].seen(1<<40, start+5) {
				t.Fatalf("handshake %d is lost behind what was there", i)
			}
		}
	})
}
