package replay

import (
	"bytes"
	"os"
	"path/filepath"
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

// FuzzLoad opens a directory with any bytes as the last and as an earlier segment. What is loaded is there
// again after the next start, without damage in what we wrote.
func FuzzLoad(f *testing.F) {
	good := sample()
	f.Add(good)
	f.Add(good[:len(good)-3])
	f.Add(good[:fileHeader-1])
	f.Add(append(append(bytes.Clone(good[:fileHeader+5]), 0, 0, 0), good[fileHeader:]...))
	f.Add(append([]byte("epoxyrp2"), good[8:]...))
	f.Fuzz(func(t *testing.T, data []byte) {
		dir := t.TempDir()
		for _, name := range []string{"replay-3.bin", "replay-12.bin"} {
			if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		blocks := 0
		end, damaged := scan(data, func(_ int64, hashes []byte) { blocks += len(hashes) / slotSize })
		if end+damaged > 2*len(data) || blocks*slotSize > len(data) {
			t.Fatalf("%d bytes give %d hashes, end %d, damaged %d", len(data), blocks, end, damaged)
		}
		s, _ := Open(dir, Options{Memory: 1, Now: start + 5, Key: [16]byte{1}})
		n, _ := s.Len()
		if n > uint64(blocks) {
			t.Fatalf("%d entries of %d hashes", n, blocks)
		}
		fill(s, 0, 10, start+5)
		if err := s.Close(start + 5); err != nil {
			t.Fatal(err)
		}
		again, _ := Open(dir, Options{Memory: 1, Now: start + 5, Key: [16]byte{2}})
		defer again.Close(start + 5)
		if got := known(again, 0, 10, start+5); got != 10 {
			t.Fatalf("%d of 10 handshakes are there after damage and a restart", got)
		}
		if m, _ := again.Len(); n < 1000 && m < n+10 {
			t.Fatalf("%d entries, then 10 more, then %d", n, m)
		}
	})
}
