package middle

import (
	"bytes"
	"testing"

	"epoxy/codec"
	"epoxy/codec/rpc"
)

// B25: 1,000 clients on one link each get 64 KiB in one burst: all arrive, nobody is closed.
func TestBurst(t *testing.T) {
	w := newWorld(t, oneAddr, Options{})
	list := w.opened(1000)
	for _, p := range w.alive()[1:] { // all on one link
		p.close()
	}
	p := w.alive()[0]
	want := packet(1, 64<<10)
	var wire []byte
	for _, c := range list {
		wire = append(wire, p.frames(rpc.AppendAnswer(nil, 0, c.id(), want))...)
	}
	for len(wire) > 0 {
		n := min(len(wire), 256<<10)
		p.data(wire[:n])
		wire = wire[n:]
		w.turn()
	}
	for _, c := range list {
		if len(c.got) != 1 || !bytes.Equal(c.got[0], want) || c.ends != 0 {
			t.Fatalf("%d answers, %d ends", len(c.got), c.ends)
		}
	}
	if w.r.Waiting() != 0 || w.r.Count.Shed != 0 {
		t.Fatalf("%d bytes wait, %d shed", w.r.Waiting(), w.r.Count.Shed)
	}
}

// A06, A07, B07, fault 30: a client that stops reading is queued for up to the hard limit, in few big answers or many
// small ones, and then closed with a reason; its neighbours get everything at once, and the link is never paused.
func TestSlowClient(t *testing.T) {
	for _, size := range []int{400_000, 17_000, 64} {
		w := newWorld(t, oneAddr, Options{})
		slow, near := w.open(2, codec.Padded), w.open(2, codec.Padded)
		w.up()
		for i, c := range []*client{slow, near} {
			if err := w.ping(c, i); err != nil {
				t.Fatal(err)
			}
		}
		slow.pauseAt = 1
		p, q := w.peerOf(slow), w.peerOf(near)
		sent, had := 0, 0
		for slow.ends == 0 {
			if sent > hardQueue+2*size+64<<10 {
				t.Fatalf("size %d: %d bytes are queued and nobody is closed", size, sent)
			}
			p.send(rpc.AppendAnswer(nil, 0, slow.id(), packet(1, size)), rpc.AppendAnswer(nil, 0, slow.id(), packet(2, size)))
			q.answer(near.id(), packet(had, 64))
			if had++; len(near.got) != 1+had {
				t.Fatalf("the neighbour waits: %d of %d", len(near.got), had)
			}
			sent += 2 * size
			w.turn()
		}
		if slow.why != codec.ReasonQueueLimit || sent+sent/size*8 < hardQueue { // with headers and padding
			t.Fatalf("size %d: closed by %v after %d bytes", size, slow.why, sent)
		}
		if p.socket.Paused || w.r.Waiting() != 0 || len(p.closes) != 1 {
			t.Fatalf("size %d: link paused %v, %d bytes wait, closed %x", size, p.socket.Paused, w.r.Waiting(), p.closes)
		}
	}
}

// A client that pauses and reads on gets everything in order, in turns of at most 64 KiB, and CloseExt waits for it.
func TestPauseAndResume(t *testing.T) {
	w := newWorld(t, oneAddr, Options{})
	c := w.open(2, codec.Padded)
	w.up()
	p := w.peerOf(c)
	c.s.Pause()
	for i := range 30 {
		p.send(rpc.AppendAnswer(nil, 0, c.id(), packet(i, 20_000)), rpc.AppendSimpleAck(nil, c.id(), 1<<31|uint32(i)))
	}
	p.send(rpc.AppendCloseExt(nil, c.id()))
	if c.delivers != 0 || w.r.Waiting() < 600_000 {
		t.Fatalf("%d Delivers while paused, %d bytes wait", c.delivers, w.r.Waiting())
	}
	c.s.Resume()
	if c.delivers != 0 {
		t.Fatal("Deliver from inside Resume")
	}
	w.task().Turn()
	if n := len(c.got); n < 2 || n > 4 || c.ends != 0 {
		t.Fatalf("%d answers in a turn", n)
	}
	c.pauseAt = c.delivers + 1
	for c.ends == 0 {
		w.turn()
		c.s.Resume()
	}
	if len(c.got) != 30 || len(c.acks) != 30 || c.why != codec.ReasonUpstreamClosed || w.r.Waiting() != 0 {
		t.Fatalf("%d answers, %d acks, ended by %v, %d bytes wait", len(c.got), len(c.acks), c.why, w.r.Waiting())
	}
	for i, got := range c.got {
		if !bytes.Equal(got, packet(i, 20_000)) {
			t.Fatalf("answer %d differs", i)
		}
	}
}

