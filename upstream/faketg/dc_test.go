package faketg

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"

	"epoxy/codec"
	"epoxy/codec/frame"
	"epoxy/codec/obfs2"
)

// dialled returns an opening for a DC and the client's streams.
func dialled(t codec.Transport, dc codec.DC) (wire []byte, up, down obfs2.Stream) {
	var random [obfs2.InitSize]byte
	counting(random[:])
	init, up, down, ok := obfs2.ClientInit(&random, nil, t, dc)
	if !ok {
		panic("a forbidden start")
	}
	return init[:], up, down
}

var transports = []codec.Transport{codec.Abridged, codec.Intermediate, codec.Padded}

// script is a conversation: an echo, a quick ack, an upload and its confirmation.
func script(t codec.Transport) (clear []byte, answers [][]byte) {
	echo := Command{Op: OpEcho, ID: 1, Size: 600}.Append(nil)
	synced := Command{Op: OpSynced, ID: 1, Value: 40}.Append(nil)
	clear = frame.Append(nil, t, []byte("abcdefghijkl"), []byte("xyz"))
	clear = frame.Append(clear, t, echo, []byte("p"))
	clear = frame.AppendHeader(clear, t, 12, true)
	clear = append(clear, "quick ack me"...)
	clear = frame.Append(clear, t, Command{Op: OpSink, ID: 1, Size: 40}.Append(nil), nil)
	clear = frame.Append(clear, t, Command{Op: OpSync, ID: 1}.Append(nil), nil)
	return clear, [][]byte{[]byte("abcdefghijkl"), echo, nil, []byte("quick ack me"), synced}
}

// checkAnswers reads a whole stream of answers.
func checkAnswers(t *rapid.T, transport codec.Transport, clear []byte, want [][]byte) {
	for i, w := range want {
		a, n, err := frame.NextAnswer(transport, clear)
		switch {
		case err != nil:
			t.Fatalf("answer %d: %v", i, err)
		case !bytes.Equal(a.Body, w):
			t.Fatalf("answer %d is %x, want %x", i, a.Body, w)
		case w == nil && a.Confirm != Confirm([]byte("quick ack me")):
			t.Fatalf("confirm %08x", a.Confirm)
		}
		clear = clear[n:]
	}
	if len(clear) > 0 {
		t.Fatalf("%d bytes too many", len(clear))
	}
}

func TestDCAnswersHoweverTheBytesCome(t *testing.T) {
	for _, transport := range transports {
		wire, up, down := dialled(transport, -4)
		clear, want := script(transport)
		sealed := bytes.Clone(clear)
		up.XOR(sealed, sealed)
		wire = append(wire, sealed...)
		rapid.Check(t, func(t *rapid.T) {
			down := obfsCopy(&down)
			dc := NewDC(counting)
			var out []byte
			for rest := bytes.Clone(wire); len(rest) > 0; {
				n := min(rapid.IntRange(1, 300).Draw(t, "n"), len(rest))
				var err error
				if out, err = dc.Feed(rest[:n], out); err != nil {
					t.Fatal(err)
				}
				rest = rest[n:]
			}
			if dc.DC != -4 || dc.Transport != transport || !bytes.Equal(dc.Init[:], wire[:64]) || dc.Packets != 5 {
				t.Fatalf("opening %+v, %d packets", dc.Opening, dc.Packets)
			}
			down.XOR(out, out)
			checkAnswers(t, transport, out, want)
		})
	}
}

// obfsCopy returns a stream of its own that starts where a cold one does.
func obfsCopy(s *obfs2.Stream) obfs2.Stream { return *s }

func TestDCClosesOnBadOpening(t *testing.T) {
	wire, _, _ := dialled(codec.Padded, 2)
	wire[57] ^= 1
	dc := NewDC(counting)
	if out, err := dc.Feed(wire[:63], nil); len(out) > 0 || err != nil {
		t.Fatalf("63 bytes: %x, %v", out, err)
	}
	if _, err := dc.Feed(wire[63:], nil); err != errOpening {
		t.Errorf("error %v", err)
	}
}

func TestDCRefusesOtherDatacenters(t *testing.T) {
	for id, good := range map[codec.DC]bool{2: true, -2: true, 4: false, 0: false} {
		wire, _, down := dialled(codec.Abridged, id)
		dc := NewDC(counting)
		dc.Only = 2
		out, err := dc.Feed(wire, nil)
		if good {
			if err != nil || len(out) > 0 {
				t.Errorf("%d: %v, answer %x", id, err, out)
			}
			continue
		}
		down.XOR(out, out)
		if err != errOtherDC || string(out) != "\x01\x44\xfe\xff\xff" {
			t.Errorf("%d: %v, answer %x", id, err, out)
		}
	}
}

