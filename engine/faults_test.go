package engine_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"epoxy/codec"
	"epoxy/engine"
	"epoxy/engine/reactor"
	"epoxy/engine/stats"
	"epoxy/upstream/faketg"
)

// deadPort returns an address where nothing listens.
func deadPort(t *testing.T) netip.AddrPort {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	return ln.Addr().(*net.TCPAddr).AddrPort()
}

// hangingPort returns an address that answers no SYN: its accept queue is full.
func hangingPort(t *testing.T) netip.AddrPort {
	t.Helper()
	ln, err := reactor.Listen("127.0.0.1:0", reactor.ListenOptions{Backlog: 1}, nil) // and nobody accepts
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	addr := ln.AddrPort()
	for range 8 { // the queue is full when a connect hangs
		c, err := net.DialTimeout("tcp", addr.String(), 200*time.Millisecond)
		if err != nil {
			return addr
		}
		t.Cleanup(func() { _ = c.Close() })
	}
	t.Fatal("an accept queue of one took 8 connections")
	return addr
}

// The datacenter misbehaves: the client is closed, or served by another address; the proxy lives on.
func TestDatacenterFaults(t *testing.T) {
	cases := []struct {
		name   string
		faults faketg.Faults
		ok     bool // the ping works all the same
		why    codec.Reason
	}{
		{"resets at once", faketg.Faults{Refuse: true}, false, codec.ReasonUpstreamReset},
		{"resets after 100 bytes", faketg.Faults{ResetAfter: 100}, false, codec.ReasonUpstreamReset},
		{"closes after 100 bytes", faketg.Faults{CloseAfter: 100}, false, codec.ReasonUpstreamClosed},
		{"a byte at a time", faketg.Faults{OneByte: true}, true, codec.ReasonClientClosed},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, dc := telegram(t, c.faults)
			h := start(t, settings(dc))
			for _, w := range ways {
				cl := dial(t, h.addr, w, 2)
				if err := cl.ping(400); (err == nil) != c.ok {
					t.Errorf("%v: ping: %v", w, err)
				}
				_ = cl.Close()
			}
			h.wait(t, func(l stats.Loop) bool {
				return l.ClientsNow == 0 && l.Closed[c.why] == uint64(len(ways))
			})
		})
	}
}

// A datacenter that never answers holds its client and nobody else.
func TestDatacenterStalls(t *testing.T) {
	_, bad := telegram(t, faketg.Faults{Stall: true})
	_, good := telegram(t, faketg.Faults{})
	set := settings(good)
	set.Loops = 1
	set.DC[1] = []netip.AddrPort{bad}
	h := start(t, set)
	for range 20 {
		stuck := dial(t, h.addr, ways[2], 1)
		if err := stuck.send(make([]byte, 64)); err != nil {
			t.Fatal(err)
		}
	}
	mustPing(t, dial(t, h.addr, ways[3], 2), 64)
}

// A dead or hanging address is passed over for the DC's next one, and the client notices nothing.
func TestRetryOverAddresses(t *testing.T) {
	_, good := telegram(t, faketg.Faults{})
	set := settings(deadPort(t), good)
	set.Loops = 1
	h := start(t, set)
	for range 3 {
		mustPing(t, dial(t, h.addr, ways[3], 2), 64)
	}
	if n := h.snapshot().Sum().DialsFailed[codec.ReasonDialRefused]; n != 1 {
		t.Errorf("the dead address was tried %d times in a row of three clients, not once", n)
	}
}

// With no address left the client is closed with the reason counted.
func TestAllAddressesDown(t *testing.T) {
	h := start(t, settings(deadPort(t)))
	c := dial(t, h.addr, ways[2], 2)
	if n := wantEnd(t, c); n != 0 {
		t.Fatalf("%d bytes came from nowhere", n)
	}
	h.wait(t, func(l stats.Loop) bool { return l.Closed[codec.ReasonDialRefused] == 1 })
}

// A client that leaves during the dial takes the dial with it.
func TestClientLeavesDuringDial(t *testing.T) {
	h := start(t, settings(hangingPort(t)))
	c := dial(t, h.addr, ways[2], 2)
	h.wait(t, func(l stats.Loop) bool { return l.Handshakes[codec.Secure] == 1 })
	if err := c.Conn.(*net.TCPConn).SetLinger(0); err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
	h.wait(t, func(l stats.Loop) bool { return l.ClientsNow == 0 && l.Closed[codec.ReasonClientReset] == 1 })
}

