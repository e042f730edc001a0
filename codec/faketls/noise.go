package faketls

import "epoxy/codec/ctr"

// noise is random bytes as fast as AES makes them, ten times as fast as the kernel's: AES-256-CTR under a key that was
// drawn for one flight. Nobody can tell them from others.
type noise struct {
	keys ctr.Schedule
	key  [32]byte
	iv   [ctr.BlockSize]byte // 0: no key is used twice
	used uint64
}

// seed begins anew with a key from rand.
func (n *noise) seed(rand func([]byte)) {
	rand(n.key[:])
	n.keys.Expand(&n.key)
	clear(n.key[:])
	n.used = 0
}

// fill fills p.
func (n *noise) fill(p []byte) {
	clear(p)
	n.keys.XORKeyStream(&n.iv, n.used, p, p)
	n.used += uint64(len(p))
}

// byte returns a byte.
func (n *noise) byte() byte {
	n.fill(n.key[:1])
	return n.key[0]
}
