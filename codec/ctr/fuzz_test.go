package ctr

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"fmt"
	"testing"

	"epoxy/codec/aesni"
)

// FuzzCTR compares all paths with crypto/cipher: cuts are lengths of calls, wrap how many blocks before the end of the
// counter's low word, or of all of it, the stream starts.
func FuzzCTR(f *testing.F) {
	f.Add([]byte("key"), random(8, 400), []byte{1, 2, 3}, uint16(5), uint8(9), uint8(3))
	f.Add([]byte{}, random(9, 4096), []byte{16, 8, 33, 200}, uint16(0), uint8(0), uint8(0))
	f.Add([]byte{31: 1}, random(9, 700), []byte{255}, uint16(257), uint8(7), uint8(0xff))
	f.Fuzz(func(t *testing.T, seed, text, cuts []byte, offset uint16, place, wrap uint8) {
		var material [48]byte
		copy(material[:], seed)
		key, iv := [32]byte(material[:]), [16]byte(material[32:])
		if wrap != 0 {
			low := 8 * int(wrap%2)
			copy(iv[low:], bytes.Repeat([]byte{0xff}, 16-low))
			iv[15] = -wrap
		}
		want := reference(&key, &iv, append(make([]byte, offset), text...))[offset:]
		for _, p := range paths() {
			s := newSchedule(p, &key)
			src, dst := newWindow(int(place%32), len(text)), newWindow(int(place/8), len(text))
			copy(src.p, text)
			for i, at := 0, 0; at < len(text); i++ {
				n := len(text) - at
				if i < len(cuts) {
					n = min(int(cuts[i]), n)
				}
				s.XORKeyStream(&iv, uint64(offset)+uint64(at), dst.p[at:at+n], src.p[at:at+n])
				s.XORKeyStream(&iv, uint64(offset)+uint64(at), src.p[at:at+n], src.p[at:at+n])
				at += n
			}
			if !bytes.Equal(dst.p, want) || !bytes.Equal(src.p, want) || !src.guarded() || !dst.guarded() {
				t.Fatalf("%v differs from crypto/cipher", p)
			}
		}
	})
}

// Benchmark has messages that follow one another, so that most start inside a block. The rival is crypto/cipher alone.
func Benchmark(b *testing.B) {
	key, iv := [32]byte{1}, [16]byte{2}
	block, err := aes.NewCipher(key[:])
	if err != nil {
		b.Fatal(err)
	}
	for _, size := range []int{64, 200, 1 << 10, 16 << 10, 256 << 10} {
		p := random(10, size)
		b.Run(fmt.Sprintf("%d/rival", size), func(b *testing.B) {
			c := cipher.NewCTR(block, iv[:])
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				c.XORKeyStream(p, p)
			}
		})
		for _, way := range paths() {
			b.Run(fmt.Sprintf("%d/%v", size, way), func(b *testing.B) {
				s, at := newSchedule(way, &key), uint64(0)
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
					s.XORKeyStream(&iv, at, p, p)
					at += uint64(size)
				}
			})
		}
	}
}

// BenchmarkExpand makes a Schedule and its first 16 bytes; the rival does that with crypto/cipher.
func BenchmarkExpand(b *testing.B) {
	key, iv, p := [32]byte{1}, [16]byte{2}, make([]byte, BlockSize)
	b.Run("rival", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			block, err := aes.NewCipher(key[:])
			if err != nil {
				b.Fatal(err)
			}
			cipher.NewCTR(block, iv[:]).XORKeyStream(p, p)
		}
	})
	for _, way := range paths() {
		if way == aesni.Ordinary {
			continue
		}
		b.Run(way.String(), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				newSchedule(way, &key).XORKeyStream(&iv, 0, p, p)
			}
		})
	}
}
