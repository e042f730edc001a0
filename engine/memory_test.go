package engine

import (
	"log/slog"
	"net/netip"
	"runtime/debug"
	"testing"

	"epoxy/codec"
	"epoxy/codec/faketls"
	"epoxy/engine/replay"
	"epoxy/engine/session"
	"epoxy/upstream/upstreamtest"
)

// New clients are refused while memory is nearly spent, and let in again when there is room, not at the same mark.
func TestCrowded(t *testing.T) {
	e := &Engine{log: slog.New(slog.DiscardHandler)}
	e.memory.Store(1000)
	e.limit.Store(10)
	l := &loop{env: session.NewEnv(upstreamtest.NewLoop(1), nil, replay.New(1))}
	g := &gate{engine: e, loop: l, of: &port{}, port: session.NewPort(l.env, session.Port{
		Secrets: session.NewSecrets(nil), Sites: &session.Sites{Default: &faketls.Profile{}}, Timing: &session.Timing{},
	})}
	for i, c := range []struct {
		used uint64
		in   bool
	}{{100, true}, {949, true}, {950, false}, {2000, false}, {920, false}, {899, true}, {940, true}} {
		e.lookAtMemory(c.used, 0)
		before := e.clients.Load()
		if in := g.Accept(&upstreamtest.Socket{}, netip.AddrPort{}) != nil; in != c.in {
			t.Errorf("step %d, %d of 1000 bytes used: let in %v", i, c.used, in)
		}
		if n := e.clients.Load() - before; (n == 1) != c.in {
			t.Errorf("step %d: %d clients more", i, n)
		}
	}
	if l.refused[codec.ReasonLimit] != 3 {
		t.Errorf("%d refusals counted, not 3", l.refused[codec.ReasonLimit])
	}
}

// What sockets hold in the kernel comes out of an automatic limit, and never all of it.
func TestCrowdedBySockets(t *testing.T) {
	was := debug.SetMemoryLimit(-1)
	defer debug.SetMemoryLimit(was)
	const memory = 1 << 40
	e := &Engine{log: slog.New(slog.DiscardHandler)}
	e.memory.Store(memory)
	e.shared.Store(true)
	for i, c := range []struct {
		used    uint64
		sockets int64
		crowded bool
		limit   int64
	}{
		{memory / 2, 0, false, memory},
		{memory / 2, memory / 2, true, memory / 2},
		{memory / 2, memory / 4, false, memory / 4 * 3},
		{memory / 5, 2 * memory, false, memory / 4},
		{memory / 4, 2 * memory, true, memory / 4},
	} {
		e.lookAtMemory(c.used, c.sockets)
		if e.crowded.Load() != c.crowded || debug.SetMemoryLimit(-1) != c.limit {
			t.Errorf("step %d: crowded %v with a runtime limit of %d, not %v with %d", i, e.crowded.Load(), debug.SetMemoryLimit(-1), c.crowded, c.limit)
		}
	}
}
