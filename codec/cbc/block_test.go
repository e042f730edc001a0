package cbc

import (
	"bytes"
	"crypto/aes"
	"math/rand/v2"
	"testing"
)

// One block on each path is crypto/aes's.
func TestBlock(t *testing.T) {
	random := rand.NewChaCha8([32]byte{7})
	for range 1000 {
		var key [32]byte
		var in, want [BlockSize]byte
		_, _ = random.Read(key[:])
		_, _ = random.Read(in[:])
		c, err := aes.NewCipher(key[:])
		if err != nil {
			t.Fatal(err)
		}
		c.Encrypt(want[:], in[:])
		for _, p := range []path{ordinary, best} {
			if got := block(p, &key, in); !bytes.Equal(got[:], want[:]) {
				t.Fatalf("path %v: %x, want %x", p, got, want)
			}
		}
	}
}
