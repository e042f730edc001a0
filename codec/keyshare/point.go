package keyshare

import "filippo.io/edwards25519/field"

// batch is how many points a Maker makes at once. They share one field inversion, which costs as much as one of them.
const batch = 8

// Point writes an x25519 public key to dst[:PointSize]: the u coordinate of a clamped scalar times the base point
// (RFC 7748 5), as crypto/ecdh makes it. rand fills its argument with secure random bytes. It is asked for the scalars of
// batch keys at once, but each key has one of its own, which is overwritten at once, and is handed out once: no two keys
// are related.
func (m *Maker) Point(dst []byte, rand func([]byte)) {
	if m.left == 0 {
		rand(m.points[:])
		multiply(&m.points)
		m.left = batch
	}
	m.left--
	copy(dst[:PointSize], m.points[m.left*PointSize:])
}

// multiply replaces each scalar, clamped or not, by its public key.
func multiply(keys *[batch * PointSize]byte) {
	var over, under [batch]field.Element
	for i := range batch {
		var p point
		p.multiply((*[PointSize]byte)(keys[i*PointSize:]))
		over[i].Add(&p.z, &p.y) // u = (z + y) / (z - y), the birational map (RFC 7748 4.1)
		under[i].Subtract(&p.z, &p.y)
	}
	invert(under[:]) // none is 0: a clamped scalar is no multiple of the order
	for i := range batch {
		copy(keys[i*PointSize:], over[i].Multiply(&over[i], &under[i]).Bytes())
	}
}

// invert replaces each x, at most steps of them and none of them 0, by 1/x with one inversion (Montgomery's trick).
func invert(x []field.Element) {
	var before [steps]field.Element // products of all that stand before
	var all field.Element
	all.One()
	for i := range x {
		before[i] = all
		all.Multiply(&all, &x[i])
	}
	all.Invert(&all)
	for i := len(x) - 1; i >= 0; i-- {
		before[i].Multiply(&before[i], &all)
		all.Multiply(&all, &x[i])
		x[i] = before[i]
	}
}