// What comes between Resume and the turn that delivers the queue stays behind it.
func TestOrderAfterResume(t *testing.T) {
	w := newWorld(t, oneAddr, Options{})
	c := w.opened(1)[0]
	p := w.peerOf(c)
	c.s.Pause()
	p.answer(c.id(), packet(1, 64))
	c.s.Resume()
	p.answer(c.id(), packet(2, 64))
	w.turn()
	if len(c.got) != 2 || !bytes.Equal(c.got[0], packet(1, 64)) || !bytes.Equal(c.got[1], packet(2, 64)) {
		t.Fatalf("%d answers, or in another order", len(c.got))
	}
}

// Padded answers carry 0 to 3 bytes of padding, each as often (spec client-protocols 2.2), alone or together in a read.
func TestPadding(t *testing.T) {
	w := newWorld(t, oneAddr, Options{})
	c := w.open(2, codec.Padded)
	w.up()
	p := w.peerOf(c)
	sink := &deaf{}
	c.s.(*Stream).sink = sink
	for _, n := range []int{1, 2} {
		var seen [4 * 2]int
		for range 400 {
			var bodies [][]byte
			for range n {
				bodies = append(bodies, rpc.AppendAnswer(nil, 0, c.id(), packet(1, 64)))
			}
			before := sink.bytes
			p.send(bodies...)
			seen[sink.bytes-before-n*68]++
		}
		if n == 1 {
			for i, k := range seen[:4] {
				if k < 50 || k > 150 {
					t.Fatalf("%d of 400 answers with %d bytes: %v", k, i, seen)
				}
			}
		} else if seen[0] == 0 || seen[6] == 0 || seen[7] != 0 {
			t.Fatalf("two answers: %v", seen)
		}
	}
}

// Links that are paused are read again when a client that leaves takes its queue along.
func TestUnpausedByLeave(t *testing.T) {
	w := newWorld(t, oneAddr, Options{Budget: 1 << 20})
	c := w.opened(1)[0]
	p := w.peerOf(c)
	c.s.Pause()
	p.answer(c.id(), packet(1, 1<<20))
	w.task().WantsGo = false // as if the turn were still to come
	c.s.Close(codec.ReasonClientClosed)
	if w.turn(); p.socket.Paused || w.r.Waiting() != 0 {
		t.Fatalf("paused %v, %d bytes wait", p.socket.Paused, w.r.Waiting())
	}
}

// Over 80 % of the loop's budget the largest queues are closed, small ones never.
func TestShed(t *testing.T) {
	w := newWorld(t, oneAddr, Options{Budget: 10 << 20})
	list := w.opened(40)
	small, big := list[:20], list[20:]
	most := 0
	for range 30 {
		for i, c := range list {
			if c.ends > 0 {
				continue
			}
			c.s.Pause()
			size := 30_000
			if i < len(small) {
				size = 500
			}
			w.peerOf(c).answer(c.id(), packet(1, size))
			w.turn()
			most = max(most, w.r.Waiting())
		}
	}
	closed := 0
	for _, c := range big {
		closed += c.ends
		if c.ends > 0 && c.why != codec.ReasonMemory {
			t.Fatalf("closed by %v", c.why)
		}
	}
	for _, c := range small {
		if c.ends > 0 {
			t.Fatal("a small queue was closed")
		}
	}
	if closed == 0 || closed == len(big) || most > 10<<20*85/100 || w.r.Count.Shed != uint64(closed) {
		t.Fatalf("%d closed, %d bytes at most, %d shed", closed, most, w.r.Count.Shed)
	}
}

// A torn packet counts too: a thousand clients that never end theirs do not take the loop's memory.
func TestShedTorn(t *testing.T) {
	w := newWorld(t, oneAddr, Options{Budget: 4 << 20})
	list := w.opened(100)
	for _, c := range list {
		c.s.Send(append([]byte{0, 0, 8, 0}, make([]byte, 100_000)...)) // 512 KiB promised
		w.turn()
		if n := w.r.Waiting(); n > 4<<20 {
			t.Fatalf("%d bytes wait", n)
		}
	}
	if w.r.Count.Shed == 0 || w.r.Count.Shed > 90 {
		t.Fatalf("%d shed", w.r.Count.Shed)
	}
}

// Over 95 % the links are paused until the largest queues are gone.
func TestLinksPaused(t *testing.T) {
	w := newWorld(t, oneAddr, Options{Budget: 1 << 20})
	c, other := w.open(2, codec.Padded), w.open(2, codec.Padded)
	w.up()
	p := w.peerOf(c)
	c.s.Pause()
	p.send(rpc.AppendAnswer(nil, 0, c.id(), packet(1, 600_000)), rpc.AppendAnswer(nil, 0, c.id(), packet(1, 600_000)))
	if !p.socket.Paused || w.r.Count.LinkPauses != 1 {
		t.Fatal("the link is read on")
	}
	w.turn()
	if p.socket.Paused || c.ends != 1 || c.why != codec.ReasonMemory || w.r.Waiting() != 0 {
		t.Fatalf("paused %v, %d ends by %v", p.socket.Paused, c.ends, c.why)
	}
	if err := w.ping(other, 1); err != nil {
		t.Fatal(err)
	}
}
