package split

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"

	wire "epoxy/codec/split"
)

func newOutbox() *outbox {
	o := &outbox{}
	o.init()
	return o
}

// drainAll pulls everything and returns the frames.
func drainAll(t interface{ Fatal(...any) }, o *outbox) (all []wire.Frame) {
	var out []byte
	for o.load.Load() > 0 {
		var ok bool
		if out, _, ok = o.pull(out); !ok {
			t.Fatal("closed")
		}
	}
	for len(out) > 0 {
		f, n, err := wire.Next(out)
		if err != nil {
			t.Fatal(err)
		}
		all, out = append(all, f), out[n:]
	}
	return all
}

// Control overtakes data; each stream's frames keep their order, and nothing is lost or made up. Between two turns of a stream
// that has something to send no other gets more than two quanta.
func TestOutboxOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := newOutbox()
		n := rapid.IntRange(1, 6).Draw(t, "streams")
		qs, want := make([]outq, n), make([]int, n)
		for range rapid.IntRange(1, 60).Draw(t, "puts") {
			i := rapid.IntRange(0, n-1).Draw(t, "stream")
			size := rapid.IntRange(1, 60_000).Draw(t, "size")
			packet := make([]byte, size)
			for j := range packet {
				packet[j] = byte(want[i] + j)
			}
			want[i] += size
			o.put(&qs[i], wire.AppendData(nil, uint32(i+1), 0, packet, fragment))
		}
		o.urgent(wire.AppendPing(nil, wire.TypePing, 7))
		all := drainAll(t, o)
		if all[0].Type != wire.TypePing {
			t.Fatalf("first came %d", all[0].Type)
		}
		got := make([]int, n)
		between := make([][]int, n) // bytes of each other stream since this one's last frame
		for i := range between {
			between[i] = make([]int, n)
		}
		for _, f := range all[1:] {
			i := int(f.Stream - 1)
			for j, b := range f.Payload {
				if b != byte(got[i]+j) {
					t.Fatalf("stream %d: other bytes", f.Stream)
				}
			}
			got[i] += len(f.Payload)
			clear(between[i])
			for k := range n {
				if k == i || got[k] == want[k] {
					continue
				}
				if between[k][i] += len(f.Payload); between[k][i] > 2*quantum {
					t.Fatalf("stream %d got %d bytes while %d waited", i+1, between[k][i], k+1)
				}
			}
		}
		for i := range n {
			if got[i] != want[i] {
				t.Fatalf("stream %d: %d bytes, want %d", i+1, got[i], want[i])
			}
		}
	})
}

// Ids rise, whoever asks, and tell the loop.
func TestOutboxIDs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := newOutbox()
		loops := rapid.Uint32Range(1, 9).Draw(t, "loops")
		var last uint32
		for range 50 {
			i := rapid.Uint32Range(0, loops-1).Draw(t, "loop")
			id := o.open((&wire.Open{Transport: 1}).Append(nil, 0), i, loops)
			if id <= last || id%loops != i || id > last+loops {
				t.Fatalf("%d after %d for loop %d of %d", id, last, i, loops)
			}
			last = id
		}
	})
	o := newOutbox()
	o.lastID = wire.MaxStream
	if id := o.open((&wire.Open{Transport: 1}).Append(nil, 0), 0, 1); id != 0 {
		t.Errorf("%d behind the last", id)
	}
}

// What is discarded does not go out, what others put does.
func TestOutboxDiscard(t *testing.T) {
	o := newOutbox()
	var qs [3]outq
	for i := range qs {
		o.put(&qs[i], wire.AppendData(nil, uint32(i+1), 0, make([]byte, 40_000), fragment))
	}
	o.discard(&qs[1])
	o.discard(&qs[1])
	o.put(&qs[1], wire.AppendClose(nil, 2, wire.WhySlow))
	var n [4]int
	for _, f := range drainAll(t, o) {
		n[f.Stream] += len(f.Payload)
	}
	if n != [4]int{0, 40_000, 2, 40_000} || o.size != 0 || o.first != nil || o.last != nil {
		t.Errorf("%v, %d left", n, o.size)
	}
}

// Above 8 MiB loops are told to wait, at 4 MiB to go on, and above the hard limit the link ends.
func TestOutboxFull(t *testing.T) {
	o := newOutbox()
	var q outq
	piece := wire.AppendData(nil, 1, 0, make([]byte, fragment), fragment)
	for o.size+len(piece) <= queueHigh {
		if o.put(&q, piece) {
			t.Fatalf("full at %d", o.size)
		}
	}
	if !o.put(&q, piece) {
		t.Fatalf("not full at %d", o.size)
	}
	for {
		_, drained, ok := o.pull(nil)
		if !ok {
			t.Fatal("closed")
		}
		if drained != (o.size <= queueLow) {
			t.Fatalf("drained %v at %d", drained, o.size)
		}
		if drained {
			break
		}
	}
	for range queueHard/len(piece) + 1 {
		o.put(&q, piece)
	}
	if _, _, ok := o.pull(nil); ok || o.size != 0 {
		t.Error("it goes on above the hard limit")
	}
	if o.put(&q, piece) || q.b != nil {
		t.Error("a closed outbox takes frames")
	}
}

// Nothing is allocated for what moves.
func TestOutboxAllocates(t *testing.T) {
	o := newOutbox()
	var q outq
	frames := wire.AppendData(nil, 1, 0, bytes.Repeat([]byte{1}, 3000), fragment)
	out := make([]byte, 0, 2*writeMost)
	if n := testing.AllocsPerRun(200, func() {
		o.put(&q, frames)
		out, _, _ = o.pull(out[:0])
	}); n > 0 && !raceEnabled {
		t.Errorf("%v allocations", n)
	}
}
