package faketls

import (
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"epoxy/codec"
)

// extension is one extension of a hello that a test makes.
type extension struct {
	code uint16
	data []byte
}

// list16 puts a two-byte length in front of codes.
func list16(codes ...uint16) []byte {
	p := binary.BigEndian.AppendUint16(nil, uint16(2*len(codes)))
	for _, c := range codes {
		p = binary.BigEndian.AppendUint16(p, c)
	}
	return p
}

// makeHello returns the wire form of a hello, filled up to MinHello by its session id.
func makeHello(suites []uint16, extensions ...extension) []byte {
	body := append([]byte{3, 3}, make([]byte, randomSize)...)
	body = append(append(body, maxSession), make([]byte, maxSession)...)
	body = append(append(body, list16(suites...)...), 1, 0)
	var list []byte
	for _, e := range extensions {
		list = binary.BigEndian.AppendUint16(list, e.code)
		list = binary.BigEndian.AppendUint16(list, uint16(len(e.data)))
		list = append(list, e.data...)
	}
	body = append(binary.BigEndian.AppendUint16(body, uint16(len(list))), list...)
	n := len(body)
	p := []byte{typeHandshake, 3, 1, byte((n + 4) >> 8), byte(n + 4), clientHello, 0, byte(n >> 8), byte(n)}
	return append(p, body...)
}

func ja4(t testing.TB, p []byte) string {
	t.Helper()
	h := mustParse(t, p)
	return string(AppendJA4(nil, &h))
}

func alpnOf(names ...string) extension {
	var list []byte
	for _, n := range names {
		list = append(append(list, byte(len(n))), n...)
	}
	return extension{ext4ALPN, append(binary.BigEndian.AppendUint16(nil, uint16(len(list))), list...)}
}

func sniOf(name string) extension {
	n := len(name)
	return extension{extSNI, append([]byte{0, byte(n + 3), 0, 0, byte(n)}, name...)}
}

// The worked example of the format's public description: Chrome's hello, with GREASE as Chrome adds it.
func TestJA4Published(t *testing.T) {
	suites := []uint16{0xdada, 0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc013, 0xc014,
		0x009c, 0x009d, 0x002f, 0x0035}
	signatures := list16(0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601)
	extensions := []extension{{0x8a8a, nil}, sniOf("example.org"), alpnOf("h2", "http/1.1"), {ext4Signatures, signatures},
		{extVersions, []byte{6, 0xfa, 0xfa, 3, 4, 3, 3}}, {0x3a3a, []byte{0}}}
	for _, c := range []uint16{0x001b, 0x0023, 0xff01, 0x000b, 0x002d, 0x4469, 0x0012, 0x0005, 0x0017, 0x000a, 0x0015} {
		extensions = append(extensions, extension{c, nil})
	}
	extensions = append(extensions, extension{extKeyShare, []byte{0, 0}})
	const want = "t13d1516h2_8daaf6152771_e5627efa2ab1"
	for seed := range uint64(20) {
		if got := ja4(t, makeHello(suites, extensions...)); got != want || len(got) != JA4Size {
			t.Fatalf("%s, want %s", got, want)
		}
		r := rand.New(rand.NewPCG(seed, 0))
		r.Shuffle(len(extensions), func(i, j int) { extensions[i], extensions[j] = extensions[j], extensions[i] })
		r.Shuffle(len(suites), func(i, j int) { suites[i], suites[j] = suites[j], suites[i] })
	}
}

// The corners of the format: no extension, no signature, names that are not plain, more than 99 of a kind.
func TestJA4Corners(t *testing.T) {
	many := make([]uint16, 120)
	for i := range many {
		many[i] = 0xc100 + uint16(i)
	}
	manyExtensions := make([]extension, 120)
	for i := range manyExtensions {
		manyExtensions[i].code = 0x7100 + uint16(i)
	}
	version := func(v ...byte) extension { return extension{extVersions, append([]byte{byte(len(v))}, v...)} }
	for _, c := range []struct {
		hello []byte
		want  string // the beginning, or with '*' in front the end
	}{
		{makeHello(many[:20]), "t12i200000_"},
		{makeHello(many[:20]), "*_000000000000"},
		{makeHello([]uint16{0x0a0a, 0x1a1a, 0x2a2a, 0x3a3a}, extension{5, make([]byte, 40)}), "t12i000100_000000000000_"},
		{makeHello([]uint16{0x0a1a, 0x1a0a}, extension{5, make([]byte, 40)}), "t12i020100_"}, // looks like GREASE, is none
		{makeHello(many, sniOf("a.example")), "t12d990100_"},
		{makeHello(many, sniOf("a.example"), alpnOf("h2")), "*_000000000000"},
		{makeHello(many, manyExtensions...), "t12i999900_"},
		{makeHello(many, alpnOf("http/1.1")), "t12i9901h1_"},
		{makeHello(many, alpnOf("x")), "t12i9901xx_"},
		{makeHello(many, alpnOf("\xab")), "t12i9901ab_"},
		{makeHello(many, alpnOf("\xab\xcd")), "t12i9901ad_"},
		{makeHello(many, alpnOf("0\xab")), "t12i99013b_"},
		{makeHello(many, alpnOf("01\xab2")), "t12i990102_"},
		{makeHello(many, alpnOf("")), "t12i990100_"},
		{makeHello(many, extension{ext4ALPN, []byte{9}}), "t12i990100_"},
		{makeHello(many, version(3, 2, 3, 1)), "t11i990100_"},
		{makeHello(many, version(3, 1)), "t10i990100_"},
		{makeHello(many, version(3, 0, 0, 2)), "ts3i990100_"},
		{makeHello(many, version(0, 2)), "ts2i990100_"},
		{makeHello(many, version(3, 3, 3, 5)), "t00i990100_"},
	} {
		got := ja4(t, c.hello)
		end, ok := strings.CutPrefix(c.want, "*")
		if ok && !strings.HasSuffix(got, end) || !ok && !strings.HasPrefix(got, c.want) {
			t.Errorf("%s, want %s", got, c.want)
		}
	}
}

