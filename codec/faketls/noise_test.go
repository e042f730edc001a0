package faketls

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"testing"

	"pgregory.net/rapid"
)

// What is filled piece by piece is one AES-256-CTR stream under the seed, without repetition, and whatever stood there before.
func TestNoise(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := [32]byte(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "key"))
		sizes := rapid.SliceOfN(rapid.IntRange(0, 3000), 1, 6).Draw(t, "sizes")
		var n noise
		n.seed(func(p []byte) { copy(p, "another key, used for a while by another flight") })
		n.fill(make([]byte, 100))
		n.seed(func(p []byte) { copy(p, key[:]) })
		var got []byte
		for _, size := range sizes {
			p := bytes.Repeat([]byte{0xaa}, size)
			n.fill(p)
			got = append(append(got, p...), n.byte())
		}
		block, err := aes.NewCipher(key[:])
		if err != nil {
			t.Fatal(err)
		}
		want := make([]byte, len(got))
		cipher.NewCTR(block, make([]byte, aes.BlockSize)).XORKeyStream(want, want)
		if !bytes.Equal(got, want) {
			t.Fatalf("pieces of %v bytes are not one stream", sizes)
		}
	})
}
