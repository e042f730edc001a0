package full

import (
	"encoding/binary"
	"slices"

	"epoxy/codec"
	"epoxy/codec/cbc"
)

// Decoder reads one direction. Feed takes what the socket brought, Next hands out body after body until
// codec.ErrShort. Bodies that came whole point into the fed bytes; one that was torn is put together in a buffer, each
// byte copied once. The zero Decoder is ready, in clear. It belongs to one loop; do not copy one in use.
//
// The buffers are the Decoder's own: two, used in turns, as long as the longest torn frame of late. Compact drops them.
type Decoder struct {
	place
	encrypted bool
	opening   bool            // no encrypted byte came yet
	carried   uint8           // bytes in carry
	carry     [blockSize]byte // encrypted bytes short of a block
	at        int             // where the unread bytes of torn begin
	torn      []byte          // clear bytes before rest
	spent     []byte          // what torn was before: bodies point into it until the next Feed
	rest      []byte          // unread clear bytes of this Feed
	cipher    cbc.Decrypter
}

// Start decrypts everything behind the first frame. It is called between Next, which returned that frame, and the next
// Feed or Next; bodies end with it, as with Feed. One filler in clear, as some peers send it behind their nonce, is
// skipped even when it is still to come (spec upstream-protocols 2.3).
func (d *Decoder) Start(k *Keys) {
	d.cipher = cbc.NewDecrypter(&k.Key, &k.IV)
	d.encrypted, d.opening = true, true
	rest := d.rest
	d.rest = nil
	d.Feed(rest)
}

// Feed takes p, decrypts it in place and keeps it until Next has read it. Bodies of the Feed before end here.
func (d *Decoder) Feed(p []byte) {
	if cap(d.spent) > keepSize {
		d.spent = nil
	}
	if d.at > 0 {
		d.torn = d.torn[:copy(d.torn, d.torn[d.at:])]
		d.at = 0
	}
	d.keep()
	if !d.encrypted {
		d.rest = p
		return
	}
	if d.opening {
		n := copy(d.carry[d.carried:wordSize], p)
		p = p[n:]
		if d.carried += uint8(n); d.carried < wordSize {
			return
		}
		d.opening = false
		if binary.LittleEndian.Uint32(d.carry[:]) == filler {
			d.carried = 0
		}
	}
	if d.carried > 0 {
		n := copy(d.carry[d.carried:], p)
		p = p[n:]
		if d.carried += uint8(n); d.carried < blockSize {
			return
		}
		d.carried = 0
		d.cipher.CryptBlocks(d.carry[:], d.carry[:])
		d.torn = append(d.torn, d.carry[:]...)
	}
	whole := len(p) &^ (blockSize - 1)
	d.carried = uint8(copy(d.carry[:], p[whole:]))
	d.rest = p[:whole]
	d.cipher.CryptBlocks(d.rest, d.rest)
}

// Next returns the body of the next frame: whole words, at least one, the caller's to change until the next Feed, or
// as long as the fed bytes live when that is less. The checksum behind it is the caller's too: the body may grow by up
// to 4 bytes in place. codec.ErrShort asks for another Feed; in clear it comes after the first frame, until Start. Other
// errors are ReasonFrameSize, ReasonFrameSeq and ReasonFrameSum; the first ends the Decoder.
func (d *Decoder) Next() ([]byte, error) {
	if !d.encrypted && d.frames > 0 {
		return nil, codec.ErrShort
	}
	for {
		var body []byte
		var n int
		var err error
		if len(d.torn) > 0 {
			body, n, err = d.parse(d.torn[d.at:])
			if err == codec.ErrShort && d.join() {
				continue
			}
			d.skip(n)
		} else {
			body, n, err = d.parse(d.rest)
			d.rest = d.rest[n:]
			if err == codec.ErrShort {
				d.keep()
			}
		}
		if body != nil || err != nil {
			return body, err
		}
	}
}

// parse returns the body of the frame at the start of p and the frame's length, or no body for a filler.
func (d *Decoder) parse(p []byte) (body []byte, n int, err error) {
	n, err = d.measure(p)
	switch {
	case err != nil:
		return nil, 0, err
	case n == filler:
		return nil, n, nil
	case len(p) >= headSize && binary.LittleEndian.Uint32(p[4:]) != d.seq():
		return nil, 0, errSeq
	case len(p) < n:
		return nil, 0, codec.ErrShort
	case binary.LittleEndian.Uint32(p[n-sumSize:]) != d.sum(p[:n-sumSize]):
		return nil, 0, errSum
	}
	d.frames++
	return p[headSize : n-sumSize : n], n, nil
}

// measure returns the length of the frame or filler at the start of p.
func (d *Decoder) measure(p []byte) (int, error) {
	if len(p) < wordSize {
		return 0, codec.ErrShort
	}
	n := binary.LittleEndian.Uint32(p)
	switch {
	case n == filler && d.encrypted:
		return filler, nil
	case n%wordSize != 0 || n < minFrame || n > d.limit():
		return 0, errSize
	}
	return int(n), nil
}

// join moves bytes from rest to torn, as many as torn's first frame lacks or as there are. It reports whether it
// moved any; torn is short.
func (d *Decoder) join() bool {
	want, err := d.measure(d.torn[d.at:])
	if err != nil {
		want = wordSize
	}
	lacks := want - len(d.torn[d.at:])
	if want <= growSize {
		d.torn = slices.Grow(d.torn, lacks)
	}
	n := min(lacks, len(d.rest))
	d.torn = append(d.torn, d.rest[:n]...)
	d.rest = d.rest[n:]
	return n > 0
}

// skip passes n bytes of torn. When none is left, rest is next.
func (d *Decoder) skip(n int) {
	if d.at += n; d.at == len(d.torn) {
		d.spent, d.torn, d.at = d.torn, d.spent[:0], 0
	}
}

// keep moves what is unread of rest behind torn, because the fed bytes end.
func (d *Decoder) keep() {
	d.torn = append(d.torn, d.rest...)
	d.rest = nil
}

// Held returns the memory in bytes that the Decoder keeps for torn frames.
func (d *Decoder) Held() int { return cap(d.torn) + cap(d.spent) }

// Compact drops the memory that holds nothing, for a link that is silent; bodies end here, as with Feed.
func (d *Decoder) Compact() {
	d.spent = nil
	if d.torn = d.torn[d.at:]; len(d.torn) == 0 {
		d.torn = nil
	}
	d.at = 0
}
