package frame

import (
	"bytes"
	"encoding/hex"
	"testing"

	"epoxy/codec"
)

func TestQuickAck(t *testing.T) {
	for transport, want := range map[codec.Transport]string{
		codec.Abridged: "91a2b3c4", codec.Intermediate: "c4b3a291", codec.Padded: "c4b3a291",
	} {
		wire := AppendQuickAck(nil, transport, 0x91a2b3c4)
		if hex.EncodeToString(wire) != want {
			t.Errorf("%v: %x, want %s", transport, wire, want)
		}
		answer, n, err := NextAnswer(transport, append(wire, 1, 2))
		if err != nil || n != 4 || answer.Body != nil || answer.Confirm != 0x91a2b3c4 {
			t.Errorf("%v: %+v, %d, %v", transport, answer, n, err)
		}
		for cut := range 4 {
			if _, n, err := NextAnswer(transport, wire[:cut]); err != codec.ErrShort || n != 0 {
				t.Errorf("%v: %d bytes give %v", transport, cut, err)
			}
		}
	}
}

func TestNextAnswer(t *testing.T) {
	body := bytes.Repeat([]byte{0xff}, 600)
	for _, transport := range transports {
		wire := Append(nil, transport, body, []byte{0xff})
		answer, n, err := NextAnswer(transport, wire)
		if err != nil || n != len(wire) || !bytes.Equal(answer.Body, body) || answer.Confirm != 0 {
			t.Errorf("%v: %d, %v", transport, n, err)
		}
		for cut := range wire {
			if _, n, err := NextAnswer(transport, wire[:cut]); err != codec.ErrShort || n != 0 {
				t.Errorf("%v: %d bytes give %v", transport, cut, err)
			}
		}
		if _, _, err := NextAnswer(transport, Append(nil, transport, make([]byte, MaxAnswer), nil)); err != nil {
			t.Errorf("%v: a long answer: %v", transport, err)
		}
		_, _, err = NextAnswer(transport, AppendHeader(nil, transport, MaxAnswer+4, false))
		if codec.ReasonOf(err, 0) != codec.ReasonPacketSize {
			t.Errorf("%v: a too long answer: %v", transport, err)
		}
	}
}

func TestTransportError(t *testing.T) {
	for text, want := range map[string]int32{
		"6cfeffff": ErrorNotFound, "53feffff": ErrorFlood, "44feffff": ErrorBadDC, "00000000": Nop,
	} {
		for _, transport := range transports {
			packet, _, err := Next(transport, Append(nil, transport, unhex(t, text), []byte{1, 2, 3}))
			if code, ok := TransportError(packet.Body); err != nil || !ok || code != want {
				t.Errorf("%v %s: %d, %v, %v", transport, text, code, ok, err)
			}
		}
	}
	for _, body := range [][]byte{nil, make([]byte, 3), make([]byte, 8)} {
		if _, ok := TransportError(body); ok {
			t.Errorf("%d bytes are an error", len(body))
		}
	}
}
