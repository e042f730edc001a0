package probe

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"slices"

	"epoxy/codec"
	"epoxy/codec/faketls"
)

// hello is a ClientHello taken apart, to be put together with something wrong in it.
type hello struct {
	record      byte // minor version of the record
	kind        byte // handshake message, 1
	version     [2]byte
	random      [32]byte
	session     []byte
	suites      []byte
	compression []byte
	extensions  []extension
}

type extension struct {
	kind uint16
	data []byte
}

const (
	randomAt   = 11 // of a ClientHello's random, from the start of its record
	sessionAt  = 44
	signedSize = 28 // bytes of the random that are signed; the time is in the others
)

// parseHello takes a hello of faketls apart.
func parseHello(p []byte) *hello {
	h := &hello{record: p[2], kind: p[5], version: [2]byte(p[9:]), random: [32]byte(p[randomAt:])}
	p = p[sessionAt-1:]
	h.session, p = cut(p, 1)
	h.suites, p = cut(p, 2)
	h.compression, p = cut(p, 1)
	p = p[2:]
	for len(p) > 0 {
		e := extension{kind: binary.BigEndian.Uint16(p)}
		e.data, p = cut(p[2:], 2)
		h.extensions = append(h.extensions, e)
	}
	return h
}

// cut returns the bytes behind a length of so many bytes, and the rest.
func cut(p []byte, prefix int) (data, rest []byte) {
	n := 0
	for _, b := range p[:prefix] {
		n = n<<8 | int(b)
	}
	p = p[prefix:]
	return slices.Clone(p[:n]), p[n:]
}

// bytes puts the hello together, in one record and with all lengths right.
func (h *hello) bytes() []byte {
	var ext []byte
	for _, e := range h.extensions {
		ext = binary.BigEndian.AppendUint16(ext, e.kind)
		ext = binary.BigEndian.AppendUint16(ext, uint16(len(e.data)))
		ext = append(ext, e.data...)
	}
	p := []byte{typeHandshake, 3, h.record, 0, 0, h.kind, 0, 0, 0, h.version[0], h.version[1]}
	p = append(p, h.random[:]...)
	p = append(append(p, byte(len(h.session))), h.session...)
	p = append(binary.BigEndian.AppendUint16(p, uint16(len(h.suites))), h.suites...)
	p = append(append(p, byte(len(h.compression))), h.compression...)
	p = append(binary.BigEndian.AppendUint16(p, uint16(len(ext))), ext...)
	n := len(p) - headerSize
	binary.BigEndian.PutUint16(p[3:], uint16(n))
	binary.BigEndian.PutUint16(p[7:], uint16(n-4))
	return p
}

// sized pads the hello to a record of n bytes, or cuts its padding.
func (h *hello) sized(n int) []byte {
	h.drop(extPadding)
	have := len(h.bytes()) - headerSize
	if have+4 > n {
		return h.bytes()
	}
	h.extensions = append(h.extensions, extension{extPadding, make([]byte, n-have-4)})
	return h.bytes()
}

func (h *hello) drop(kinds ...uint16) {
	h.extensions = slices.DeleteFunc(h.extensions, func(e extension) bool { return slices.Contains(kinds, e.kind) })
}

// set replaces the data of an extension, which must be there.
func (h *hello) set(kind uint16, data string) {
	for i := range h.extensions {
		if h.extensions[i].kind == kind {
			h.extensions[i].data = []byte(data)
		}
	}
}

// sign writes the random that shows the secret in a whole record (spec client-protocols 4.1).
func sign(p []byte, secret *codec.Key, unix uint32) []byte {
	random := p[randomAt : randomAt+32]
	clear(random)
	mac := hmac.New(sha256.New, secret[:])
	mac.Write(p)
	copy(random, mac.Sum(nil))
	shift(p, unix)
	return p
}

// shift xors the time of a signed hello with d, which leaves its signature good (spec client-protocols 4.7).
func shift(p []byte, d uint32) []byte {
	stamp := p[randomAt+signedSize:]
	binary.LittleEndian.PutUint32(stamp, binary.LittleEndian.Uint32(stamp)^d)
	return p
}

// build returns a hello of shape that is signed by key, at the kit's time moved by seconds.
func (k *kit) build(shape faketls.Shape, key *codec.Key, seconds int, edit func(c *faketls.ClientHello)) ([]byte, error) {
	c := faketls.ClientHello{
		Domain: k.domain, Secret: *key, Unix: uint32(k.now.Unix() + int64(seconds)), Shares: k.shares, Shape: shape,
	}
	if edit != nil {
		edit(&c)
	}
	return c.Append(nil, k.random)
}