func TestDCClosesOnBadFrame(t *testing.T) {
	for transport, bad := range map[codec.Transport]string{
		codec.Abridged:     "\x00",
		codec.Intermediate: "\x05\x00\x00\x00",
		codec.Padded:       "\xff\xff\xff\x7f",
	} {
		wire, up, down := dialled(transport, 2)
		clear := frame.Append(nil, transport, []byte("abcd"), nil)
		n := len(clear)
		clear = append(clear, bad...)
		up.XOR(clear, clear)
		dc := NewDC(counting)
		out, err := dc.Feed(append(wire, clear...), nil)
		if codec.ReasonOf(err, codec.ReasonNone) == codec.ReasonNone {
			t.Errorf("%v: error %v", transport, err)
		}
		down.XOR(out, out)
		if a, _, err := frame.NextAnswer(transport, out); err != nil || string(a.Body) != "abcd" {
			t.Errorf("%v: the good packet's answer is %x, %v; it was %d bytes", transport, out, err, n)
		}
	}
}

func TestDCPullsNoMoreThanAsked(t *testing.T) {
	for _, transport := range transports {
		wire, up, down := dialled(transport, 2)
		clear := frame.Append(nil, transport, Command{Op: OpSource, ID: 6, Value: 100_000, Size: 1000}.Append(nil), nil)
		up.XOR(clear, clear)
		dc := NewDC(counting)
		out, err := dc.Feed(append(wire, clear...), nil)
		if len(out) > 0 || err != nil {
			t.Fatalf("%v: %d bytes before Pull, %v", transport, len(out), err)
		}
		var at uint64
		for dc.Left() > 0 {
			out = dc.Pull(out[:0], 10_000)
			if len(out) > 10_000+1100 {
				t.Fatalf("%v: %d bytes at once", transport, len(out))
			}
			down.XOR(out, out)
			for p := out; len(p) > 0; {
				a, n, err := frame.NextAnswer(transport, p)
				if err != nil {
					t.Fatal(err)
				}
				c, head, err := ParseHead(a.Body)
				if err != nil || c.Value != at || !CheckPattern(a.Body[head:], 6, at) {
					t.Fatalf("%v: at %d: %+v, %v", transport, at, c, err)
				}
				at += uint64(c.Size)
				p = p[n:]
			}
		}
		if at != 100_000 {
			t.Errorf("%v: %d bytes", transport, at)
		}
	}
}

func FuzzDC(f *testing.F) {
	for _, transport := range transports {
		clear, _ := script(transport)
		f.Add(byte(transport), clear, 7)
	}
	f.Fuzz(func(t *testing.T, kind byte, clear []byte, step int) {
		wire, up, _ := dialled(transports[int(kind)%len(transports)], 1)
		sealed := bytes.Clone(clear)
		up.XOR(sealed, sealed)
		wire = append(wire, sealed...)
		whole, parts := NewDC(counting), NewDC(counting)
		want, wantErr := whole.Feed(bytes.Clone(wire), nil)
		var got []byte
		var err error
		for step = max(step, 1); len(wire) > 0 && err == nil; {
			n := min(step, len(wire))
			got, err = parts.Feed(wire[:n:n], got)
			wire = wire[n:]
		}
		if err != wantErr || !bytes.Equal(got, want) {
			t.Fatalf("cut: %x, %v; whole: %x, %v", got, err, want, wantErr)
		}
		if len(want) > 2*len(clear)+4096 {
			t.Fatalf("%d bytes for %d", len(want), len(clear))
		}
	})
}

func TestDCAllocatesNothing(t *testing.T) {
	for _, transport := range transports {
		wire, up, _ := dialled(transport, 2)
		dc := NewDC(counting)
		if _, err := dc.Feed(wire, nil); err != nil {
			t.Fatal(err)
		}
		packet := frame.Append(nil, transport, Command{Op: OpEcho, Size: 172}.Append(nil), nil)
		source := frame.Append(nil, transport, Command{Op: OpSource, Value: 1 << 40, Size: 1000}.Append(nil), nil)
		in, out := make([]byte, len(packet)), make([]byte, 0, 8192)
		up.XOR(in, packet)
		dc.in.XOR(in, in) // both live now
		up.XOR(source, source)
		if _, err := dc.Feed(source, out); err != nil {
			t.Fatal(err)
		}
		got := testing.AllocsPerRun(50, func() {
			up.XOR(in, packet)
			if answer, err := dc.Feed(in, out[:0]); err != nil || len(answer) < 200 {
				t.Fatalf("%v: %d bytes, %v", transport, len(answer), err)
			}
			if answer := dc.Pull(out[:0], 4000); len(answer) < 4000 {
				t.Fatalf("%v: %d bytes", transport, len(answer))
			}
		})
		if got > 0 {
			t.Errorf("%v: %v allocations", transport, got)
		}
	}
}
