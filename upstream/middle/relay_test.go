package middle

import (
	"bytes"
	"testing"
	"unsafe"

	"epoxy/codec"
	"epoxy/codec/frame"
	"epoxy/codec/rpc"
)

var transports = []codec.Transport{codec.Abridged, codec.Intermediate, codec.Padded}

// What an idle client costs beside its session.
func TestSize(t *testing.T) {
	if n := unsafe.Sizeof(Stream{}); n > 112 {
		t.Fatalf("a stream takes %d bytes, more than 112", n)
	}
}

// B14: a quick ack comes back in each framing, in its place among the answers. The request carries addresses, flags
// and tag as they should be.
func TestRelay(t *testing.T) {
	tag := rpc.Tag{1, 2, 3}
	for _, transport := range transports {
		for _, crc32c := range []bool{true, false} {
			w := newWorld(t, oneAddr, Options{Tag: &tag, Index: 3})
			c := w.open(2, transport)
			w.meet()
			w.peers[0].crc32c = crc32c
			p := w.up()[0]
			if err := w.ping(c, 1); err != nil {
				t.Fatalf("%v: %v", transport, err)
			}
			q := p.queries[0]
			if got, ok := q.Tag(); !ok || got != tag {
				t.Errorf("%v: tag %v, %v", transport, got, ok)
			}
			if a := q.Client.AddrPort().String(); a != "198.51.100.7:50000" {
				t.Errorf("%v: client %s", transport, a)
			}
			if a := q.Proxy.AddrPort().String(); a != "192.0.2.200:443" {
				t.Errorf("%v: proxy %s", transport, a)
			}
			if q.ID>>56 != 3 || q.Flags&rpc.FlagQuickAck != 0 {
				t.Errorf("%v: id %x, flags %x", transport, q.ID, q.Flags)
			}
			p = w.peerOf(c)
			body := packet(2, 64)
			wire := frame.AppendHeader(nil, transport, len(body), true)
			c.s.Send(append(wire, body...))
			w.turn()
			if q := p.queries[len(p.queries)-1]; q.Flags&rpc.FlagQuickAck == 0 {
				t.Errorf("%v: flags %x without quick ack", transport, q.Flags)
			}
			had := c.delivers
			p.send(rpc.AppendAnswer(nil, 0, c.id(), packet(3, 32)),
				rpc.AppendSimpleAck(nil, c.id(), 1<<31|77),
				rpc.AppendAnswer(nil, 0, c.id(), packet(4, 4000)))
			if len(c.acks) != 1 || c.acks[0] != 1<<31|77 || len(c.got) != 3 || !bytes.Equal(c.got[2], packet(4, 4000)) {
				t.Errorf("%v: acks %x, %d answers", transport, c.acks, len(c.got))
			}
			if c.delivers != had+1 {
				t.Errorf("%v: %d Delivers for one read", transport, c.delivers-had)
			}
		}
	}
}

// A client's bytes may come cut anywhere; the middle proxy gets the same packets.
func TestEveryCut(t *testing.T) {
	for _, transport := range transports {
		var wire []byte
		for i := range 3 {
			wire = frame.Append(wire, transport, packet(i, 40+600*i), []byte{1, 2, 3}[:i])
		}
		for cut := 1; cut < len(wire); cut += 1 + cut/16 {
			w := newWorld(t, oneAddr, Options{})
			c := w.open(2, transport)
			w.up()
			p := w.peerOf(c)
			c.s.Send(bytes.Clone(wire[:cut]))
			for _, b := range wire[cut:min(cut+9, len(wire))] {
				c.s.Send([]byte{b})
			}
			c.s.Send(bytes.Clone(wire[min(cut+9, len(wire)):]))
			if writes := p.socket.Writes; writes != 2 {
				t.Fatalf("%d writes before the turn", writes)
			}
			w.turn()
			if p.socket.Writes != 3 || len(p.queries) != 3 {
				t.Fatalf("%v, cut %d: %d writes, %d packets", transport, cut, p.socket.Writes, len(p.queries))
			}
			for i, q := range p.queries {
				if !bytes.Equal(q.Packet, packet(i, 40+600*i)) {
					t.Fatalf("%v, cut %d: packet %d differs", transport, cut, i)
				}
			}
			if w.r.Waiting() != 0 {
				t.Fatalf("%d bytes wait", w.r.Waiting())
			}
		}
	}
}

