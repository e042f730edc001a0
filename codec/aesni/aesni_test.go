package aesni

import (
	"bytes"
	"encoding/hex"
	"testing"
)

// FIPS 197, A.3: the expansion of a 256-bit key.
func TestExpand(t *testing.T) {
	if Best() == Ordinary {
		t.Skip("no AES instructions")
	}
	key, err := hex.DecodeString("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4")
	if err != nil {
		t.Fatal(err)
	}
	var s Schedule
	s.Expand((*[32]byte)(key))
	var got []byte
	for _, k := range s {
		got = append(got, k[:]...)
	}
	want, err := hex.DecodeString("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4" +
		"9ba354118e6925afa51a8b5f2067fcdea8b09c1a93d194cdbe49846eb75d5b9a" +
		"d59aecb85bf3c917fee94248de8ebe96b5a9328a2678a647983122292f6c79b3" +
		"812c81addadf48ba24360af2fab8b46498c5bfc9bebd198e268c3ba709e04214" +
		"68007bacb2df331696e939e46c518d80c814e20476a9fb8a5025c02d59c58239" +
		"de1369676ccc5a71fa2563959674ee155886ca5d2e2f31d77e0af1fa27cf73c3" +
		"749c47ab18501ddae2757e4f7401905acafaaae3e4d59b349adf6acebd10190d" +
		"fe4890d1e6188d0b046df344706c631e")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("got %x, want %x", got, want)
	}
}

func TestNames(t *testing.T) {
	for p, want := range []string{"ordinary", "aesni", "vaes"} {
		if got := Path(p).String(); got != want {
			t.Errorf("path %d is %q", p, got)
		}
	}
	if Folds() && Best() != VAES {
		t.Errorf("folds on the path %v", Best())
	}
	if Best() > VAES {
		t.Errorf("Best is %d", Best())
	}
}

func BenchmarkExpand(b *testing.B) {
	if Best() == Ordinary {
		b.Skip("no AES instructions")
	}
	var s Schedule
	key := [32]byte{1}
	for b.Loop() {
		s.Expand(&key)
	}
}
