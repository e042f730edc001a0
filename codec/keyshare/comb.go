package keyshare

import (
	"filippo.io/edwards25519"
	"filippo.io/edwards25519/field"
)

// The comb: a scalar is rows signed digits of 8 bits, and each digit has a table of its multiples.
const (
	rows  = 32
	steps = 128
)

// addend is a point of edwards25519 in the form that is cheapest to add: affine, y + x, y - x, 2dxy.
type addend struct{ plus, minus, t field.Element }

// comb holds j * 256^i * B at [i][j-1]. It is 480 KiB, made in 2 ms before main and never written again.
var comb = newComb()

func newComb() *[rows][steps]addend {
	c := new([rows][steps]addend)
	var one, d2 field.Element // d2 = 2d = -2 * 121665 / 121666 (RFC 7748 4.1)
	one.One()
	d2.Mult32(&one, 121666)
	d2.Invert(&d2).Mult32(&d2, 2*121665).Negate(&d2)

	base := edwards25519.NewGeneratorPoint()
	for i := range c {
		var x, y, z [steps]field.Element
		p := edwards25519.NewIdentityPoint()
		for j := range c[i] {
			px, py, pz, _ := p.Add(p, base).ExtendedCoordinates()
			x[j], y[j], z[j] = *px, *py, *pz
		}
		invert(z[:])
		for j := range c[i] {
			x[j].Multiply(&x[j], &z[j])
			y[j].Multiply(&y[j], &z[j])
			a := &c[i][j]
			a.plus.Add(&y[j], &x[j])
			a.minus.Subtract(&y[j], &x[j])
			a.t.Multiply(&x[j], &y[j]).Multiply(&a.t, &d2)
		}
		base.Add(p, p) // p is 128 times the old one
	}
	return c
}

// point is one of edwards25519 in extended coordinates: x/z, y/z, t = xy/z.
type point struct{ x, y, z, t field.Element }

// multiply makes p the scalar, clamped, times the base point, in variable time.
func (p *point) multiply(scalar *[PointSize]byte) {
	p.x.Zero()
	p.y.One()
	p.z.One()
	p.t.Zero()
	carry := 0
	for i, b := range scalar {
		switch i { // clamp (RFC 7748 5)
		case 0:
			b &= 0xf8
		case PointSize - 1:
			b = b&0x7f | 0x40 // 128 at most, with the carry: none goes out
		}
		digit := int(b) + carry
		carry = (digit + steps - 1) >> 8 // digits are -127..128
		switch digit -= carry << 8; {
		case digit > 0:
			a := &comb[i][digit-1]
			p.add(&a.plus, &a.minus, &a.t, false)
		case digit < 0:
			a := &comb[i][-digit-1]
			p.add(&a.minus, &a.plus, &a.t, true)
		}
	}
}

// add adds an addend, or its negative: then plus and minus change places and so do f and g, which is t's sign. It is the
// unified mixed addition of Hisil, Wong, Carter and Dawson for a = -1, 7 multiplications.
func (p *point) add(plus, minus, t *field.Element, negative bool) {
	var a, b, c, d, e, f, g, h field.Element
	a.Multiply(a.Subtract(&p.y, &p.x), minus)
	b.Multiply(b.Add(&p.y, &p.x), plus)
	c.Multiply(&p.t, t)
	d.Add(&p.z, &p.z)
	e.Subtract(&b, &a)
	h.Add(&b, &a)
	f.Subtract(&d, &c)
	g.Add(&d, &c)
	if negative {
		f, g = g, f
	}
	p.x.Multiply(&e, &f)
	p.y.Multiply(&g, &h)
	p.z.Multiply(&f, &g)
	p.t.Multiply(&e, &h)
}