// A bad frame, and three packets that no app sends, each close the client with a reason.
func TestBadPackets(t *testing.T) {
	w := newWorld(t, oneAddr, Options{})
	bad := w.open(2, codec.Intermediate)
	odd := w.open(2, codec.Intermediate)
	w.up()
	bad.s.Send([]byte{3, 0, 0, 0, 1, 2, 3})
	w.turn()
	if bad.ends != 1 || bad.why != codec.ReasonPacketAlign {
		t.Errorf("a bad frame: ended %d times by %v", bad.ends, bad.why)
	}
	for i := range 3 {
		if odd.ends != 0 {
			t.Fatalf("ended after %d packets", i)
		}
		odd.send(make([]byte, 40)) // auth key 0, no call
		w.turn()
	}
	if odd.ends != 1 || odd.why != codec.ReasonPacketShape || w.r.Count.Dropped != 3 {
		t.Errorf("odd packets: ended %d times by %v, %d dropped", odd.ends, odd.why, w.r.Count.Dropped)
	}
	if n := w.r.Count.Streams; n != 0 {
		t.Errorf("%d streams are left", n)
	}
}

// A client that goes is told to the middle proxy once it has sent something, and its id is never used again.
func TestClientLeaves(t *testing.T) {
	w := newWorld(t, oneAddr, Options{})
	mute, spoke, fin := w.open(2, codec.Padded), w.open(2, codec.Padded), w.open(2, codec.Padded)
	w.up()
	for i, c := range []*client{spoke, fin} {
		if err := w.ping(c, i); err != nil {
			t.Fatal(err)
		}
	}
	p, id, finID := w.peerOf(spoke), spoke.id(), fin.id()
	finPeer := w.peerOf(fin)
	mute.s.Close(codec.ReasonIdle)
	spoke.s.Close(codec.ReasonIdle)
	fin.s.CloseSend()
	if fin.ends != 0 {
		t.Fatal("the sink was called back from CloseSend")
	}
	w.turn()
	if len(p.closes) == 0 || p.closes[0] != id || finPeer.closes[len(finPeer.closes)-1] != finID {
		t.Fatalf("closed %x and %x", p.closes, finPeer.closes)
	}
	if mute.ends+spoke.ends != 0 || fin.ends != 1 || fin.why != codec.ReasonClientClosed {
		t.Fatalf("ends: %d %d %d", mute.ends, spoke.ends, fin.ends)
	}
	next := w.open(2, codec.Padded)
	if next.id() == id || next.id() == finID {
		t.Fatal("an id is used again")
	}
	spoke.s.Send([]byte("dead"))
	spoke.s.Pause()
	spoke.s.Resume()
	spoke.s.CloseSend()
	spoke.s.Close(codec.ReasonIdle)
	if spoke.s.Queued() != 0 || w.r.Count.Streams != 1 {
		t.Fatalf("a dead stream queues %d, %d streams", spoke.s.Queued(), w.r.Count.Streams)
	}
}

// A10: the error that shows a proxy is kept back, when it is the first answer.
func TestFilter(t *testing.T) {
	notFound := []byte{0x6c, 0xfe, 0xff, 0xff}
	for filter, want := range map[Filter]int{FilterFirst: 2, FilterOff: 3, FilterOn: 1} {
		w := newWorld(t, oneAddr, Options{Filter: filter})
		c := w.open(2, codec.Padded)
		w.up()
		p := w.peerOf(c)
		p.answer(c.id(), notFound)
		p.answer(c.id(), packet(1, 32))
		p.answer(c.id(), notFound)
		if len(c.got) != want || w.r.Count.Filtered != uint64(3-want) {
			t.Errorf("filter %d: %d answers, want %d; %d filtered", filter, len(c.got), want, w.r.Count.Filtered)
		}
	}
}

// Answers of any length arrive whole, also in a link's read that is cut anywhere.
func TestLongAnswers(t *testing.T) {
	for _, transport := range transports {
		w := newWorld(t, oneAddr, Options{})
		c := w.open(2, transport)
		w.up()
		p := w.peerOf(c)
		sizes := []int{4, 0x7e * 4, 0x7f * 4, 60_000, deliverMost - 24, deliverMost, 1 << 20, 3 << 20}
		for i, size := range sizes {
			wire := p.frames(rpc.AppendAnswer(nil, 0, c.id(), packet(i, max(size, 28))[:size]))
			for len(wire) > 0 {
				n := min(len(wire), 100_000+i)
				p.data(bytes.Clone(wire[:n]))
				wire = wire[n:]
			}
			if len(c.got) != i+1 || !bytes.Equal(c.got[i], packet(i, max(size, 28))[:size]) {
				t.Fatalf("%v: answer of %d bytes, %d came", transport, size, len(c.got))
			}
		}
	}
}
