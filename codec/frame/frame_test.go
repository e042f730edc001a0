package frame

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"testing"

	"pgregory.net/rapid"

	"epoxy/codec"
)

var transports = map[string]codec.Transport{
	"abridged": codec.Abridged, "intermediate": codec.Intermediate, "padded": codec.Padded,
}

type vectors struct {
	Framing []struct {
		Transport string
		Size      int    `json:"payload_len"`
		Label     string `json:"payload_label"`
		Quick     bool   `json:"quick_ack"`
		Pad       int
		WireLen   int    `json:"wire_len"`
		Head      string `json:"wire_head"`
		SHA256    string `json:"wire_sha256"`
		Delivered int    `json:"delivered_len"`
	}
	Bad []struct{ Transport, Wire, Expect string }
}

func load(t testing.TB) (v vectors) {
	t.Helper()
	text, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	if len(v.Framing) == 0 || len(v.Bad) == 0 {
		t.Fatal("a part of the vectors is missing")
	}
	return v
}

// chain is the filler of the vectors.
func chain(label string, n int) (out []byte) {
	for i := 0; len(out) < n; i++ {
		sum := sha256.Sum256(fmt.Appendf(nil, "h1-vector/%s/%d", label, i))
		out = append(out, sum[:]...)
	}
	return out[:n]
}

func unhex(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestVectors(t *testing.T) {
	for _, v := range load(t).Framing {
		transport := transports[v.Transport]
		body, pad := chain(v.Label, v.Size), chain("fp", v.Pad)
		wire := AppendHeader(nil, transport, len(body)+len(pad), v.Quick)
		if n := HeaderSize(transport, len(body)+len(pad)); n != len(wire) {
			t.Errorf("%s: HeaderSize = %d, want %d", v.Label, n, len(wire))
		}
		wire = append(append(wire, body...), pad...)
		if sum := sha256.Sum256(wire); len(wire) != v.WireLen || hex.EncodeToString(sum[:]) != v.SHA256 {
			t.Errorf("%s, pad %d: wrote %x..., want %s...", v.Label, v.Pad, wire[:5], v.Head)
		}
		if !v.Quick && !bytes.Equal(Append(nil, transport, body, pad), wire) {
			t.Errorf("%s, pad %d: Append differs from AppendHeader", v.Label, v.Pad)
		}
		packet, n, err := Next(transport, append(wire, "next"...))
		if err != nil || n != len(wire) || packet.Quick != v.Quick || len(packet.Body) != v.Delivered ||
			!bytes.Equal(packet.Body, append(body, pad...)[:v.Delivered]) {
			t.Errorf("%s, pad %d: read %d of %d bytes, quick %v, %v", v.Label, v.Pad, len(packet.Body), n, packet.Quick, err)
		}
		for cut := range wire { // the prefix loop
			if packet, n, err := Next(transport, wire[:cut]); err != codec.ErrShort || n != 0 || packet.Body != nil {
				t.Fatalf("%s: %d bytes give %d, %v", v.Label, cut, n, err)
			}
		}
	}
}

func TestBadVectors(t *testing.T) {
	for _, v := range load(t).Bad {
		packet, n, err := Next(transports[v.Transport], unhex(t, v.Wire))
		if err == nil || err == codec.ErrShort || n != 0 || packet.Body != nil {
			t.Errorf("%s %s (%s): %d, %v", v.Transport, v.Wire, v.Expect, n, err)
		}
	}
}

func TestReasons(t *testing.T) {
	for _, c := range []struct {
		t    codec.Transport
		wire string
		want codec.Reason
	}{
		{codec.Abridged, "00", codec.ReasonPacketZero},
		{codec.Abridged, "80", codec.ReasonPacketZero},
		{codec.Abridged, "7f000000", codec.ReasonPacketZero},
		{codec.Abridged, "7f7e0000", codec.ReasonPacketOverlong},
		{codec.Abridged, "ff010000", codec.ReasonPacketOverlong},
		{codec.Abridged, "7fffffff", codec.ReasonPacketSize},
		{codec.Abridged, "7f010004", codec.ReasonPacketSize},
		{codec.Intermediate, "00000000", codec.ReasonPacketZero},
		{codec.Intermediate, "00000080", codec.ReasonPacketZero},
		{codec.Intermediate, "29000000", codec.ReasonPacketAlign},
		{codec.Intermediate, "04001000", codec.ReasonPacketSize},
		{codec.Intermediate, "6cfeffff", codec.ReasonPacketSize},
		{codec.Padded, "00000000", codec.ReasonPacketZero},
		{codec.Padded, "03000080", codec.ReasonPacketZero},
		{codec.Padded, "04001000", codec.ReasonPacketSize},
		{codec.Padded, "6cfeffff", codec.ReasonPacketSize},
		{codec.TransportNone, "01000000", codec.ReasonBadTag},
		{codec.Abridged, "7f000004", codec.ReasonNone}, // 1 MiB exactly: only short
		{codec.Intermediate, "00001000", codec.ReasonNone},
		{codec.Padded, "03001000", codec.ReasonNone},
	} {
		_, _, err := Next(c.t, unhex(t, c.wire))
		if got := codec.ReasonOf(err, codec.ReasonNone); got != c.want || (c.want == codec.ReasonNone) != (err == codec.ErrShort) {
			t.Errorf("%v %s: %v, want %v", c.t, c.wire, err, c.want)
		}
	}
}

// A05: 64 bytes pass, a packet of 1 MiB + 1 KiB is refused by its header.
func TestPacketTooLarge(t *testing.T) {
	for _, transport := range transports {
		wire := Append(nil, transport, make([]byte, 64), nil)
		if packet, n, err := Next(transport, wire); err != nil || n != len(wire) || len(packet.Body) != 64 {
			t.Errorf("%v: 64 bytes: %v", transport, err)
		}
		wire = AppendHeader(nil, transport, 1<<20+1<<10, false)
		if _, n, err := Next(transport, wire); codec.ReasonOf(err, 0) != codec.ReasonPacketSize || n != 0 {
			t.Errorf("%v: 1 MiB + 1 KiB: %v", transport, err)
		}
		wire = Append(nil, transport, make([]byte, MaxPacket), nil)
		if packet, _, err := Next(transport, wire); err != nil || len(packet.Body) != MaxPacket {
			t.Errorf("%v: 1 MiB: %v", transport, err)
		}
	}
}

// A59: no bytes are an incomplete packet.
func TestNothing(t *testing.T) {
	for _, transport := range transports {
		if _, n, err := Next(transport, nil); err != codec.ErrShort || n != 0 {
			t.Errorf("%v: %d, %v", transport, n, err)
		}
	}
}

func TestAllocations(t *testing.T) {
	body, pad := make([]byte, 1000), make([]byte, 3)
	dst := make([]byte, 0, 2000)
	for _, transport := range transports {
		allocs := testing.AllocsPerRun(100, func() {
			wire := AppendQuickAck(Append(dst, transport, body, pad), transport, 1<<31)
			if _, _, err := Next(transport, wire); err != nil {
				t.Error(err)
			}
			_, _, _ = Next(transport, wire[1:]) // mostly a fault
			_, _, _ = NextAnswer(transport, wire)
		})
		if allocs != 0 {
			t.Errorf("%v: %v allocations", transport, allocs)
		}
	}
}

// bodies are packets of 4..800 bytes, longer ones at times.
var bodies = rapid.Custom(func(t *rapid.T) []byte {
	body := rapid.SliceOfN(rapid.Byte(), 4, 800).Draw(t, "body")
	body = bytes.Repeat(body, rapid.SampledFrom([]int{1, 1, 1, 20}).Draw(t, "times"))
	return body[:len(body)&^3]
})

// A27, A45: a packet encodes and decodes to itself. A28, A46: a list of them does. A47: and with padding. A02: and
// many stay in their order.
func TestStream(t *testing.T) {
	for name, transport := range transports {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				packets := rapid.SliceOfN(bodies, 1, 15).Draw(t, "packets")
				pad := rapid.SliceOfN(rapid.Byte(), 0, MaxServerPadding).Draw(t, "padding")
				var wire []byte
				for _, body := range packets {
					wire = Append(wire, transport, body, pad)
				}
				for _, body := range packets {
					packet, n, err := Next(transport, wire)
					if err != nil || packet.Quick || !bytes.Equal(packet.Body, body) {
						t.Fatalf("got %x, %v, want %x", packet.Body, err, body)
					}
					wire = wire[n:]
				}
				if len(wire) != 0 {
					t.Fatalf("%d bytes are left", len(wire))
				}
			})
		})
	}
}

