package cbc

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

// paths are those of this CPU, which are in the order of what they need.
func paths() []path { return []path{ordinary, aesNI, vaes}[:best+1] }

// random returns n bytes that are the same in every run.
func random(seed uint64, n int) []byte {
	p := make([]byte, n)
	rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)}).Read(p)
	return p
}

// reference is what crypto/cipher makes of text.
func reference(key *[32]byte, iv *[16]byte, text []byte) (encrypted, decrypted []byte) {
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic(err)
	}
	encrypted, decrypted = make([]byte, len(text)), make([]byte, len(text))
	cipher.NewCBCEncrypter(block, iv[:]).CryptBlocks(encrypted, text)
	cipher.NewCBCDecrypter(block, iv[:]).CryptBlocks(decrypted, text)
	return encrypted, decrypted
}

func unhex(t *testing.T, text string) []byte {
	t.Helper()
	p, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// A61, A62: NIST SP 800-38A, F.2.5 and F.2.6, with the IV chained from call to call.
// A60: no bytes give no bytes.
func TestKnown(t *testing.T) {
	key := [32]byte(unhex(t, "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4"))
	iv := [16]byte(unhex(t, "000102030405060708090a0b0c0d0e0f"))
	plain := unhex(t, "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"+
		"30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710")
	secret := unhex(t, "f58c4c04d6e5f1ba779eabfb5f7bfbd69cfc4e967edb808d679f777bc6702c7d"+
		"39f23369a9d9bacfa530e26304231461b2eb05e2c39be9fcda6c19078c6a9d1b")
	for _, p := range paths() {
		for cut := 0; cut <= len(plain); cut += BlockSize {
			e, d := newEncrypter(p, &key, &iv), newDecrypter(p, &key, &iv)
			got := make([]byte, len(plain))
			e.CryptBlocks(got, plain[:cut])
			e.CryptBlocks(got[cut:], plain[cut:])
			e.CryptBlocks(got, nil)
			if !bytes.Equal(got, secret) {
				t.Errorf("%v, cut at %d: encrypted %x", p, cut, got)
			}
			d.CryptBlocks(got[:cut], got[:cut])
			d.CryptBlocks(got[cut:], got[cut:])
			d.CryptBlocks(nil, nil)
			if !bytes.Equal(got, plain) {
				t.Errorf("%v, cut at %d: decrypted %x", p, cut, got)
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
	out := bytes.Clone(w.all)
	at := len(w.all) - cap(w.p)
	copy(out[at:], bytes.Repeat([]byte{0x5a}, len(w.p)))
	return len(bytes.Trim(out, "\x5a")) == 0
}

// TestLengthsAndAlignments compares every length up to several steps of the widest path, at every alignment, in place
// and out of place, with crypto/cipher.
func TestLengthsAndAlignments(t *testing.T) {
	key, iv := [32]byte(random(1, 32)), [16]byte(random(2, 16))
	text := random(3, 70*BlockSize)
	for _, p := range paths() {
		for n := 0; n <= len(text); n += BlockSize {
			encrypted, decrypted := reference(&key, &iv, text[:n])
			for align := range 32 {
				for _, inPlace := range []bool{true, false} {
					src := newWindow(align, n)
					copy(src.p, text)
					dst := src
					if !inPlace {
						dst = newWindow((align*7+3)%32, n)
					}
					d := newDecrypter(p, &key, &iv)
					d.CryptBlocks(dst.p, src.p)
					if !bytes.Equal(dst.p, decrypted) || !dst.guarded() {
						t.Fatalf("%v, %d bytes at %d, in place %v: decrypted otherwise", p, n, align, inPlace)
					}
					copy(src.p, text)
					e := newEncrypter(p, &key, &iv)
					e.CryptBlocks(dst.p, src.p)
					if !bytes.Equal(dst.p, encrypted) || !dst.guarded() {
						t.Fatalf("%v, %d bytes at %d, in place %v: encrypted otherwise", p, n, align, inPlace)
					}
					if !inPlace && !bytes.Equal(src.p, text[:n]) {
						t.Fatalf("%v, %d bytes: the source was changed", p, n)
					}
				}
			}
		}
	}
}

// A29: a stream cut anywhere between blocks comes out as it went in.
func TestSplits(t *testing.T) {
	key, iv := [32]byte(random(4, 32)), [16]byte(random(5, 16))
	text := random(6, 50*BlockSize)
	encrypted, _ := reference(&key, &iv, text)
	for _, p := range paths() {
		for cut := 0; cut <= len(text); cut += BlockSize {
			e, d := newEncrypter(p, &key, &iv), newDecrypter(p, &key, &iv)
			got := bytes.Clone(text)
			e.CryptBlocks(got[:cut], got[:cut])
			e.CryptBlocks(got[cut:], got[cut:])
			if !bytes.Equal(got, encrypted) {
				t.Fatalf("%v: encrypting differs with a cut at %d", p, cut)
			}
			d.CryptBlocks(got[:cut], got[:cut])
			d.CryptBlocks(got[cut:], got[cut:])
			if !bytes.Equal(got, text) {
				t.Fatalf("%v: decrypting differs with a cut at %d", p, cut)
			}
		}
	}
}

// TestStride goes over several strides in one call.
func TestStride(t *testing.T) {
	key, iv := [32]byte(random(11, 32)), [16]byte(random(12, 16))
	text := random(13, 3*stride+5*BlockSize)
	encrypted, _ := reference(&key, &iv, text)
	for _, p := range paths() {
		e, d := newEncrypter(p, &key, &iv), newDecrypter(p, &key, &iv)
		got := make([]byte, len(text))
		if e.CryptBlocks(got, text); !bytes.Equal(got, encrypted) {
			t.Errorf("%v: encrypting differs", p)
		}
		if d.CryptBlocks(got, got); !bytes.Equal(got, text) {
			t.Errorf("%v: decrypting differs", p)
		}
	}
}

// A29: packets of whole blocks, one call each, decrypted in pieces of other sizes.
func TestStream(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key, iv := [32]byte(random(rapid.Uint64().Draw(t, "key"), 32)), [16]byte(random(7, 16))
		p := rapid.SampledFrom(paths()).Draw(t, "path")
		e, d := newEncrypter(p, &key, &iv), newDecrypter(p, &key, &iv)
		var text, wire []byte
		for _, blocks := range rapid.SliceOfN(rapid.IntRange(0, 40), 1, 6).Draw(t, "packets") {
			packet := random(uint64(blocks), blocks*BlockSize)
			text = append(text, packet...)
			e.CryptBlocks(packet, packet)
			wire = append(wire, packet...)
		}
		got := make([]byte, len(wire))
		for at := 0; at < len(wire); {
			n := min(rapid.IntRange(1, 50).Draw(t, "piece")*BlockSize, len(wire)-at)
			d.CryptBlocks(got[at:], wire[at:at+n])
			at += n
		}
		if !bytes.Equal(got, text) {
			t.Fatal("the packets came out otherwise")
		}
	})
}

func TestPanics(t *testing.T) {
	p := make([]byte, 64)
	for name, c := range map[string]struct{ dst, src []byte }{
		"no whole blocks": {p, p[:17]},
		"too short":       {p[:16], p[:32]},
		"overlap behind":  {p[1:], p[:32]},
		"overlap before":  {p, p[15:47]},
		"overlap a block": {p[16:], p[:32]},
	} {
		for _, kind := range []string{"decrypt", "encrypt"} {
			func() {
				defer func() {
					if recover() == nil {
						t.Errorf("%s, %s: no panic", name, kind)
					}
				}()
				if kind == "decrypt" {
					d := NewDecrypter(&[32]byte{}, &[16]byte{})
					d.CryptBlocks(c.dst, c.src)
				} else {
					e := NewEncrypter(&[32]byte{}, &[16]byte{})
					e.CryptBlocks(c.dst, c.src)
				}
			}()
		}
	}
	d := NewDecrypter(&[32]byte{}, &[16]byte{})
	d.CryptBlocks(p[32:], p[:32]) // side by side is fine
	d.CryptBlocks(p[:32], p[32:])
}

func TestAllocations(t *testing.T) {
	p := make([]byte, 1024)
	for _, way := range paths() {
		d, e := newDecrypter(way, &[32]byte{}, &[16]byte{}), newEncrypter(way, &[32]byte{}, &[16]byte{})
		if n := testing.AllocsPerRun(100, func() { d.CryptBlocks(p, p); e.CryptBlocks(p, p) }); n != 0 {
			t.Errorf("%v: %v allocations", way, n)
		}
		if way == ordinary {
			continue
		}
		key, iv := [32]byte{1}, [16]byte{2}
		if n := testing.AllocsPerRun(100, func() {
			d, e := newDecrypter(way, &key, &iv), newEncrypter(way, &key, &iv)
			d.CryptBlocks(p, p)
			e.CryptBlocks(p, p)
		}); n != 0 {
			t.Errorf("%v: new ones make %v allocations", way, n)
		}
	}
}

// FuzzCBC compares all paths with crypto/cipher: cuts are places, in blocks, where a call ends.
func FuzzCBC(f *testing.F) {
	f.Add([]byte("key"), random(8, 400), []byte{1, 2, 3}, uint8(5), uint8(9))
	f.Add([]byte{}, random(9, 4096), []byte{16, 8, 33}, uint8(0), uint8(0))
	f.Fuzz(func(t *testing.T, seed, text, cuts []byte, from, to uint8) {
		var material [48]byte
		copy(material[:], seed)
		key, iv := [32]byte(material[:]), [16]byte(material[32:])
		text = text[:len(text)/BlockSize*BlockSize]
		encrypted, decrypted := reference(&key, &iv, text)
		for _, p := range paths() {
			d, e := newDecrypter(p, &key, &iv), newEncrypter(p, &key, &iv)
			src, dst := newWindow(int(from%32), len(text)), newWindow(int(to%32), len(text))
			copy(src.p, text)
			at := 0
			for i := 0; at < len(text); i++ {
				n := len(text) - at
				if i < len(cuts) {
					n = min(int(cuts[i])*BlockSize, n)
				}
				e.CryptBlocks(dst.p[at:], src.p[at:at+n])
				d.CryptBlocks(src.p[at:at+n], src.p[at:at+n])
				at += n
			}
			if !bytes.Equal(dst.p, encrypted) || !bytes.Equal(src.p, decrypted) || !src.guarded() || !dst.guarded() {
				t.Fatalf("%v differs from crypto/cipher", p)
			}
		}
	})
}

func Benchmark(b *testing.B) {
	key, iv := [32]byte{1}, [16]byte{2}
	for _, size := range []int{64, 1 << 10, 16 << 10, 256 << 10} {
		p := random(10, size)
		for _, way := range paths() { // the ordinary one is crypto/cipher, the rival
			d, e := newDecrypter(way, &key, &iv), newEncrypter(way, &key, &iv)
			for i, crypt := range []func(dst, src []byte){d.CryptBlocks, e.CryptBlocks} {
				b.Run(fmt.Sprintf("%s/%d/%v", [...]string{"decrypt", "encrypt"}[i], size, way), func(b *testing.B) {
					b.SetBytes(int64(size))
					b.ReportAllocs()
					for b.Loop() {
						crypt(p, p)
					}
				})
			}
		}
	}
}

func BenchmarkNewDecrypter(b *testing.B) {
	key, iv, p := [32]byte{1}, [16]byte{2}, make([]byte, BlockSize)
	for b.Loop() {
		d := NewDecrypter(&key, &iv)
		d.CryptBlocks(p, p)
	}
}