// B07 (direct mode): clients that stop reading hold no more than their soft limit and what one read brought, their
// neighbours on the same loop go on, and every byte arrives in order when they read again.
func TestStoppedReaders(t *testing.T) {
	_, dc := telegram(t, faketg.Faults{})
	set := settings(dc)
	set.Loops, set.StallTimeout = 1, time.Minute // the last reader waits for the others, on a slow machine long
	h := start(t, set)
	const readers, total = 8, 16 << 20
	var stopped []*client
	for i := range readers {
		c := dial(t, h.addr, ways[i%len(ways)], 2)
		cmd := faketg.Command{Op: faketg.OpSource, ID: uint32(i), Value: total, Size: 32 << 10}
		if err := c.send(cmd.Append(nil)); err != nil {
			t.Fatal(err)
		}
		stopped = append(stopped, c)
	}
	neighbour := dial(t, h.addr, ways[3], 2)
	last := uint64(0)
	eventually(t, func() bool { // until no byte moves any more
		mustPing(t, neighbour, 64)
		now := h.snapshot().Sum()
		still := now.ClientDown-last < 1000 && now.QueuedNow > 0
		last = now.ClientDown
		return still
	}, func() string { return "the readers' queues never filled" })
	if q := h.snapshot().Sum().QueuedNow; q > readers*(64<<10+256<<10) {
		t.Errorf("%d bytes queued for %d stopped readers", q, readers)
	}
	mustPing(t, neighbour, 100_000)
	for i, c := range stopped {
		_ = c.SetDeadline(time.Now().Add(patience))
		if err := readSource(c, uint32(i), total); err != nil {
			t.Fatalf("reader %d: %v", i, err)
		}
	}
	h.wait(t, func(l stats.Loop) bool { return l.QueuedNow == 0 })
}

// A client that takes nothing of a full queue is closed after --stall-timeout, and its neighbour is not.
func TestStallTimeout(t *testing.T) {
	_, dc := telegram(t, faketg.Faults{})
	set := settings(dc)
	set.Loops, set.StallTimeout = 1, time.Second
	h := start(t, set)
	c := dial(t, h.addr, ways[2], 2)
	if err := c.send(faketg.Command{Op: faketg.OpSource, ID: 1, Value: 1 << 30, Size: 32 << 10}.Append(nil)); err != nil {
		t.Fatal(err)
	}
	neighbour := dial(t, h.addr, ways[3], 2)
	h.wait(t, func(l stats.Loop) bool { return l.Closed[codec.ReasonWriteStall] == 1 })
	mustPing(t, neighbour, 64)
}

// L5: the limit is exact; who comes over it is refused, who is in stays, and a place that becomes free is given again.
func TestMaxClients(t *testing.T) {
	_, dc := telegram(t, faketg.Faults{})
	set := settings(dc)
	set.MaxClients = 5
	h := start(t, set)
	var in []*client
	for range 5 {
		c := dial(t, h.addr, ways[2], 2)
		mustPing(t, c, 64)
		in = append(in, c)
	}
	for range 3 {
		c, err := net.Dial("tcp", h.addr)
		if err != nil {
			t.Fatal(err)
		}
		if n := wantEnd(t, c); n != 0 {
			t.Fatalf("a refused client was told %d bytes", n)
		}
		_ = c.Close()
	}
	for _, c := range in {
		mustPing(t, c, 64)
	}
	_ = in[0].Close()
	h.wait(t, func(l stats.Loop) bool { return l.ClientsNow == 4 })
	mustPing(t, dial(t, h.addr, ways[3], 2), 64)
	if n := h.snapshot().Sum().Refused[codec.ReasonLimit]; n != 3 {
		t.Errorf("%d refusals counted, not 3", n)
	}
}

// B29 B05 (ports taken away): draining closes the listeners at once, live sessions work on, and the deadline ends them.
func TestDrain(t *testing.T) {
	h := proxy(t)
	c := dial(t, h.addr, ways[3], 2)
	mustPing(t, c, 64)
	ctx, cancel := context.WithCancel(context.Background())
	drained := make(chan struct{})
	go func() {
		h.Drain(ctx)
		close(drained)
	}()
	eventually(t, func() bool {
		n, err := net.Dial("tcp", h.addr)
		if err == nil {
			_ = n.Close()
		}
		return err != nil
	}, func() string { return "the port still accepts while draining" })
	if err := h.Ready(); err == nil {
		t.Error("ready while draining")
	}
	mustPing(t, c, 100_000)
	select {
	case <-drained:
		t.Fatal("the drain ended with a live client and no deadline")
	default:
	}
	cancel()
	wantEnd(t, c)
	<-drained
}

// B29: when the last client leaves, the drain is over before its deadline.
func TestDrainEndsWithTheLastClient(t *testing.T) {
	h := proxy(t)
	c := dial(t, h.addr, ways[2], 2)
	mustPing(t, c, 64)
	drained := make(chan struct{})
	go func() {
		h.Drain(context.Background())
		close(drained)
	}()
	_ = c.Close()
	select {
	case <-drained:
	case <-time.After(patience):
		t.Fatal("the drain does not end")
	}
}

// Two processes on one port: the second says so, names the flag, and does not share the port.
func TestPortInUse(t *testing.T) {
	h := proxy(t)
	set := settings(deadPort(t))
	set.Listen[0] = listen("port1", h.addr)
	if err := set.Validate(); err != nil {
		t.Fatal(err)
	}
	e, err := engine.New(set, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	err = e.Start()
	if err == nil || !strings.Contains(err.Error(), "in use") || !strings.Contains(err.Error(), "--listen "+h.addr) {
		t.Fatalf("starting on a taken port: %v", err)
	}
	e.Stop()
	mustPing(t, dial(t, h.addr, ways[2], 2), 64)
}
