package full

import (
	"bytes"
	"encoding/binary"
	"testing"

	"pgregory.net/rapid"

	"epoxy/codec"
)

// reader is a proxy's end: a Decoder that starts after the first frame, and what it read.
type reader struct {
	Decoder
	castagnoli bool
	bodies     [][]byte
}

// feed reads a copy of p to its end. Bodies must still be right when all of p was read.
func (r *reader) feed(p []byte) error {
	p = bytes.Clone(p)
	r.Feed(p)
	var live [][]byte
	for {
		body, err := r.Next()
		if err != nil {
			for _, body := range live {
				r.bodies = append(r.bodies, bytes.Clone(body))
			}
			if err == codec.ErrShort {
				return nil
			}
			return err
		}
		if r.frames == 1 {
			r.bodies = append(r.bodies, bytes.Clone(body))
			r.Start(&testKeys)
			continue
		}
		if r.frames == early && r.castagnoli {
			r.UseCRC32C()
		}
		live = append(live, body)
	}
}

// write returns the wire of bodies: the first in clear, the second alone, the others in one flush.
// plain is a filler behind the first frame, which some peers send.
func write(bodies [][]byte, castagnoli, plain bool) (wire []byte) {
	e := Encoder{place: place{castagnoli: castagnoli}}
	from := 0
	for i, body := range bodies {
		wire = e.Append(wire, body)
		switch i {
		case 0:
			if plain {
				wire = append(wire, filler, 0, 0, 0)
			}
			e.Start(&testKeys)
			from = len(wire)
		case 1:
			wire = e.Flush(wire, from)
			from = len(wire)
		}
	}
	return e.Flush(wire, from)
}

func body(words int) []byte {
	p := make([]byte, 4*words)
	for i := range p {
		p[i] = byte(i + words)
	}
	return p
}

func same(t *testing.T, got, want [][]byte) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d bodies, want %d", len(got), len(want))
	}
	for i := range got {
		if !bytes.Equal(got[i], want[i]) {
			t.Fatalf("body %d is %x, want %x", i, got[i], want[i])
		}
	}
}

var someBodies = [][]byte{body(8), body(8), body(1), body(2), body(3), body(20), body(1), body(4), body(1), body(1)}

// The prefix loop: no prefix has more bodies than are whole in it, nor an error.
// The split loop: every cut in two, every cut in three.
// A33, A70, A71: the stream survives any cutting.
func TestEveryCut(t *testing.T) {
	for _, plain := range []bool{false, true} {
		wire := write(someBodies, plain, plain)
		for cut := range len(wire) + 1 {
			r := reader{castagnoli: plain}
			if err := r.feed(wire[:cut]); err != nil {
				t.Fatalf("%d bytes: %v", cut, err)
			}
			same(t, r.bodies, someBodies[:len(r.bodies)])
			if cut < len(wire)-MaxPadding && len(r.bodies) == len(someBodies) {
				t.Fatalf("%d bytes give all bodies", cut)
			}
			if err := r.feed(wire[cut:]); err != nil {
				t.Fatalf("cut at %d: %v", cut, err)
			}
			same(t, r.bodies, someBodies)
			for second := cut; second < len(wire); second += 5 {
				r := reader{castagnoli: plain}
				for _, piece := range [][]byte{wire[:cut], wire[cut:second], wire[second:]} {
					if err := r.feed(piece); err != nil {
						t.Fatalf("cuts at %d and %d: %v", cut, second, err)
					}
				}
				same(t, r.bodies, someBodies)
			}
		}
		for size := 1; size < 40; size++ {
			r := reader{castagnoli: plain}
			for rest := wire; len(rest) > 0; {
				n := min(size, len(rest))
				if err := r.feed(rest[:n]); err != nil {
					t.Fatalf("pieces of %d: %v", size, err)
				}
				rest = rest[n:]
			}
			same(t, r.bodies, someBodies)
		}
	}
}

// A43, A44, A70, A71: packets of any size, flushed in any groups, read in any pieces.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		castagnoli := rapid.Bool().Draw(t, "CRC-32C")
		e := Encoder{place: place{castagnoli: castagnoli}}
		var wire []byte
		var want [][]byte
		from := 0
		for i, words := range append([]int{8, 8}, rapid.SliceOfN(rapid.IntRange(1, 300), 1, 12).Draw(t, "words")...) {
			want = append(want, body(words))
			wire = e.Append(wire, want[i])
			if i < early || rapid.Bool().Draw(t, "flush") {
				wire = e.Flush(wire, from)
				from = len(wire)
			}
			if i == 0 {
				e.Start(&testKeys)
			}
		}
		wire = e.Flush(wire, from)
		r := reader{castagnoli: castagnoli}
		for len(wire) > 0 {
			n := min(rapid.IntRange(1, 500).Draw(t, "piece"), len(wire))
			if err := r.feed(wire[:n]); err != nil {
				t.Fatal(err)
			}
			wire = wire[n:]
			if rapid.Bool().Draw(t, "compact") {
				r.Compact()
			}
		}
		if len(r.bodies) != len(want) {
			t.Fatalf("%d bodies, want %d", len(r.bodies), len(want))
		}
		for i := range want {
			if !bytes.Equal(r.bodies[i], want[i]) {
				t.Fatalf("body %d differs", i)
			}
		}
		if r.Compact(); r.Held() != 0 {
			t.Fatal("memory is held after Compact")
		}
	})
}

