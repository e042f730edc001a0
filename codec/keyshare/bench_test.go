package keyshare

import (
	"math/rand/v2"
	"testing"
)

// source returns a reproducible rand argument.
func source(seed byte) func([]byte) {
	r := rand.NewChaCha8([32]byte{seed})
	return func(p []byte) { _, _ = r.Read(p) }
}

func BenchmarkPoint(b *testing.B) {
	var m Maker
	dst, rand := make([]byte, PointSize), source(1)
	b.ReportAllocs()
	for b.Loop() {
		m.Point(dst, rand)
	}
}

func BenchmarkCiphertext(b *testing.B) {
	var m Maker
	dst, rand := make([]byte, CiphertextSize), source(1)
	b.ReportAllocs()
	for b.Loop() {
		m.Ciphertext(dst, rand)
	}
}

func BenchmarkValidKey(b *testing.B) {
	key := make([]byte, KeySize)
	b.ReportAllocs()
	for b.Loop() {
		if !ValidKey(key) {
			b.Fatal("not valid")
		}
	}
}

func BenchmarkTables(b *testing.B) {
	for b.Loop() {
		newComb()
	}
}
