package engine

import (
	"runtime/debug"
	"time"

	"epoxy/codec"
	"epoxy/engine/stats"
)

const (
	houseTime  = 10 * time.Second // between looks
	houseWorth = 256              // compacted or ended sessions since the last time that make giving memory back worth a collection
)

// keepHouse gives memory back to the kernel after sessions went idle or ended. A compacted session drops
// about 1 KiB of ciphers; without a collection they stay resident until the next busy hour.
func (e *Engine) keepHouse() {
	tick := time.NewTicker(houseTime)
	defer tick.Stop()
	var last uint64
	var moving bool
	for {
		select {
		case <-e.quit:
			return
		case <-tick.C:
		}
		var now uint64
		for _, l := range e.loops {
			_ = l.reactor.Call(func() {
				now += l.env.Count.Compacted
				for _, n := range l.env.Count.Closed {
					now += n
				}
			})
		}
		switch { // wait until the wave is over: one collection for all of it
		case now-last >= houseWorth && !moving:
			moving = true
		case moving:
			moving = false
			debug.FreeOSMemory()
		}
		last = now
	}
}

// Collect fills s with a copy of every loop's counters.
func (e *Engine) Collect(s *stats.Snapshot) {
	s.Start = e.started
	s.Ready = e.Ready() == nil
	s.Draining = e.draining.Load()
	s.Up = e.Up()
	s.ClientsLimit = uint64(e.limit.Load())
	s.Replay, s.Fronts = e.store.Stats(), e.FrontStatus()
	s.Now = time.Now()
	e.halves.collect(s)
	s.Secrets = e.ledger.Usage(s.Now.Unix())
	for _, p := range e.ports.all() {
		if want := wanted(e.set(), p); want != nil {
			s.Ports = append(s.Ports, stats.Port{Name: want.Name, Clients: uint64(p.clients.Load()), Limit: uint64(want.PortMax)})
		}
	}
	s.TagSet = e.set().Tagged()
	s.MemoryLimit = uint64(max(e.memory.Load(), 0))
	s.MemoryUsed = memoryUsed()
	if book := e.book.Load(); book != nil {
		s.Book, s.Refresh = book.Current(), book.Status()
		s.ReadyTargets = e.readyTargets()
	}
	s.Loops = make([]stats.Loop, len(e.loops))
	for i, l := range e.loops {
		_ = l.reactor.Call(func() {
			l.collect(&s.Loops[i])
			if l.egress != nil {
				s.TakeEgress(l.egress.Count)
			}
			for _, counts := range l.past.egress {
				s.TakeEgress(counts)
			}
		})
	}
}

// collect copies the loop's counters. On the loop.
func (l *loop) collect(to *stats.Loop) {
	c, r, d := &l.env.Count, l.reactor.Stats(), &l.direct.Count
	to.ClientsNow = uint64(c.Open)
	to.Accepted = c.Accepted
	to.Compactions = c.Compacted
	to.StrangersNow = uint64(c.Discarding)
	to.Strangers = c.Strangers
	to.SecretsTried, to.ScanWaits = c.Tried, c.ScanWaits
	to.ClientPauses, to.TelegramPauses = c.HeldClient, c.Paused
	to.ClientUp, to.ClientDown = c.BytesUp, c.BytesDown
	to.TelegramUp, to.TelegramDown = d.BytesUp, d.BytesDown
	to.Refused = l.refused
	to.Closed = c.Closed
	to.Handshakes = c.Handshakes
	to.Dials = d.Connected
	to.DialsFailed = d.Failed
	to.UnknownDC = d.Unknown
	for id, n := range d.ByDC {
		slot := &to.DC[stats.DCSlot(codec.DC(id))]
		slot.StreamsNow += uint64(n.Open)
		slot.Opened += n.Opened
	}
	if l.middle != nil {
		to.TakeMiddle(&l.middle.Count, l.middle.Waiting())
		to.TelegramUp += l.middle.Count.BytesUp
		to.TelegramDown += l.middle.Count.BytesDown
	}
	if l.route.back == nil {
		to.TakeWays(l.route.linked)
	}
	l.collectSplit(to)
	for _, f := range l.fronts {
		to.TakeFront(&f.Count)
	}
	for _, f := range l.past.front {
		to.TakeFront(&f.Count)
	}
	for _, n := range r.AcceptErrors {
		to.AcceptErrors += n
	}
	to.AcceptPauses = r.Rests
	to.QueuedNow = uint64(r.Queued)
	to.Panics = r.Panics
}