// started returns both ends of an encrypted direction before sequence number seq.
func started(seq int32) (*Encoder, *Decoder) {
	e, d := &Encoder{place: at(seq, false)}, &Decoder{place: at(seq, false)}
	e.Start(&testKeys)
	d.Start(&testKeys)
	return e, d
}

func TestManyFillers(t *testing.T) {
	e, d := started(7)
	wire := bytes.Repeat([]byte{filler, 0, 0, 0}, 1<<16+3)
	wire = append(e.Append(wire, body(5)), filler, 0, 0, 0, filler, 0, 0, 0)
	wire = e.Flush(e.Append(wire, body(6)), 0)
	for rest := wire; len(rest) > 0; {
		n := min(4099, len(rest))
		d.Feed(rest[:n])
		rest = rest[n:]
		for {
			got, err := d.Next()
			if err == codec.ErrShort {
				break
			}
			if err != nil || len(got) != 20 && len(got) != 24 {
				t.Fatalf("%x, %v", got, err)
			}
		}
		if d.Held() > 4<<10 {
			t.Fatalf("fillers hold %d bytes", d.Held())
		}
	}
	if d.seq() != e.seq() {
		t.Error("a frame is missing")
	}
}

func TestSequenceWraps(t *testing.T) {
	e, d := started(1<<31 - 1)
	d.Feed(e.Flush(e.Append(e.Append(nil, body(1)), body(2)), 0))
	for want := 4; want <= 8; want += 4 {
		if got, err := d.Next(); err != nil || len(got) != want {
			t.Fatalf("%x, %v", got, err)
		}
	}
	if int32(e.seq()) != -1<<31+1 {
		t.Errorf("the next sequence number is %d", int32(e.seq()))
	}
}

// TestFaults feeds frames with one fault; all of them end the link, as soon as the head tells.
func TestFaults(t *testing.T) {
	good := (&Encoder{place: at(5, false)}).Append(nil, body(9))
	change := func(at int, word uint32) []byte {
		p := bytes.Clone(good)
		binary.LittleEndian.PutUint32(p[at:], word)
		return p
	}
	for name, c := range map[string]struct {
		frame []byte
		want  codec.Reason
	}{
		"length 0":            {change(0, 0), codec.ReasonFrameSize},
		"length 8":            {change(0, 8), codec.ReasonFrameSize},
		"no body":             {change(0, 12), codec.ReasonFrameSize},
		"no whole words":      {change(0, 47), codec.ReasonFrameSize},
		"above 16 MiB":        {change(0, MaxFrame+4), codec.ReasonFrameSize},
		"bit 31":              {change(0, 1<<31|48), codec.ReasonFrameSize},
		"bit 30":              {change(0, 1<<30|48), codec.ReasonFrameSize},
		"2 GiB":               {change(0, 0x7ffffffc), codec.ReasonFrameSize},
		"the frame before":    {change(4, 4), codec.ReasonFrameSeq},
		"the frame after":     {change(4, 6), codec.ReasonFrameSeq},
		"the first frame":     {change(4, 1<<32-2), codec.ReasonFrameSeq},
		"a changed body":      {change(20, 1), codec.ReasonFrameSum},
		"a changed checksum":  {change(len(good)-4, 1), codec.ReasonFrameSum},
		"another checksum":    {(&Encoder{place: at(5, true)}).Append(nil, body(9)), codec.ReasonFrameSum},
		"a short length":      {change(0, 44), codec.ReasonFrameSum},
		"nothing":             {good, codec.ReasonNone},
		"16 MiB, to be begun": {change(0, MaxFrame), codec.ReasonNone},
	} {
		for size := range 40 {
			e, d := started(5)
			err := codec.ErrShort
			for rest := e.Flush(bytes.Clone(c.frame), 0); len(rest) > 0 && err == codec.ErrShort; {
				n := min(size+1, len(rest))
				d.Feed(rest[:n])
				rest = rest[n:]
				_, err = d.Next()
			}
			if got := codec.ReasonOf(err, codec.ReasonNone); got != c.want {
				t.Fatalf("%s, pieces of %d: %v, want %v", name, size+1, err, c.want)
			}
			if d.Held() > 2*growSize {
				t.Fatalf("%s holds %d bytes", name, d.Held())
			}
		}
	}
}

// TestEarly checks the small limit of the first two frames, and that nothing but one filler follows in clear.
func TestEarly(t *testing.T) {
	long := body((MaxEarly - Overhead) / 4)
	for i, bodies := range [][][]byte{{long, long, body(1000)}, {append(long, long[:4]...)}, {long, append(long, long[:4]...)}} {
		var r reader
		if err := r.feed(write(bodies, false, false)); (err != nil) != (i > 0) {
			t.Errorf("case %d: %v", i, err)
		}
		if i == 0 {
			same(t, r.bodies, bodies)
		}
	}
	var d Decoder
	d.Feed([]byte{filler, 0, 0, 0})
	if _, err := d.Next(); codec.ReasonOf(err, 0) != codec.ReasonFrameSize {
		t.Errorf("a filler before everything: %v", err)
	}
	first := (&Encoder{}).Append(nil, body(8))
	for name, more := range map[string][]byte{
		"a second frame": (&Encoder{place: place{frames: 1}}).Append(nil, body(8)),
		"two fillers":    append(bytes.Repeat([]byte{filler, 0, 0, 0}, 2), write(someBodies, false, false)[len(first):]...),
	} {
		var r reader
		if err := r.feed(append(bytes.Clone(first), more...)); err == nil {
			t.Errorf("%s in clear passes", name)
		}
	}
}
