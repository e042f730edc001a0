package engine_test

import (
	"net"
	"testing"
	"time"

	"epoxy/codec"
	"epoxy/engine/stats"
	"epoxy/upstream/faketg"
)

// B08: the handshake timer end to end: bytes that keep coming do not extend it, and the end is silence, not a close.
func TestHandshakeTimeout(t *testing.T) {
	_, dc := telegram(t, faketg.Faults{})
	set := settings(dc)
	set.Loops, set.HandshakeTimeout = 1, time.Second
	h := start(t, set)
	c, err := net.Dial("tcp", h.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	late := func(l stats.Loop) bool { return l.Strangers[codec.ReasonHandshakeTime] == 1 }
	hello := []byte{0x16, 3, 1, 7, 0, 1, 0, 6, 0xfc, 3, 3}
	sent := 0
	eventually(t, func() bool {
		b := byte(sent)
		if sent < len(hello) {
			b = hello[sent]
		}
		if _, err := c.Write([]byte{b}); err != nil {
			t.Fatalf("byte %d: %v", sent, err)
		}
		sent++
		return late(h.snapshot().Sum())
	}, func() string { return "a dribbling hello was never given up" })
	if sent >= 0x700 {
		t.Fatalf("%d bytes: the hello was whole", sent)
	}
	stillSilent(t, c)
	mustPing(t, dial(t, h.addr, ways[3], 2), 64)
}

// B08: the timer of the first byte, and of idle sessions: who moves stays, who does not is closed with FIN.
func TestIdleTimeouts(t *testing.T) {
	_, dc := telegram(t, faketg.Faults{})
	set := settings(dc)
	set.Loops, set.FirstByteTimeout, set.IdleTimeout, set.CompactAfter = 1, time.Second, 2*time.Second, 500*time.Millisecond
	h := start(t, set)
	mute, err := net.Dial("tcp", h.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = mute.Close() }()
	idle, busy := dial(t, h.addr, ways[3], 2), dial(t, h.addr, ways[2], 2)
	mustPing(t, idle, 64)
	eventually(t, func() bool {
		mustPing(t, busy, 64)
		l := h.snapshot().Sum()
		return l.Closed[codec.ReasonIdle] == 1 && l.Closed[codec.ReasonFirstByteTime] == 1
	}, func() string { return "the silent ones stay" })
	if n := wantEnd(t, idle) + wantEnd(t, mute); n != 0 {
		t.Fatalf("%d bytes before the FIN", n)
	}
	if h.snapshot().Sum().Compactions == 0 {
		t.Error("the idle session was never compacted")
	}
	mustPing(t, busy, 64)
}

// A client that slept through compaction goes on where it was, whole and in order.
func TestWakeAfterCompaction(t *testing.T) {
	_, dc := telegram(t, faketg.Faults{})
	set := settings(dc)
	set.CompactAfter = 100 * time.Millisecond
	h := start(t, set)
	var all []*client
	for _, w := range ways {
		c := dial(t, h.addr, w, 2)
		mustPing(t, c, 1000)
		all = append(all, c)
	}
	for round := range uint64(3) {
		h.wait(t, func(l stats.Loop) bool { return l.Compactions >= (round+1)*uint64(len(ways)) })
		for _, c := range all {
			mustPing(t, c, 100_001/4*4)
		}
	}
}
