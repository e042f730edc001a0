package full

import (
	"bytes"
	"fmt"
	"testing"

	"epoxy/codec"
	"epoxy/codec/cbc"
)

// drain reads d to the end of what was fed and returns the bytes of all bodies.
func drain(d *Decoder) (n int, err error) {
	for {
		body, err := d.Next()
		if err != nil {
			return n, err
		}
		n += len(body)
	}
}

func TestAllocations(t *testing.T) {
	e, d := started(0)
	p, large := body(300), body(5000)
	wire := make([]byte, 0, 64<<10)
	if n := testing.AllocsPerRun(100, func() {
		wire = wire[:0]
		for range 5 {
			wire = e.Append(e.Append(wire, p), large)
		}
		at := len(wire)
		wire = e.End(append(e.Begin(wire), p...), at)
		wire = e.Flush(wire, 0)
		d.Feed(wire[:333]) // torn, in the middle of a block
		_, _ = drain(d)
		d.Feed(wire[333:20000])
		_, _ = drain(d)
		d.Feed(wire[20000:])
		if _, err := drain(d); err != codec.ErrShort {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("a round trip allocates %v times", n)
	}
	if d.seq() != e.seq() {
		t.Error("frames are missing")
	}
}

// TestWhole checks that a whole frame's body points into what was fed.
func TestWhole(t *testing.T) {
	e, d := started(0)
	wire := e.Flush(e.Append(nil, body(10)), 0) // 52 bytes and 3 fillers
	d.Feed(wire)                                // the first block is inspected for a filler in clear
	if _, err := drain(d); err != codec.ErrShort {
		t.Fatal(err)
	}
	wire = e.Flush(e.Append(nil, body(10)), 0)
	d.Feed(wire)
	got, err := d.Next()
	if err != nil || &got[0] != &wire[headSize] || cap(got) != len(got)+sumSize {
		t.Errorf("the body was copied, %v", err)
	}
}

// TestSeal compares links that are encrypted together with each alone, one of them still in clear.
func TestSeal(t *testing.T) {
	var together, alone [6]Encoder
	for round := range 3 {
		var wire, want [6][]byte
		var lanes [6]cbc.Lane
		for i := range together {
			if i > 0 && round == 0 {
				keys := Keys{Key: [32]byte{byte(i)}}
				together[i].Start(&keys)
				alone[i].Start(&keys)
			}
			p := body(1 + i*round*7)
			wire[i], lanes[i] = together[i].Seal(together[i].Append([]byte("before"), p), 6)
			want[i] = alone[i].Flush(alone[i].Append([]byte("before"), p), 6)
		}
		cbc.EncryptAll(lanes[:])
		for i := range wire {
			if !bytes.Equal(wire[i], want[i]) {
				t.Fatalf("round %d: link %d differs", round, i)
			}
		}
	}
}

// TestLargest reads a frame of the greatest length in pieces and checks what memory stays.
func TestLargest(t *testing.T) {
	e, d := started(0)
	want := body((MaxFrame - Overhead) / wordSize)
	wire := e.Flush(e.Append(nil, want), 0)
	for rest := wire; len(rest) > 0; {
		n := min(256<<10, len(rest))
		d.Feed(rest[:n])
		rest = rest[n:]
		switch got, err := d.Next(); {
		case err == codec.ErrShort && len(rest) > 0:
		case err != nil || !bytes.Equal(got, want):
			t.Fatalf("%d bytes, %v", len(got), err)
		}
	}
	if d.Held() < MaxFrame {
		t.Errorf("%d bytes are held for the body", d.Held())
	}
	d.Feed(nil)
	if d.Held() > 2*keepSize {
		t.Errorf("%d bytes are held afterwards", d.Held())
	}
}

// FuzzDecoder feeds clear bytes through the cipher in pieces of any size: whatever comes, the Decoder reads the same
// bodies and the same end as from one piece, and holds no more than it was given and a head may ask for.
func FuzzDecoder(f *testing.F) {
	var e Encoder
	e.place = at(0, false)
	wire := e.Append(e.Append(e.Append(nil, body(4)), body(1)), body(90))
	f.Add(wire, uint16(17))
	f.Add(append([]byte{filler, 0, 0, 0}, wire...), uint16(5))
	f.Add([]byte{0xfc, 0xff, 0xff, 0x7f}, uint16(1))
	for _, v := range load(f).Frame {
		f.Add([]byte(v.Padded), uint16(len(v.Padded)/2))
	}
	f.Fuzz(func(t *testing.T, clear []byte, size uint16) {
		var e Encoder
		e.Start(&testKeys)
		clear = clear[:len(clear)/wordSize*wordSize]
		wire := e.Flush(bytes.Clone(clear), 0)
		read := func(size int) (bodies []byte, end error) {
			d := &Decoder{place: at(0, false)}
			d.Start(&testKeys)
			d.opening = false // a first filler is like any other
			end = codec.ErrShort
			for rest := bytes.Clone(wire); len(rest) > 0 && end == codec.ErrShort; {
				n := min(size, len(rest))
				d.Feed(rest[:n])
				rest = rest[n:]
				for {
					body, err := d.Next()
					if err != nil {
						end = err
						break
					}
					bodies = append(bodies, body...)
					bodies = append(bodies, '|')
				}
				if d.Held() > 4*len(wire)+4*growSize {
					t.Fatalf("%d bytes hold %d", len(wire), d.Held())
				}
			}
			return bodies, end
		}
		whole, end := read(len(wire) + 1)
		pieces, piecesEnd := read(int(size) + 1)
		if end != piecesEnd || !bytes.Equal(whole, pieces) {
			t.Fatalf("whole: %d bytes, %v; in pieces: %d bytes, %v", len(whole), end, len(pieces), piecesEnd)
		}
	})
}

func BenchmarkEncoder(b *testing.B) {
	for _, size := range []int{64, 1 << 10, 16 << 10} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			e, _ := started(0)
			e.UseCRC32C()
			p, wire := body(size/4), make([]byte, 0, size*10)
			b.SetBytes(int64(8 * size))
			b.ReportAllocs()
			for b.Loop() {
				wire = wire[:0]
				for range 8 {
					wire = e.Append(wire, p)
				}
				wire = e.Flush(wire, 0)
			}
		})
	}
}

