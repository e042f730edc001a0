package obfs2

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"testing"
	"unsafe"

	"epoxy/codec"
)

// counters are starts of the 128-bit counter that carry at every width.
var counters = [][16]byte{
	{},
	{15: 0xff},
	{8: 0xff, 9: 0xff, 10: 0xff, 11: 0xff, 12: 0xff, 13: 0xff, 14: 0xff, 15: 0xfe},
	{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
}

// ordinary is the key stream as the standard library makes it from the start.
func ordinary(key *[32]byte, iv *[16]byte, n int) []byte {
	block, _ := aes.NewCipher(key[:])
	out := make([]byte, n)
	cipher.NewCTR(block, iv[:]).XORKeyStream(out, out)
	return out
}

func TestStreamSize(t *testing.T) {
	if n := unsafe.Sizeof(Stream{}); n > 64 {
		t.Errorf("a Stream takes %d bytes", n)
	}
}

func TestCompactAtEveryOffset(t *testing.T) {
	key := [32]byte{1, 2, 3}
	for _, iv := range counters {
		stream := ordinary(&key, &iv, 200)
		for at := range 100 {
			s := NewStream(&key, &iv, 0)
			if s.Compact() || s.Live() {
				t.Fatal("a new stream is live")
			}
			first := xored(&s, make([]byte, at))
			if live := s.Compact(); live != (at > 0) {
				t.Fatalf("Compact = %v at %d", live, at)
			}
			rest := xored(&s, make([]byte, 200-at))
			if !bytes.Equal(append(first, rest...), stream) || s.Offset() != 200 || !s.Live() {
				t.Fatalf("iv %x: the stream differs behind %d", iv, at)
			}
			cold := NewStream(&key, &iv, uint64(at))
			if got := xored(&cold, make([]byte, 40)); !bytes.Equal(got, stream[at:at+40]) {
				t.Fatalf("iv %x: NewStream at %d differs", iv, at)
			}
		}
	}
}

func TestFarOffset(t *testing.T) {
	key, iv := [32]byte{9}, counters[2]
	const far = 1 << 40 // a terabyte; the counter is then iv + 2^36
	moved := addCounter(&iv, far/16)
	s := NewStream(&key, &iv, far+5)
	if got, want := xored(&s, make([]byte, 50)), ordinary(&key, &moved, 55)[5:]; !bytes.Equal(got, want) {
		t.Errorf("got %x, want %x", got, want)
	}
	if want := [16]byte{7: 1, 11: 0x0f, 12: 0xff, 13: 0xff, 14: 0xff, 15: 0xfe}; moved != want {
		t.Errorf("counter = %x, want %x", moved, want)
	}
}

func TestXORInPlaceAndInto(t *testing.T) {
	key, iv := [32]byte{7}, [16]byte{7}
	a, b := NewStream(&key, &iv, 3), NewStream(&key, &iv, 3)
	text := []byte("the same bytes in place and into a longer slice")
	place, into := bytes.Clone(text), make([]byte, len(text)+9)
	a.XOR(place, place)
	b.XOR(into, text)
	if !bytes.Equal(place, into[:len(text)]) || !bytes.Equal(into[len(text):], make([]byte, 9)) {
		t.Error("in place and into differ")
	}
}

func TestWipe(t *testing.T) {
	s := NewStream(&[32]byte{1}, &[16]byte{2}, 3)
	s.XOR(make([]byte, 1), make([]byte, 1))
	s.Wipe()
	if s != (Stream{}) {
		t.Error("something is left")
	}
}

func TestAllocations(t *testing.T) {
	s := NewStream(&[32]byte{1}, &[16]byte{2}, 0)
	p := make([]byte, 1024)
	s.XOR(p, p)
	if n := testing.AllocsPerRun(100, func() { s.XOR(p, p) }); n != 0 {
		t.Errorf("XOR of a live stream allocates %v times", n)
	}
	v := load(t).Server[0]
	secret := keyOf(v.Secret)
	if n := testing.AllocsPerRun(100, func() { Match(v.Wire, secret) }); n > 2 {
		t.Errorf("Match allocates %v times", n)
	}
}

func BenchmarkXOR(b *testing.B) {
	for _, size := range []struct {
		name string
		n    int
	}{{"64B", 64}, {"200B", 200}, {"1KiB", 1 << 10}, {"16KiB", 16 << 10}} {
		b.Run(size.name, func(b *testing.B) {
			s := NewStream(&[32]byte{1}, &[16]byte{2}, 0)
			p := make([]byte, size.n)
			b.SetBytes(int64(size.n))
			b.ReportAllocs()
			for b.Loop() {
				s.XOR(p, p)
			}
		})
	}
}

func BenchmarkMatch(b *testing.B) {
	v := load(b).Server[0]
	wrong := codec.Key{1}
	b.ReportAllocs()
	for b.Loop() {
		Match(v.Wire, &wrong)
	}
}

func BenchmarkWarm(b *testing.B) {
	s := NewStream(&[32]byte{1}, &[16]byte{2}, 5)
	p := make([]byte, 1)
	b.ReportAllocs()
	for b.Loop() {
		s.Compact()
		s.XOR(p, p)
	}
}
