package direct

import (
	"net/netip"
	"testing"

	"epoxy/codec"
	"epoxy/upstream"
	"epoxy/upstream/upstreamtest"
)

type nobody struct{ ended codec.Reason }

func (n *nobody) Deliver([]byte)         {}
func (n *nobody) SendDrained()           {}
func (n *nobody) EndOfStream()           {}
func (n *nobody) Ended(why codec.Reason) { n.ended = why }

// A changed table is for streams that begin after it; one that is being dialled goes through the addresses it began
// with, even when the new table has fewer, and no count is lost. A08: new connections have the changed receive buffer.
func TestUse(t *testing.T) {
	loop := upstreamtest.NewLoop(1)
	addr := func(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }
	table := func(list ...netip.AddrPort) *Table {
		return NewTable(map[int][]netip.AddrPort{2: list}, PreferV4, 2)
	}
	a, b, c := addr("10.0.0.1:443"), addr("10.0.0.2:443"), addr("10.0.0.3:443")
	r := NewRouter(loop, table(a, b), &upstream.DialOptions{RecvBuffer: 1 << 20})
	old := &nobody{}
	if _, why := r.Open(upstream.Request{DC: 2}, old); why != codec.ReasonNone {
		t.Fatal(why)
	}
	r.Use(loop, table(c), &upstream.DialOptions{RecvBuffer: 512})
	young := &nobody{}
	if _, why := r.Open(upstream.Request{DC: 2}, young); why != codec.ReasonNone {
		t.Fatal(why)
	}
	if first, second := loop.Dialed[0].To.Opts.RecvBuffer, loop.Dialed[1].To.Opts.RecvBuffer; first != 1<<20 || second != 512 {
		t.Errorf("receive buffers of %d and %d bytes", first, second)
	}
	if loop.Dialed[0].To.Addr != a || loop.Dialed[1].To.Addr != c {
		t.Fatalf("dialled %v and %v", loop.Dialed[0].To.Addr, loop.Dialed[1].To.Addr)
	}
	loop.Dialed[0].H.Closed(loop.Dialed[0], codec.ReasonDialRefused)
	if len(loop.Dialed) != 3 || loop.Dialed[2].To.Addr != b {
		t.Fatalf("the old stream went on to %v", loop.Dialed[len(loop.Dialed)-1].To.Addr)
	}
	loop.Dialed[2].H.Closed(loop.Dialed[2], codec.ReasonDialRefused)
	if old.ended != codec.ReasonDialRefused || young.ended != codec.ReasonNone {
		t.Errorf("ended with %v and %v", old.ended, young.ended)
	}
	if d := r.Count.ByDC[2]; d.Opened != 2 || d.Open != 1 || r.Count.Opened != 2 {
		t.Errorf("counts are %+v and %+v", d, r.Count)
	}
}