// reorder returns a hello with its extensions in another order.
func reorder(p []byte, r *rand.Rand) []byte {
	s := scanner{rest: p[sessionAt:]}
	s.bytes8()
	s.bytes16()
	s.bytes8()
	s.u16()
	at := len(p) - len(s.rest)
	var all [][]byte
	for len(s.rest) > 0 {
		before := s.rest
		s.u16()
		s.bytes16()
		all = append(all, before[:len(before)-len(s.rest)])
	}
	r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return slices.Concat(p[:at], slices.Concat(all...))
}

// The captured hellos have the fingerprint that Chrome 133 and later are known by, in any order of their extensions,
// which these clients shuffle, and in any tearing.
func TestJA4Captured(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, v := range loadCaptured(t) {
		const want = "t13d1516h2_8daaf6152771_d8a2da3f94cd"
		if got := ja4(t, v.Hello); got != want {
			t.Errorf("%s: %s, want %s", v.Client, got, want)
		}
		for range 50 {
			p := reorder(v.Hello, r)
			if slices.Equal(p, []byte(v.Hello)) {
				t.Fatal("the order is the same")
			}
			if got := ja4(t, p); got != want {
				t.Fatalf("%s: %s, want %s", v.Client, got, want)
			}
		}
		cut := HeaderSize + 1 + r.IntN(len(v.Hello)-HeaderSize-1)
		torn := binary.BigEndian.AppendUint16([]byte{typeHandshake, 3, 1}, uint16(cut-HeaderSize))
		torn = append(torn, v.Hello[HeaderSize:cut]...)
		torn = binary.BigEndian.AppendUint16(append(torn, typeHandshake, 3, 1), uint16(len(v.Hello)-cut))
		torn = append(torn, v.Hello[cut:]...)
		if got := ja4(t, torn); got != want {
			t.Errorf("%s torn at %d: %s, want %s", v.Client, cut, got, want)
		}
	}
}

func TestJA4Allocations(t *testing.T) {
	dst := make([]byte, 0, JA4Size)
	for _, v := range loadCaptured(t) {
		h := mustParse(t, v.Hello)
		before := hex.EncodeToString(v.Hello)
		if n := testing.AllocsPerRun(100, func() { AppendJA4(dst, &h) }); n != 0 {
			t.Errorf("%s: %v allocations", v.Client, n)
		}
		if hex.EncodeToString(v.Hello) != before {
			t.Error("the hello was changed")
		}
	}
}

func BenchmarkJA4(b *testing.B) {
	h := mustParse(b, loadCaptured(b)[0].Hello)
	dst := make([]byte, 0, JA4Size)
	for b.Loop() {
		AppendJA4(dst, &h)
	}
}

// Whatever ParseHello takes has a fingerprint of the right shape, which depends on nothing behind the hello.
func FuzzJA4(f *testing.F) {
	for _, p := range testHellos(f) {
		f.Add(p, uint16(0), byte(0))
		f.Add(p, uint16(200), byte(0xff))
	}
	f.Fuzz(func(t *testing.T, p []byte, at uint16, flip byte) {
		if len(p) > 0 {
			p = slices.Clone(p)
			p[int(at)%len(p)] ^= flip
		}
		h, used, err := ParseHello(p, nil)
		if err != nil {
			return
		}
		got := AppendJA4([]byte("x"), &h)
		if len(got) != 1+JA4Size || got[11] != '_' || got[24] != '_' || got[1] != 't' {
			t.Fatalf("%q", got)
		}
		if _, err := hex.DecodeString(string(got[12:24]) + string(got[25:])); err != nil {
			t.Fatalf("%q", got)
		}
		for n := max(0, used-3); n < used; n++ {
			if _, _, err := ParseHello(p[:n], nil); err != codec.ErrShort {
				t.Fatalf("%d of %d: %v", n, used, err)
			}
		}
	})
}
