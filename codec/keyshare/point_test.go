package keyshare

import (
	"bytes"
	"crypto/ecdh"
	"testing"

	"filippo.io/edwards25519"
	"filippo.io/edwards25519/field"
	"pgregory.net/rapid"
)

// publicKey is what crypto/ecdh makes of a scalar.
func publicKey(t require, scalar []byte) []byte {
	key, err := ecdh.X25519().NewPrivateKey(scalar)
	if err != nil {
		t.Fatal(err)
	}
	return key.PublicKey().Bytes()
}

// require is what tests and properties have in common.
type require interface{ Fatal(args ...any) }

// A batch is the public keys of its scalars.
func TestMultiply(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		scalars := rapid.SliceOfN(rapid.Byte(), batch*PointSize, batch*PointSize).Draw(t, "scalars")
		keys := [batch * PointSize]byte(scalars)
		multiply(&keys)
		for at := 0; at < len(keys); at += PointSize {
			got, want := keys[at:at+PointSize], publicKey(t, scalars[at:at+PointSize])
			if !bytes.Equal(got, want) {
				t.Fatal("scalar", scalars[at:at+PointSize], "gives", got, "not", want)
			}
		}
	})
}

// Every digit in every place, with a carry from below and without: all entries of the comb, added and subtracted.
func TestMultiplyDigits(t *testing.T) {
	for digit := range 256 {
		var scalars [batch * PointSize]byte
		d := byte(digit)
		for i := range scalars {
			scalars[i] = [batch][2]byte{{d, d}, {d, 129}, {129, d}, {d, 128}, {128, d}, {d, 255}, {255, d}, {d, ^d}}[i/PointSize][i%2]
		}
		keys := scalars
		multiply(&keys)
		for at := 0; at < len(keys); at += PointSize {
			if !bytes.Equal(keys[at:at+PointSize], publicKey(t, scalars[at:at+PointSize])) {
				t.Fatalf("scalar %x gives %x", scalars[at:at+PointSize], keys[at:at+PointSize])
			}
		}
	}
}

// Half of all random strings are off the curve, and seven eighths of the curve's points are outside the subgroup; none of our
// keys may be. No key comes twice, across batches.
func TestPoint(t *testing.T) {
	var m Maker
	rand, seen := source(2), map[[PointSize]byte]bool{}
	for range 8 * batch {
		var u [PointSize]byte
		m.Point(u[:], rand)
		if seen[u] {
			t.Errorf("%x twice", u)
		}
		seen[u] = true
		if u[PointSize-1] > 0x7f {
			t.Errorf("%x: the highest bit is set", u)
		}
		if !inSubgroup(t, u) {
			t.Errorf("%x is not in the subgroup of prime order", u)
		}
	}
	// The test can fail: by points of order 4 and 8, and by one off the curve.
	eight := [PointSize]byte{
		0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4, 0x6a,
		0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8,
	}
	for _, bad := range [][PointSize]byte{{1}, eight, {2}} {
		if inSubgroup(t, bad) {
			t.Errorf("%x passes for a point of the subgroup", bad)
		}
	}
}

// inSubgroup reports whether u is a point of the curve that the subgroup's order multiplies to the neutral one.
func inSubgroup(t *testing.T, u [PointSize]byte) bool {
	t.Helper()
	var x, y, one field.Element
	if _, err := x.SetBytes(u[:]); err != nil {
		t.Fatal(err)
	}
	one.One()
	y.Multiply(y.Subtract(&x, &one), new(field.Element).Invert(new(field.Element).Add(&x, &one))) // the birational map (RFC 7748 4.1)
	p, err := new(edwards25519.Point).SetBytes(y.Bytes())
	if err != nil {
		return false // off the curve
	}
	neutral := edwards25519.NewIdentityPoint()
	less, err := edwards25519.NewScalar().SetCanonicalBytes(append([]byte{1}, make([]byte, 31)...))
	if err != nil {
		t.Fatal(err)
	}
	less.Negate(less) // the order less 1
	all := new(edwards25519.Point).ScalarMult(less, p)
	return p.Equal(neutral) == 0 && all.Add(all, p).Equal(neutral) == 1
}

// The keys are spread over all of the field: each bit of u is as often 0 as 1.
func TestPointBits(t *testing.T) {
	var m Maker
	rand := source(3)
	var ones [255]int
	const n = 4096
	for range n {
		var u [PointSize]byte
		m.Point(u[:], rand)
		for i := range ones {
			ones[i] += int(u[i/8] >> (i % 8) & 1)
		}
	}
	for i, k := range ones {
		if k < n/2-6*32 || k > n/2+6*32 { // 6 standard deviations of sqrt(n)/2
			t.Errorf("bit %d is set in %d keys of %d", i, k, n)
		}
	}
}
