package doctor

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"
	"time"

	"epoxy/codec"
	"epoxy/codec/frame"
	"epoxy/codec/obfs2"
)

// The first exchange of MTProto's key creation, in clear inside the obfuscation (spec client-protocols 13.5):
//
//	0 u64 | message id u64le | length u32le | req_pq_multi u32le | nonce 16
//	0 u64 | message id u64le | length u32le | resPQ u32le | nonce 16 | ...
const (
	reqPQMulti = 0xbe7e8ef1
	resPQ      = 0x05162463
	plainHead  = 20
	nonceAt    = plainHead + 4
	maxAnswer  = 4 << 10
)

// question asks a datacenter for a resPQ.
func (d *doctor) question(ctx context.Context, w way, dc codec.DC, to netip.AddrPort) (connected, answered time.Duration, t *trouble) {
	r, t := d.reach(ctx, w, to)
	if t != nil {
		return 0, 0, t
	}
	defer r.Close()
	defer context.AfterFunc(ctx, func() { r.Close() })()
	start := d.Now()
	var random, wire [obfs2.InitSize]byte
	var up, down obfs2.Stream
	for ok := false; !ok; {
		d.Rand(random[:])
		wire, up, down, ok = obfs2.ClientInit(&random, nil, codec.Intermediate, dc)
	}
	var nonce [16]byte
	d.Rand(nonce[:])
	now := d.Now()
	le := binary.LittleEndian
	ask := le.AppendUint64(make([]byte, 8), uint64(now.Unix())<<32|uint64(now.Nanosecond())&^3)
	ask = le.AppendUint32(le.AppendUint32(ask, 4+uint32(len(nonce))), reqPQMulti)
	packet := frame.Append(nil, codec.Intermediate, append(ask, nonce[:]...), nil)
	up.XOR(packet, packet)
	if _, err := r.Write(append(wire[:], packet...)); err != nil {
		return 0, 0, unanswered(err)
	}
	var in []byte
	var buf [maxAnswer]byte
	for len(in) < maxAnswer {
		n, err := r.Read(buf[:])
		down.XOR(buf[:n], buf[:n])
		in = append(in, buf[:n]...)
		answer, _, short := frame.NextAnswer(codec.Intermediate, in)
		switch {
		case short == nil:
			return r.took, d.Now().Sub(start), judgeAnswer(answer.Body, nonce[:])
		case short != codec.ErrShort:
			return 0, 0, judgeAnswer(nil, nil)
		case err != nil && len(in) == 0:
			return 0, 0, unanswered(err)
		case err != nil:
			return 0, 0, judgeAnswer(nil, nil)
		}
	}
	return 0, 0, judgeAnswer(nil, nil)
}

// unanswered words a connection without an answer.
func unanswered(err error) *trouble {
	what := silent(err)
	if what == "no answer in time" {
		return &trouble{"dc_deaf", "connected, and no answer came", "something on the way swallows what looks like no known protocol, or the datacenter has a fault; try another network, or --upstream-proxy"}
	}
	return &trouble{"dc_closed", "connected, and instead of an answer: " + what, "something on the way cuts what looks like no known protocol, or that is no datacenter; check --dc, or go through --upstream-proxy"}
}

// judgeAnswer says what is wrong with a whole answer.
func judgeAnswer(body, nonce []byte) *trouble {
	if code, ok := frame.TransportError(body); ok {
		t := &trouble{"dc_refused", fmt.Sprintf("it answers with the transport error %d", code), "check --dc: an address must belong to its datacenter"}
		if code == frame.ErrorBadDC {
			t.name, t.what = "dc_other", "another datacenter answers there (error -444)"
		}
		return t
	}
	if len(body) >= nonceAt+len(nonce) && nonce != nil && binary.LittleEndian.Uint32(body[plainHead:]) == resPQ && bytes.Equal(body[nonceAt:nonceAt+len(nonce)], nonce) {
		return nil
	}
	return &trouble{"dc_foreign", "what answers is no datacenter", "check --dc, and whether something on the way redirects connections"}
}