func FuzzNext(f *testing.F) {
	for _, v := range load(f).Framing {
		transport := transports[v.Transport]
		f.Add(uint8(transport), Append(nil, transport, chain(v.Label, v.Size), chain("fp", v.Pad)))
	}
	for _, v := range load(f).Bad {
		f.Add(uint8(transports[v.Transport]), unhex(f, v.Wire))
	}
	f.Fuzz(func(t *testing.T, number uint8, p []byte) {
		transport := codec.Transport(number % 4)
		packet, n, err := Next(transport, p)
		if err != nil {
			if n != 0 || packet.Body != nil {
				t.Errorf("an error took %d bytes", n)
			}
			return
		}
		if n > len(p) || len(packet.Body) == 0 || len(packet.Body) > MaxPacket || len(packet.Body)%4 != 0 {
			t.Fatalf("a body of %d in %d of %d bytes", len(packet.Body), n, len(p))
		}
		head := HeaderSize(transport, n-1)
		length := n - head
		if transport == codec.Padded || transport == codec.Intermediate {
			head, length = 4, n-4
		}
		if wire := AppendHeader(nil, transport, length, packet.Quick); !bytes.Equal(wire, p[:head]) {
			t.Errorf("the header is %x, we write %x", p[:head], wire)
		}
		for cut := range min(n, 64) {
			if _, _, err := Next(transport, p[:cut]); err != codec.ErrShort {
				t.Errorf("%d of %d bytes: %v", cut, n, err)
			}
		}
	})
}
