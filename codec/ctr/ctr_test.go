package ctr

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/hex"
	"math/rand/v2"
	"testing"
	"unsafe"

	"epoxy/codec/aesni"
)

// paths are those of this CPU, which are in the order of what they need.
func paths() []path { return []path{aesni.Ordinary, aesni.NI, aesni.VAES}[:best+1] }

// random returns n bytes that are the same in every run.
func random(seed uint64, n int) []byte {
	p := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)}).Read(p)
	return p
}

// reference adds crypto/cipher's key stream from iv on to text.
func reference(key *[32]byte, iv *[16]byte, text []byte) []byte {
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic(err)
	}
	out := make([]byte, len(text))
	cipher.NewCTR(block, iv[:]).XORKeyStream(out, text)
	return out
}

func newSchedule(p path, key *[32]byte) *Schedule {
	s := new(Schedule)
	s.expand(p, key)
	return s
}

func unhex(t *testing.T, text string) []byte {
	t.Helper()
	p, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestSize(t *testing.T) {
	if n := unsafe.Sizeof(Schedule{}); n <= 256 || n > 288 { // a size class of its own, see Schedule
		t.Errorf("a Schedule takes %d bytes", n)
	}
}

// NIST SP 800-38A, F.5.5, cut at every byte.
func TestKnown(t *testing.T) {
	key := [32]byte(unhex(t, "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4"))
	iv := [16]byte(unhex(t, "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff"))
	plain := unhex(t, "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"+
		"30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710")
	secret := unhex(t, "601ec313775789a5b7a7f504bbf3d228f443e3ca4d62b59aca84e990cacaf5c5"+
		"2b0930daa23de94ce87017ba2d84988ddfc9c58db67aada613c2dd08457941a6")
	for _, p := range paths() {
		s := newSchedule(p, &key)
		for cut := range len(plain) + 1 {
			got := make([]byte, len(plain))
			s.XORKeyStream(&iv, 0, got, plain[:cut])
			s.XORKeyStream(&iv, uint64(cut), got[cut:], plain[cut:])
			if !bytes.Equal(got, secret) {
				t.Errorf("%v, cut at %d: %x", p, cut, got)
			}
		}
	}
}

// window is n bytes at an alignment, between guards.
type window struct{ all, p []byte }

func newWindow(align, n int) window {
	all := bytes.Repeat([]byte{0x5a}, 64+n+64)
	return window{all, all[32+align : 32+align+n]}
}

// guarded reports whether nothing around the window was written.
func (w window) guarded() bool {
	at := len(w.all) - cap(w.p)
	return len(bytes.Trim(w.all[:at], "\x5a")) == 0 && len(bytes.Trim(w.all[at+len(w.p):], "\x5a")) == 0
}

// TestLengthsAndOffsets compares every length up to several steps of the widest path, from every place in a block, in
// place and out of place, at changing alignments, with crypto/cipher.
func TestLengthsAndOffsets(t *testing.T) {
	key, iv := [32]byte(random(1, 32)), [16]byte(random(2, 16))
	text := random(3, 700)
	stream := reference(&key, &iv, make([]byte, len(text)+16))
	for _, p := range paths() {
		s := newSchedule(p, &key)
		for offset := range 16 {
			for n := range len(text) {
				src, dst := newWindow((n*5+offset)%32, n), newWindow((n*7+offset*3)%32, n)
				copy(src.p, text)
				s.XORKeyStream(&iv, uint64(offset), dst.p, src.p)
				if !bytes.Equal(src.p, text[:n]) {
					t.Fatalf("%v, %d bytes at %d: the source was changed", p, n, offset)
				}
				s.XORKeyStream(&iv, uint64(offset), src.p, src.p)
				for i := range n {
					if want := text[i] ^ stream[offset+i]; src.p[i] != want || dst.p[i] != want {
						t.Fatalf("%v, %d bytes at %d: byte %d is %x in place, %x out of place, want %x",
							p, n, offset, i, src.p[i], dst.p[i], want)
					}
				}
				if !src.guarded() || !dst.guarded() {
					t.Fatalf("%v, %d bytes at %d: wrote beside the message", p, n, offset)
				}
			}
		}
	}
}

// TestAlignments has source and destination at every place of a cache line.
func TestAlignments(t *testing.T) {
	key, iv := [32]byte(random(4, 32)), [16]byte(random(5, 16))
	text := random(6, 333)
	want := reference(&key, &iv, append(make([]byte, 5), text...))[5:]
	for _, p := range paths() {
		s := newSchedule(p, &key)
		for from := range 32 {
			for to := range 32 {
				src, dst := newWindow(from, len(text)), newWindow(to, len(text))
				copy(src.p, text)
				s.XORKeyStream(&iv, 5, dst.p, src.p)
				if !bytes.Equal(dst.p, want) || !dst.guarded() {
					t.Fatalf("%v, from %d to %d: differs", p, from, to)
				}
			}
		}
	}
}

// TestCarry lets the counter carry at every byte, and wrap, at every block of the widest step and at the ends of a call.
func TestCarry(t *testing.T) {
	key, text := [32]byte(random(7, 32)), random(8, 40*BlockSize)
	for _, p := range paths() {
		s := newSchedule(p, &key)
		for ones := 1; ones <= BlockSize; ones++ { // so many bytes of ff before the carry
			for before := range 38 { // blocks before the carry
				iv := [16]byte(random(9, 16))
				copy(iv[BlockSize-ones:], bytes.Repeat([]byte{0xff}, ones))
				iv[BlockSize-1] -= byte(before)
				want := reference(&key, &iv, text)
				for _, from := range []int{0, 1, 9, 15, 16, 39} {
					for _, to := range []int{len(text), min((before+1)*BlockSize+from%3-1, len(text))} {
						if to <= from {
							continue
						}
						got := bytes.Clone(text)
						s.XORKeyStream(&iv, uint64(from), got[from:to], got[from:to])
						if !bytes.Equal(got[from:to], want[from:to]) {
							t.Fatalf("%v, iv %x, bytes %d to %d differ", p, iv, from, to)
						}
					}
				}
			}
		}
	}
}

// TestFar starts terabytes behind the IV, and where offset and IV carry together.
func TestFar(t *testing.T) {
	key, text := [32]byte{9}, random(10, 300)
	for _, c := range []struct {
		iv     string
		offset uint64
		moved  string
	}{
		{"0000000000000000fffffffffffffffe", 1<<40 + 5, "00000000000000010000000ffffffffe"},
		{"ffffffffffffffffffffffffffffffff", 16, "00000000000000000000000000000000"},
		{"ffffffffffffffffffffffffffffffff", 1<<64 - 1, "00000000000000000ffffffffffffffe"},
		{"00ffffffffffffffffffffffffffff80", 16*0x7f + 3, "00ffffffffffffffffffffffffffffff"},
	} {
		iv, moved := [16]byte(unhex(t, c.iv)), [16]byte(unhex(t, c.moved))
		skip := int(c.offset % 16)
		want := reference(&key, &moved, append(make([]byte, skip), text...))[skip:]
		for _, p := range paths() {
			got := make([]byte, len(text))
			newSchedule(p, &key).XORKeyStream(&iv, c.offset, got, text)
			if !bytes.Equal(got, want) {
				t.Errorf("%v: iv %s and offset %d differ", p, c.iv, c.offset)
			}
		}
	}
}

// TestStride goes over several strides in one call, with a wrap in the second.
func TestStride(t *testing.T) {
	key, iv := [32]byte(random(11, 32)), [16]byte{}
	for i := range iv {
		iv[i] = 0xff
	}
	iv[14], iv[15] = 0xe0, 0x03
	text := random(13, 3*stride+101)
	want := reference(&key, &iv, append(make([]byte, 7), text...))[7:]
	for _, p := range paths() {
		s, got := newSchedule(p, &key), make([]byte, len(text))
		if s.XORKeyStream(&iv, 7, got, text); !bytes.Equal(got, want) {
			t.Errorf("%v differs", p)
		}
		if s.XORKeyStream(&iv, 7, got, got); !bytes.Equal(got, text) {
			t.Errorf("%v does not come back", p)
		}
	}
}

// TestShared lets two streams take turns with one Schedule.
func TestShared(t *testing.T) {
	key, ivs := [32]byte(random(14, 32)), [2][16]byte{{1}, {2}}
	text := random(15, 600)
	for _, p := range paths() {
		s := newSchedule(p, &key)
		got := [2][]byte{make([]byte, len(text)), make([]byte, len(text))}
		for at := 0; at < len(text); at += 60 {
			for i := range got {
				s.XORKeyStream(&ivs[i], uint64(at), got[i][at:], text[at:at+60])
			}
		}
		for i := range got {
			if !bytes.Equal(got[i], reference(&key, &ivs[i], text)) {
				t.Errorf("%v: stream %d differs", p, i)
			}
		}
	}
}

func TestPanics(t *testing.T) {
	s, p := newSchedule(best, &[32]byte{}), make([]byte, 64)
	for name, c := range map[string]struct{ dst, src []byte }{
		"too short":      {p[:16], p[:17]},
		"overlap behind": {p[1:], p[:32]},
		"overlap before": {p, p[15:47]},
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			s.XORKeyStream(&[16]byte{}, 0, c.dst, c.src)
		}()
	}
	s.XORKeyStream(&[16]byte{}, 0, p[32:], p[:32]) // side by side is fine
	s.XORKeyStream(&[16]byte{}, 0, nil, nil)
}

func TestAllocations(t *testing.T) {
	p, iv := make([]byte, 1024), [16]byte{1}
	for _, way := range paths() {
		s, at := newSchedule(way, &[32]byte{}), uint64(0)
		if n := testing.AllocsPerRun(100, func() {
			s.XORKeyStream(&iv, at, p[:333], p[:333])
			at += 333
		}); n != 0 {
			t.Errorf("%v: %v allocations", way, n)
		}
		if way == aesni.Ordinary {
			continue
		}
		key := [32]byte{1}
		if n := testing.AllocsPerRun(100, func() {
			var s Schedule
			s.expand(way, &key)
			s.XORKeyStream(&iv, 5, p, p)
		}); n != 0 {
			t.Errorf("%v: a new one makes %v allocations", way, n)
		}
	}
}
