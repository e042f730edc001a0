package full

import (
	"crypto/md5"
	"crypto/sha1"
	"encoding/binary"
	"net/netip"

	"epoxy/codec"
)

var errKeys = codec.NewError(codec.ReasonLinkKeys, "full: no keys from this secret or these addresses")

// Keys are what encrypts one direction.
type Keys struct {
	Key [32]byte
	IV  [blockSize]byte
}

// String keeps the keys out of logs and texts.
func (Keys) String() string { return "keys(hidden)" }

// GoString keeps the keys out of %#v too.
func (Keys) GoString() string { return "full.Keys(hidden)" }

// Nonces is what both ends know after the nonces, beside the secret.
type Nonces struct {
	ProxyAddr   netip.AddrPort // as the middle proxy sees it: the public address
	MiddleAddr  netip.AddrPort // as the proxy dialled it
	ProxyNonce  [NonceSize]byte
	MiddleNonce [NonceSize]byte
	Time        uint32 // the proxy's clock in its nonce
}

// Derive returns the keys towards the middle proxy and back (spec upstream-protocols 2.4). IPv4 in IPv6 is IPv4. The
// error is ReasonLinkKeys, for a secret out of MinSecret..MaxSecret and for addresses of two families. A wrong address
// gives wrong keys, of which the middle proxy says nothing.
//
//	M = middle nonce | proxy nonce | time u32le
//	  | middle IPv4, reversed | proxy port u16le | "CLIENT" or "SERVER" | proxy IPv4, reversed | middle port u16le
//	  | secret | middle nonce | [proxy IPv6 | middle IPv6] | proxy nonce        with IPv6, the IPv4 fields are 0
//	key = MD5(M[1:])[:12] | SHA1(M)        iv = MD5(M[2:])
func (n *Nonces) Derive(secret []byte) (up, down Keys, err error) {
	proxy, middle := n.ProxyAddr.Addr().Unmap(), n.MiddleAddr.Addr().Unmap()
	if len(secret) < MinSecret || len(secret) > MaxSecret || !proxy.IsValid() || proxy.BitLen() != middle.BitLen() {
		return Keys{}, Keys{}, errKeys
	}
	var room [5*16 + 22 + MaxSecret + 16]byte
	m := append(room[:0], n.MiddleNonce[:]...)
	m = append(m, n.ProxyNonce[:]...)
	m = binary.LittleEndian.AppendUint32(m, n.Time)
	m = appendReversed(m, middle)
	m = binary.LittleEndian.AppendUint16(m, n.ProxyAddr.Port())
	purpose := m[len(m) : len(m)+6]
	m = append(m, "CLIENT"...)
	m = appendReversed(m, proxy)
	m = binary.LittleEndian.AppendUint16(m, n.MiddleAddr.Port())
	m = append(m, secret...)
	m = append(m, n.MiddleNonce[:]...)
	if proxy.Is6() {
		p, q := proxy.As16(), middle.As16()
		m = append(append(m, p[:]...), q[:]...)
	}
	m = append(m, n.ProxyNonce[:]...)
	up = digest(m)
	copy(purpose, "SERVER")
	return up, digest(m), nil
}

// appendReversed appends an IPv4 address with its last byte first, or four zeros.
func appendReversed(m []byte, a netip.Addr) []byte {
	if !a.Is4() {
		return append(m, 0, 0, 0, 0)
	}
	b := a.As4()
	return append(m, b[3], b[2], b[1], b[0])
}

// digest turns M into keys.
func digest(m []byte) (k Keys) {
	head, tail := md5.Sum(m[1:]), sha1.Sum(m)
	copy(k.Key[copy(k.Key[:], head[:12]):], tail[:])
	k.IV = md5.Sum(m[2:])
	return k
}
