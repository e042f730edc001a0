// Package stats names every metric once and exports the loops' counters.
//
// A loop counts in plain integers of its own. When somebody asks, a Source copies them into a Snapshot, each loop in
// a task on its own goroutine, and an Exporter writes the Snapshot as Prometheus text. Nothing is shared in between.
package stats

import (
	"net/netip"
	"time"

	"epoxy/codec"
	"epoxy/engine/quota"
	"epoxy/engine/replay"
	"epoxy/upstream/dcmap"
	"epoxy/upstream/egress"
	"epoxy/upstream/refresh"
	"epoxy/upstream/scout"
	"epoxy/upstream/split"
)

// Source fills a Snapshot. It may be called from any goroutine, one call at a time, and may take as long as the
// slowest loop needs for one turn.
type Source interface {
	Collect(s *Snapshot)
}

// Snapshot is the state of the whole process at one moment; the caller of Collect owns it.
type Snapshot struct {
	Start         time.Time
	Now           time.Time // when it was taken; the Exporter's time when the Source does not say
	Ready         bool
	Draining      bool
	Up            bool   // Telegram is within reach
	ClientsLimit  uint64 // after --max-clients and the descriptor budget
	Replay        replay.Stats
	Fronts        []scout.Status      // by port and domain, each front once
	Egress        []egress.Count      // by the proxies towards Telegram
	Secrets       []quota.Usage       // in the order of the settings
	Ports         []Port              // the same
	Backs         []split.BackStatus  // in the order of preference
	Served        []split.FrontStatus // front servers that have been here, by name
	ServedRefused uint64              // connections that were no links
	MemoryLimit   uint64              // bytes, after --memory; 0 is none
	MemoryUsed    uint64              // bytes, of what the limit is about
	Loops         []Loop              // by loop number

	// Of the middle proxies; nil and false in direct mode.
	TagSet       bool             // there is an ad tag
	Book         *dcmap.Snapshot  // in use
	Refresh      *refresh.Status  // of what it is made from
	ReadyTargets []netip.AddrPort // addresses of ready links, of all loops, with repeats
}

// Protocols is the length of a table by codec.Protocol.
const Protocols = int(codec.TLS) + 1

// Loop is what one loop has counted since it started. Names without Now count up.
type Loop struct {
	ClientsNow   uint64
	Accepted     uint64
	AcceptErrors uint64
	AcceptPauses uint64
	QueuedNow    uint64 // bytes, both sides
	StrangersNow uint64 // read into silence, or spliced to the front
	Compactions  uint64
	Panics       uint64
	UnknownDC    uint64
	SecretsTried uint64
	ScanWaits    uint64 // times that a long search for the secret waited for its budget

	ClientUp, ClientDown         uint64 // bytes from and to clients
	TelegramUp, TelegramDown     uint64 // bytes to and from Telegram, links included
	ClientPauses, TelegramPauses uint64 // times that reading a side rested because the other side was slow

	Refused     [codec.Reasons]uint64 // turned away before a session began
	Strangers   [codec.Reasons]uint64 // failed handshakes
	Closed      [codec.Reasons]uint64 // sessions ended
	Handshakes  [Protocols]uint64     // by codec.Protocol; ProtocolNone is not used
	Dials       uint64                // connected
	DialsFailed [codec.Reasons]uint64
	DC          [DCSlots]DC // by DCSlot
	Middle      Middle
	Front       Front
	Split       Split
}

// DC is the streams of one datacenter.
type DC struct {
	StreamsNow uint64 // direct ones
	Opened     uint64
	Middle     MiddleDC

	// Loops that put new clients on this way now: the one or the other is 1 in a loop's table.
	ByDirect, ByMiddle uint64
}

// dcLabels are the label values of a DC table: a bounded set, whatever clients ask for.
var dcLabels = [...]string{"other", "1", "2", "3", "4", "5", "-1", "-2", "-3", "-4", "-5", "203", "-203", "test"}

// DCSlots is the length of a table by datacenter.
const DCSlots = len(dcLabels)

// The slots that hold more than one id, and the last production id (spec client-protocols 1.5).
const (
	slotOther = 0
	slotCDN   = 11
	slotTest  = 13
	lastDC    = 5
	cdnDC     = 203
	testDC    = 10000
)

// DCSlot returns where a table by datacenter holds dc.
func DCSlot(dc codec.DC) int {
	n := dc.Abs()
	switch {
	case n >= 1 && n <= lastDC && dc > 0:
		return n
	case n >= 1 && n <= lastDC:
		return lastDC + n
	case dc == cdnDC:
		return slotCDN
	case dc == -cdnDC:
		return slotCDN + 1
	case n > testDC && n <= testDC+lastDC:
		return slotTest
	}
	return slotOther
}

// SlotDC returns an id that a slot holds, for asking a loop the way to it; 0 for those that have no slot of their own.
func SlotDC(slot int) codec.DC {
	switch {
	case slot == slotCDN:
		return cdnDC
	case slot == slotCDN+1:
		return -cdnDC
	case slot == slotTest:
		return testDC + 1
	case slot > lastDC && slot < slotCDN:
		return codec.DC(lastDC - slot)
	case slot > slotOther && slot <= lastDC:
		return codec.DC(slot)
	}
	return 0
}

// Sum returns the counters of all loops added up.
func (s *Snapshot) Sum() Loop {
	var t Loop
	for i := range s.Loops {
		t.Add(&s.Loops[i])
	}
	return t
}

// Add adds o to l.
func (l *Loop) Add(o *Loop) {
	l.ClientsNow += o.ClientsNow
	l.Accepted += o.Accepted
	l.AcceptErrors += o.AcceptErrors
	l.AcceptPauses += o.AcceptPauses
	l.QueuedNow += o.QueuedNow
	l.StrangersNow += o.StrangersNow
	l.Compactions += o.Compactions
	l.Panics += o.Panics
	l.UnknownDC += o.UnknownDC
	l.SecretsTried += o.SecretsTried
	l.ScanWaits += o.ScanWaits
	l.ClientUp += o.ClientUp
	l.ClientDown += o.ClientDown
	l.TelegramUp += o.TelegramUp
	l.TelegramDown += o.TelegramDown
	l.ClientPauses += o.ClientPauses
	l.TelegramPauses += o.TelegramPauses
	l.Dials += o.Dials
	for i := range codec.Reasons {
		l.Refused[i] += o.Refused[i]
		l.Strangers[i] += o.Strangers[i]
		l.Closed[i] += o.Closed[i]
		l.DialsFailed[i] += o.DialsFailed[i]
	}
	for i := range Protocols {
		l.Handshakes[i] += o.Handshakes[i]
	}
	for i := range DCSlots {
		l.DC[i].StreamsNow += o.DC[i].StreamsNow
		l.DC[i].Opened += o.DC[i].Opened
		l.DC[i].ByDirect += o.DC[i].ByDirect
		l.DC[i].ByMiddle += o.DC[i].ByMiddle
		l.DC[i].Middle.add(&o.DC[i].Middle)
	}
	l.Middle.add(&o.Middle)
	l.Front.add(&o.Front)
	l.Split.add(&o.Split)
}
