package engine_test

import (
	"bytes"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"testing"

	"epoxy/bench/load"
	"epoxy/codec"
	"epoxy/codec/frame"
	"epoxy/codec/secret"
	"epoxy/engine/stats"
	"epoxy/upstream/faketg"
)

// crowd is many clients of the test's proxy.
func (h *house) crowd(s load.Scenario, p load.Protocol, clients int) load.Config {
	return load.Config{
		Scenario: s, Server: netip.MustParseAddrPort(h.addr), Protocol: p, DC: 2, Loops: 1, Clients: clients,
		Secret: secret.Secret{Key: key, Domain: "example.com"}, Timeout: patience,
	}
}

func play(t *testing.T, c load.Config) {
	t.Helper()
	r, err := load.Run(t.Context(), c, slog.New(slog.DiscardHandler))
	if err != nil || !r.OK() {
		t.Fatalf("%v, faults %v", err, r.Faults)
	}
}

// B25: 1,000 clients on one link each ask for 64 KiB at once: every byte arrives and nobody is evicted.
func TestMiddleBurst(t *testing.T) {
	m := middles(t, faketg.MiddleFaults{}, 2)
	h := oneLink(t, linkSettings(t, m), m)
	const clients, size = 1000, 64 << 10
	for i, p := range []load.Protocol{load.Secure, load.TLS} {
		c := h.crowd(load.Bulk, p, clients)
		c.Down = size
		play(t, c)
		h.wait(t, func(l stats.Loop) bool { return l.ClientsNow == 0 })
		l, seen := h.snapshot().Sum(), m.Seen()
		if l.Closed[codec.ReasonClientClosed] != uint64((i+1)*clients) || l.Middle.QueuedNow != 0 {
			t.Errorf("%v: closed %v, %d bytes left", p, l.Closed, l.Middle.QueuedNow)
		}
		if seen.Handshakes != 1 || seen.Streams != uint64((i+1)*clients) || seen.Down < uint64((i+1)*clients*size) {
			t.Errorf("%v: %d links, %d streams, %d bytes", p, seen.Handshakes, seen.Streams, seen.Down)
		}
	}
	sound(t, m.Seen())
}

// B07, fault 30: of 300 clients on one link one stops reading. While little waits for it, it stays, and gets every byte
// later; above the hard limit it is closed. The others lose nothing either way.
func TestMiddleFrozenClient(t *testing.T) {
	m := middles(t, faketg.MiddleFaults{}, 2)
	h := oneLink(t, linkSettings(t, m), m)
	crowd := h.crowd(load.Small, load.Secure, 299)
	crowd.Messages, crowd.Size = 1500, 200
	frozen := func(w way, bytes uint64) *client {
		c := dial(t, h.addr, w, 2)
		if err := c.Conn.(*net.TCPConn).SetReadBuffer(16 << 10); err != nil {
			t.Fatal(err)
		}
		cmd := faketg.Command{Op: faketg.OpSource, ID: 7, Value: bytes, Size: 32 << 10}
		if err := c.send(cmd.Append(nil)); err != nil {
			t.Fatal(err)
		}
		return c
	}
	const most = 1 << 20 // what fits below the hard limit, with what the kernel holds
	for _, w := range ways {
		c := frozen(w, most)
		h.wait(t, func(l stats.Loop) bool { return l.Middle.QueuedNow > 0 })
		play(t, crowd)
		if q := h.snapshot().Sum().Middle.QueuedNow; q == 0 || q > 2*most {
			t.Errorf("%v: %d bytes wait for the frozen client", w, q)
		}
		if err := readSource(c, 7, most); err != nil {
			t.Errorf("%v: %v", w, err)
		}
		_ = c.Close()
	}
	frozen(ways[2], 1<<30)
	play(t, crowd)
	h.wait(t, func(l stats.Loop) bool {
		return l.Closed[codec.ReasonQueueLimit] == 1 && l.ClientsNow == 0 && l.Middle.QueuedNow == 0
	})
	if l := h.snapshot().Sum(); l.Closed[codec.ReasonClientClosed] != uint64(len(ways)*300+299) {
		t.Errorf("closed %v", l.Closed)
	}
	if seen := m.Seen(); seen.Handshakes != 1 {
		t.Errorf("%d links, not one", seen.Handshakes)
	}
	sound(t, m.Seen())
}

// No allocation per relayed packet in steady state, over real sockets, through reactor, session, stream and link, with
// the fake middle proxy in the same process: fewer than one per hundred packets.
func TestMiddleNoAllocationsOverTCP(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates by itself; the run without it checks this")
	}
	m := middles(t, faketg.MiddleFaults{}, 2)
	set := linkSettings(t, m)
	set.StateDir = "" // writing to disk what secrets used allocates, twice a second
	h := start(t, set)
	h.readyLinks(t, 2, 1)
	for _, w := range []way{ways[0], ways[1]} { // without padding, so that answers have one length
		c := dial(t, h.addr, w, 2)
		mustPing(t, c, 200)
		h.readyLinks(t, 2, 2) // no dial is under way
		p := frame.Append(nil, c.tag, append([]byte{1}, make([]byte, 199)...), nil)
		wire, back := make([]byte, len(p)), make([]byte, len(p))
		wantFew(t, w, 5000, func() {
			c.up.XOR(wire, p)
			if _, err := c.Write(wire); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(c, back); err != nil {
				t.Fatal(err)
			}
			if c.down.XOR(back, back); !bytes.Equal(back, p) {
				t.Fatalf("%v: other bytes came back", w)
			}
		})
	}
}