// BenchmarkDecoder reads 64 KiB of frames as one piece and as TCP segments cut them. The cost of filling the read
// buffer, a copy, is in it.
func BenchmarkDecoder(b *testing.B) {
	for _, size := range []int{200, 1 << 10, 16 << 10} {
		for _, piece := range []int{64 << 10, 1460} {
			b.Run(fmt.Sprintf("%d/%d", size, piece), func(b *testing.B) {
				e, d := started(0)
				e.UseCRC32C()
				var wire []byte
				for len(wire) < 64<<10 {
					wire = e.Append(wire, body(size/4))
				}
				wire = e.Flush(wire, 0)
				room := make([]byte, len(wire))
				b.SetBytes(int64(len(wire)))
				b.ReportAllocs()
				for b.Loop() {
					copy(room, wire)
					d.place, d.cipher = at(0, true), cbc.NewDecrypter(&testKeys.Key, &testKeys.IV)
					for rest := room; len(rest) > 0; {
						n := min(piece, len(rest))
						d.Feed(rest[:n])
						rest = rest[n:]
						if _, err := drain(d); err != codec.ErrShort {
							b.Fatal(err)
						}
					}
				}
			})
		}
	}
}

func BenchmarkDerive(b *testing.B) {
	c := load(b).KDF[0]
	n := c.nonces()
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := n.Derive(c.Secret); err != nil {
			b.Fatal(err)
		}
	}
}
