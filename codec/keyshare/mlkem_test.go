package keyshare

import (
	"crypto/mlkem"
	"crypto/mlkem/mlkemtest"
	"encoding/binary"
	"math"
	"math/big"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// unpack returns the values of u and v in a ciphertext (FIPS 203, algorithm 6).
func unpack(p []byte) (u, v []int) {
	all := new(big.Int)
	for i := len(p) - 1; i >= 0; i-- {
		all.Lsh(all, 8).Or(all, big.NewInt(int64(p[i])))
	}
	take := func(n int) int {
		x := int(new(big.Int).And(all, big.NewInt(1<<n-1)).Int64())
		all.Rsh(all, uint(n))
		return x
	}
	for range 768 {
		u = append(u, take(uBits))
	}
	for range 256 {
		v = append(v, take(vBits))
	}
	return u, v
}

// rounded is compress as the standard writes it, in fractions.
func rounded(c, d int) int {
	x := big.NewRat(int64(c)<<d, q)
	x.Add(x, big.NewRat(1, 2))
	return int(new(big.Int).Quo(x.Num(), x.Denom()).Int64()) % (1 << d)
}

func TestCompress(t *testing.T) {
	for c := range q {
		if got, want := compress(uint64(c), uBits), rounded(c, uBits); got != uint64(want) {
			t.Fatalf("%d is %d in 10 bits, want %d", c, got, want)
		}
		if got, want := compress(uint64(c), vBits), rounded(c, vBits); got != uint64(want) {
			t.Fatalf("%d is %d in 4 bits, want %d", c, got, want)
		}
	}
}

// A ciphertext is the digits to the base q of x * q^4 / 2^64 for each random word x, compressed and packed; words that
// would make some numbers likelier than others are refused, even when there are more of them than spare ones.
func TestCiphertextDigits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var given []uint64
		low := rapid.IntRange(0, 2*(words+spare)).Draw(t, "refused at first")
		seed := rapid.Byte().Draw(t, "seed")
		more := source(seed)
		rand := func(p []byte) {
			more(p)
			for ; len(p) >= 8; p = p[8:] {
				if low--; low >= 0 {
					clear(p[:8])
				}
				given = append(given, binary.LittleEndian.Uint64(p))
			}
		}
		var m Maker
		dst := make([]byte, CiphertextSize)
		m.Ciphertext(dst, rand)
		u, v := unpack(dst)
		values := slices.Concat(u, v)
		power := new(big.Int).Exp(big.NewInt(q), big.NewInt(4), nil)
		edge := new(big.Int).Mod(new(big.Int).Lsh(big.NewInt(1), 64), power)
		used := 0
		for _, word := range given {
			x := new(big.Int).Mul(new(big.Int).SetUint64(word), power)
			number, rest := x.QuoRem(x, new(big.Int).Lsh(big.NewInt(1), 64), new(big.Int))
			if rest.Cmp(edge) < 0 {
				continue
			}
			for i := 3; i >= 0; i-- {
				digit := new(big.Int)
				number.QuoRem(number, big.NewInt(q), digit)
				at, d := 4*used+i, uBits
				if at >= len(u) {
					d = vBits
				}
				if want := rounded(int(digit.Int64()), d); values[at] != want {
					t.Fatalf("coefficient %d is %d, want %d", at, values[at], want)
				}
			}
			if used++; used == words {
				return
			}
		}
		t.Fatalf("a ciphertext of %d random words", used)
	})
}

// deviation is how far values are from the distribution of compressed coefficients, in standard deviations of chi-square.
func deviation(values []int, d int) float64 {
	var expect [1 << uBits]float64
	for c := range q {
		expect[rounded(c, d)] += float64(len(values)) / q
	}
	var seen [1 << uBits]float64
	for _, x := range values {
		seen[x]++
	}
	chi, free := 0.0, float64(int(1)<<d-1)
	for i := range 1 << d {
		chi += (seen[i] - expect[i]) * (seen[i] - expect[i]) / expect[i]
	}
	return math.Abs(chi-free) / math.Sqrt(2*free)
}

// Our ciphertexts and genuine ones have the same distribution; random bytes have not.
func TestCiphertextDistribution(t *testing.T) {
	rand := source(4)
	var seed [mlkem.SeedSize]byte
	rand(seed[:])
	private, err := mlkem.NewDecapsulationKey768(seed[:])
	if err != nil {
		t.Fatal(err)
	}
	var m Maker
	for _, c := range []struct {
		name string
		fill func(p []byte)
		same bool
	}{
		{"ours", func(p []byte) { m.Ciphertext(p, rand) }, true},
		{"genuine", func(p []byte) {
			var message [32]byte
			rand(message[:])
			_, genuine, err := mlkemtest.Encapsulate768(private.EncapsulationKey(), message[:])
			if err != nil {
				t.Fatal(err)
			}
			copy(p, genuine)
		}, true},
		{"random", func(p []byte) { rand(p) }, false},
	} {
		var u, v []int
		for range 400 {
			p := make([]byte, CiphertextSize)
			c.fill(p)
			pu, pv := unpack(p)
			u, v = append(u, pu...), append(v, pv...)
		}
		du, dv := deviation(u, uBits), deviation(v, vBits)
		t.Logf("%s: u %.2f, v %.2f standard deviations", c.name, du, dv)
		if (du < 4) != c.same || dv > 4 { // 4 bits are too few to tell
			t.Errorf("%s: u %.1f, v %.1f standard deviations", c.name, du, dv)
		}
	}
}

// setCoefficient changes coefficient i of a key.
func setCoefficient(key []byte, i, value int) {
	p := key[i/2*3:]
	if i%2 == 0 {
		p[0], p[1] = byte(value), p[1]&0xf0|byte(value>>8)
	} else {
		p[1], p[2] = p[1]&0x0f|byte(value<<4), byte(value>>4)
	}
}

func newKey(t testing.TB) []byte {
	t.Helper()
	key, err := mlkem.NewDecapsulationKey768(make([]byte, mlkem.SeedSize))
	if err != nil {
		t.Fatal(err)
	}
	return key.EncapsulationKey().Bytes()
}

// Every coefficient counts.
func TestValidKey(t *testing.T) {
	genuine := newKey(t)
	for i := range 768 {
		for value, want := range map[int]bool{0: true, q - 1: true, q: false, q + 1: false, 0xfff: false} {
			key := append([]byte(nil), genuine...)
			setCoefficient(key, i, value)
			if ValidKey(key) != want {
				t.Errorf("coefficient %d of %d: not %v", i, value, want)
			}
		}
	}
	for n := range 2 * KeySize {
		if ValidKey(make([]byte, n)) != (n == KeySize) {
			t.Errorf("a key of %d bytes", n)
		}
	}
}

// FuzzValidKey compares with crypto/mlkem.
func FuzzValidKey(f *testing.F) {
	genuine := newKey(f)
	f.Add(genuine, uint16(0), uint16(0))
	f.Add(genuine, uint16(1), uint16(q))
	f.Add(genuine, uint16(767), uint16(q-1))
	f.Add(make([]byte, KeySize), uint16(700), uint16(0xfff))
	f.Add(genuine[1:], uint16(9), uint16(1))
	f.Fuzz(func(t *testing.T, key []byte, i, value uint16) {
		key = append([]byte(nil), key...)
		if len(key) == KeySize {
			setCoefficient(key, int(i)%768, int(value)%4096)
		}
		if _, err := mlkem.NewEncapsulationKey768(key); ValidKey(key) != (err == nil) {
			t.Errorf("%d bytes: not as crypto/mlkem says: %v", len(key), err)
		}
	})
}
