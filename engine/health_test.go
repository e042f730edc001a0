package engine_test

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"epoxy/engine/stats"
	"epoxy/upstream/faketg"
)

// Fault 36: no middle proxy of any datacenter can be reached: the metric and /healthz say so, listeners stay, and all is well again
// by itself.
func TestTelegramGone(t *testing.T) {
	_, dc := telegram(t, faketg.Faults{})
	m := middles(t, faketg.MiddleFaults{}, 2)
	h := start(t, linkSettings(t, m, dc))
	h.readyLinks(t, 2, 1)
	h.Backdate(time.Minute)
	if !h.snapshot().Up || h.Healthy() != nil {
		t.Fatalf("up %v, health %v with ready links", h.snapshot().Up, h.Healthy())
	}
	m.SetFaults(faketg.MiddleFaults{Refuse: true})
	m.Strike(faketg.FaultFIN, 0)
	h.wait(t, func(stats.Loop) bool { return !h.Up() })
	if h.snapshot().Up || h.Healthy() == nil {
		t.Errorf("up %v, health %v without a link", h.snapshot().Up, h.Healthy())
	}
	c, err := net.Dial("tcp", h.addr)
	if err != nil {
		t.Fatalf("the listener went: %v", err)
	}
	_ = c.Close()
	h.Backdate(-time.Minute) // a start is given time
	if err := h.Healthy(); err != nil {
		t.Errorf("unhealthy right after the start: %v", err)
	}
	m.SetFaults(faketg.MiddleFaults{})
	h.wait(t, func(stats.Loop) bool { return h.Up() })
}

// The direct way counts as down when every recent client found it closed, and as up with the first that got through.
func TestDatacentersGone(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone := netip.MustParseAddrPort(l.Addr().String())
	_ = l.Close()
	h := start(t, settings(gone))
	h.Backdate(time.Minute)
	if h.Healthy() != nil {
		t.Fatal("unhealthy before the first client")
	}
	for range 16 {
		wantEnd(t, dial(t, h.addr, ways[3], 2))
	}
	h.wait(t, func(stats.Loop) bool { return h.Healthy() != nil })
}
