package engine_test

import (
	"fmt"
	"slices"
	"testing"

	"go.uber.org/goleak"

	"epoxy/codec"
	"epoxy/engine/config"
	"epoxy/engine/stats"
	"epoxy/upstream/faketg"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A01 A02 A03 A04: a client of each kind pings, sends a row of packets that come back in order, leaves, and is counted.
func TestEcho(t *testing.T) {
	for i, w := range slices.Concat(ways, ways) {
		poller := config.Poller(i / len(ways))
		t.Run(fmt.Sprint(w, " ", poller), func(t *testing.T) {
			srv, dc := telegram(t, faketg.Faults{})
			set := settings(dc)
			set.Poller = poller
			h := start(t, set)
			c := dial(t, h.addr, w, 2)
			mustPing(t, c, 64)
			for size := 4; size <= 200; size += 14 {
				if err := c.send(make([]byte, size/4*4)); err != nil {
					t.Fatal(err)
				}
			}
			for size := 4; size <= 200; size += 14 {
				got, err := c.receive()
				if err != nil || len(got) != size/4*4 {
					t.Fatalf("packet of %d: %d bytes, %v", size/4*4, len(got), err)
				}
			}
			mustPing(t, c, 200_000)
			_ = c.Close()
			h.wait(t, func(l stats.Loop) bool { return l.ClientsNow == 0 })
			l := h.snapshot().Sum()
			if l.Accepted != 1 || l.Handshakes[w.proto] != 1 || l.Closed[codec.ReasonClientClosed] != 1 {
				t.Errorf("counted: accepted %d, handshakes %v, closed %v", l.Accepted, l.Handshakes, l.Closed)
			}
			if seen := srv.Seen(); seen.Packets != 17 {
				t.Errorf("the datacenter saw %d packets, not 17", seen.Packets)
			}
		})
	}
}
