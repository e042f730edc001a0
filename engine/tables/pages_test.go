package tables

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// FuzzWalk gives any file: the walk ends, and meets no page twice.
func FuzzWalk(f *testing.F) {
	path := filepath.Join(f.TempDir(), "tables.db")
	tables, s := open(f, path)
	tables.Import("a", some(200))
	if err := s.Close(); err != nil {
		f.Fatal(err)
	}
	file, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	size := os.Getpagesize()
	for id := range uint64(8) {
		f.Add(file[:min(len(file), 16*size)], id)
	}
	f.Fuzz(func(t *testing.T, file []byte, root uint64) {
		p := &pages{file: bytes.NewReader(file), size: 4096, seen: make([]bool, len(file)/4096)}
		err := p.walk(root)
		if err == nil && (root < 2 || !p.seen[root]) {
			t.Fatalf("page %d was not looked at", root)
		}
		if err == nil && !errors.Is(p.walk(root), errTree) {
			t.Fatalf("page %d was taken twice", root)
		}
	})
}
