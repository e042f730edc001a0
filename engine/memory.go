package engine

import (
	"log/slog"
	"math"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"

	"epoxy/engine/config"
)

const (
	memoryTime  = time.Second // between looks at the memory in use
	crowdedAt   = 95          // percent of --memory from which new clients are refused
	roomyBelow  = 90          // percent below which they are let in again
	wholeMemory = 100
	leastShare  = 4 // one part in so many of the limit is ours, whatever sockets hold
)

// setMemory sets what --memory says; an operator's GOMEMLIMIT counts when --memory does not.
func (e *Engine) setMemory(set *config.Settings) {
	memory, shared := set.Memory, false
	switch before := debug.SetMemoryLimit(-1); {
	case memory != 0:
	case os.Getenv("GOMEMLIMIT") != "" && before != math.MaxInt64:
		memory = before
	default:
		memory, shared = config.DefaultMemory(os.DirFS("/")), true
	}
	e.memory.Store(memory)
	e.shared.Store(shared)
	if memory > 0 {
		debug.SetMemoryLimit(memory)
	}
}

// watchMemory refuses new clients while memory is nearly spent, before those who are here are harmed.
func (e *Engine) watchMemory() {
	tick := time.NewTicker(memoryTime)
	defer tick.Stop()
	for {
		select {
		case <-e.quit:
			return
		case <-tick.C:
			if e.memory.Load() > 0 {
				e.lookAtMemory(memoryUsed(), e.kernelMemory())
			}
		}
	}
}

// kernelMemory returns the bytes that sockets hold in the kernel, when they come out of what the limit was made from:
// an automatic limit is a share of the machine, and they take theirs from the same machine.
func (e *Engine) kernelMemory() int64 {
	if !e.shared.Load() {
		return 0
	}
	return config.SocketMemory(os.DirFS("/"), os.Getpagesize())
}

// lookAtMemory decides by the bytes in use, and those that sockets hold in the kernel, whether new clients are refused.
func (e *Engine) lookAtMemory(used uint64, sockets int64) {
	memory := e.memory.Load()
	limit := max(memory-sockets, memory/leastShare)
	if e.shared.Load() && limit != e.goLimit {
		e.goLimit = limit
		debug.SetMemoryLimit(limit)
	}
	percent := used * wholeMemory / uint64(limit)
	switch was := e.crowded.Load(); {
	case !was && percent >= crowdedAt:
		e.crowded.Store(true)
		e.log.Warn("memory is nearly spent; new clients are refused", slog.Uint64("used", used), slog.Int64("sockets", sockets), slog.Int64("memory", memory))
	case was && percent < roomyBelow:
		e.crowded.Store(false)
		e.log.Info("there is memory again; new clients are welcome", slog.Uint64("used", used), slog.Int64("memory", memory))
	}
}

// memoryUsed returns what the runtime's limit is about: memory mapped by Go and not given back.
func memoryUsed() uint64 {
	samples := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(samples)
	return samples[0].Value.Uint64() - samples[1].Value.Uint64()
}
