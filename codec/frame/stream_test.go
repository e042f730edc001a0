package frame_test

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"

	"epoxy/codec"
	"epoxy/codec/frame"
	"epoxy/codec/obfs2"
)

// end is one end of a connection: packets over obfuscated2, read from pieces of any size.
type end struct {
	transport codec.Transport
	in, out   obfs2.Stream
	partial   []byte // clear bytes without a whole packet
}

// connect opens a connection and returns both ends.
func connect(t *rapid.T) (client, server *end) {
	random := [64]byte(rapid.SliceOfN(rapid.Byte(), 64, 64).Filter(func(p []byte) bool { return !obfs2.Forbidden(p) }).Draw(t, "random"))
	secret := codec.Key(rapid.SliceOfN(rapid.Byte(), codec.KeySize, codec.KeySize).Draw(t, "secret"))
	transport := rapid.SampledFrom([]codec.Transport{codec.Padded, codec.Intermediate, codec.Abridged}).Draw(t, "transport")
	wire, up, down, ok := obfs2.ClientInit(&random, &secret, transport, 2)
	if !ok {
		t.Fatal("ClientInit refused the random bytes")
	}
	got, _, ok := obfs2.Match(wire[:], &secret)
	if !ok || got != transport {
		t.Fatalf("Match = %v, %v", got, ok)
	}
	in, out := obfs2.Accept(wire[:], &secret)
	return &end{transport: transport, in: down, out: up}, &end{transport: transport, in: in, out: out}
}

// send returns the encrypted bytes of packets.
func (e *end) send(t *rapid.T, packets [][]byte) (wire []byte) {
	for _, body := range packets {
		pad := rapid.SliceOfN(rapid.Byte(), 0, frame.MaxServerPadding).Draw(t, "padding")
		wire = frame.Append(wire, e.transport, body, pad)
	}
	e.out.XOR(wire, wire)
	return wire
}

// receive takes wire in pieces and returns the packets.
func (e *end) receive(t *rapid.T, wire []byte) (packets [][]byte) {
	for len(wire) > 0 {
		piece := wire[:min(len(wire), rapid.IntRange(1, 400).Draw(t, "piece"))]
		wire = wire[len(piece):]
		e.in.XOR(piece, piece)
		e.partial = append(e.partial, piece...)
		for {
			packet, n, err := frame.Next(e.transport, e.partial)
			if err == codec.ErrShort {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			packets = append(packets, bytes.Clone(packet.Body))
			e.partial = e.partial[n:]
		}
	}
	return packets
}

func drawPackets(t *rapid.T) [][]byte {
	body := rapid.Map(rapid.SliceOfN(rapid.Byte(), 4, 700), func(b []byte) []byte { return b[:len(b)&^3] })
	return rapid.SliceOfN(body, 1, 6).Draw(t, "packets")
}

func equal(a, b [][]byte) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !bytes.Equal(a[i], b[i]) {
			return false
		}
	}
	return true
}

// A30: packets survive any cutting of the stream.
// A31, A32: and go to the server and come back, once and many times.
func TestObfuscatedDuplex(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		client, server := connect(t)
		for range rapid.IntRange(1, 6).Draw(t, "rounds") {
			packets := drawPackets(t)
			there := server.receive(t, client.send(t, packets))
			if !equal(there, packets) {
				t.Fatalf("the server got %x, want %x", there, packets)
			}
			back := client.receive(t, server.send(t, there))
			if !equal(back, packets) {
				t.Fatalf("the client got %x, want %x", back, packets)
			}
		}
		if len(client.partial)+len(server.partial) != 0 {
			t.Fatal("bytes are left")
		}
	})
}

// A30: every cut point of one small stream, not only drawn ones.
func TestEveryCut(t *testing.T) {
	body := []byte("eight by")
	for _, transport := range []codec.Transport{codec.Abridged, codec.Intermediate, codec.Padded} {
		wire := frame.Append(frame.Append(nil, transport, body, []byte{1}), transport, body, nil)
		for cut := range wire {
			var partial []byte
			count := 0
			for _, piece := range [][]byte{wire[:cut], wire[cut:]} {
				partial = append(partial, piece...)
				for {
					packet, n, err := frame.Next(transport, partial)
					if err != nil {
						break
					}
					if !bytes.Equal(packet.Body, body) {
						t.Fatalf("%v, cut at %d: %q", transport, cut, packet.Body)
					}
					partial = partial[n:]
					count++
				}
			}
			if count != 2 || len(partial) != 0 {
				t.Errorf("%v, cut at %d: %d packets, %d bytes left", transport, cut, count, len(partial))
			}
		}
	}
}

// Size tells a packet's length from its header, before the rest of it came.
func TestSize(t *testing.T) {
	for _, transport := range []codec.Transport{codec.Abridged, codec.Intermediate, codec.Padded} {
		for _, length := range []int{4, 0x7e * 4, 0x7f * 4, frame.MaxPacket} {
			wire := frame.Append(nil, transport, make([]byte, length), nil)
			head := frame.HeaderSize(transport, length)
			for cut := range head {
				if _, err := frame.Size(transport, wire[:cut]); err != codec.ErrShort {
					t.Errorf("%v, %d of %d header bytes: %v", transport, cut, head, err)
				}
			}
			if n, err := frame.Size(transport, wire[:head]); n != len(wire) || err != nil {
				t.Errorf("%v, %d bytes: size %d, %v", transport, length, n, err)
			}
		}
		bad := frame.AppendHeader(nil, transport, frame.MaxPacket+4, false)
		if _, err := frame.Size(transport, bad); codec.ReasonOf(err, 0) != codec.ReasonPacketSize {
			t.Errorf("%v: a huge packet: %v", transport, err)
		}
	}
}
