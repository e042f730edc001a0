package stats

import (
	"epoxy/codec"
	"epoxy/upstream/middle"
)

// Most is a number that several loops have for the same thing: their sum is the one furthest from 0.
type Most int64

// add takes o when it is further from 0.
func (m *Most) add(o Most) {
	if max(o, -o) > max(*m, -*m) {
		*m = o
	}
}

// Refusals is the length of a table by middle.Refusal.
const Refusals = len(middle.Counters{}.Refused)

// Middle is what one loop's links and their streams have counted; the fields are those of middle.Counters. What ended
// streams is among Loop.Closed.
type Middle struct {
	Dials    uint64
	Ready    uint64                  // links that became ready
	Failed   [codec.Reasons]uint64   // links that did not
	Refused  [Refusals]uint64        // of those, by middle.Refusal
	Ended    [codec.Reasons]uint64   // ready links
	Skew     Most                    // seconds that our clock was ahead of the last middle proxy's
	Migrated [middle.Outcomes]uint64 // streams whose link ended

	Held, HeldLate uint64 // streams begun without a link; closed because none came
	Stalled        uint64 // times that a client was paused for its link
	LinkPauses     uint64 // times that links were paused for the loop's budget
	Shed           uint64 // streams closed for it
	Fallbacks      uint64 // requests for a DC that the address book does not have
	QueuedNow      uint64 // bytes that wait for clients

	BytesUp, BytesDown           uint64 // on the wire
	PacketsUp, PacketsDown, Acks uint64
	PingsIn, PingsOut, Pongs     uint64
	ClosedByTelegram             uint64

	// Passed on to nobody.
	Dropped         uint64 // packets that no app sends
	Empty           uint64
	Filtered        uint64
	UnknownAnswers  uint64
	UnknownCloses   uint64
	UnknownMessages uint64
	Malformed       uint64
}

// MiddleDC is the links of one datacenter and the streams on them.
type MiddleDC struct {
	Links      [middle.Stages]uint64 // now
	StreamsNow uint64
	Opened     uint64
	RTT        Most // ms of the last answered ping
}

// TakeMiddle copies what a loop's router has counted; waiting is its Waiting. Call it on the router's loop.
func (l *Loop) TakeMiddle(c *middle.Counters, waiting int) {
	l.Middle = Middle{
		Dials: c.Dials, Ready: c.Ready, Failed: c.Failed, Refused: c.Refused, Ended: c.Ended,
		Skew: -Most(c.Skew), Migrated: c.Migrated,
		Held: c.Held, HeldLate: c.HeldLate, Stalled: c.Stalled, LinkPauses: c.LinkPauses, Shed: c.Shed,
		Fallbacks: c.Fallbacks, QueuedNow: uint64(waiting),
		BytesUp: c.BytesUp, BytesDown: c.BytesDown, PacketsUp: c.PacketsUp, PacketsDown: c.PacketsDown, Acks: c.Acks,
		PingsIn: c.PingsIn, PingsOut: c.PingsOut, Pongs: c.Pongs, ClosedByTelegram: c.ClosedByTelegram,
		Dropped: c.Dropped, Empty: c.Empty, Filtered: c.Filtered, UnknownAnswers: c.UnknownAnswers,
		UnknownCloses: c.UnknownCloses, UnknownMessages: c.UnknownMessages, Malformed: c.Malformed,
	}
	for dc, n := range c.ByDC {
		one := MiddleDC{StreamsNow: uint64(n.Streams), Opened: n.Opened, RTT: Most(n.RTT)}
		for i, links := range n.Links {
			one.Links[i] = uint64(links)
		}
		l.DC[DCSlot(dc)].Middle.add(&one)
	}
}

// TakeWays notes which way the loop sends new clients of each datacenter: linked tells of one whether it is by links;
// nil is never. Call it on the loop.
func (l *Loop) TakeWays(linked func(codec.DC) bool) {
	for slot := range l.DC {
		by := linked != nil && linked(SlotDC(slot))
		l.DC[slot].ByMiddle, l.DC[slot].ByDirect = bit(by), bit(!by)
	}
}

// ReadyLinks returns how many links take streams now.
func (l *Loop) ReadyLinks() (n uint64) {
	for i := range l.DC {
		n += l.DC[i].Middle.Links[middle.Ready]
	}
	return n
}

func (m *MiddleDC) add(o *MiddleDC) {
	for i, n := range o.Links {
		m.Links[i] += n
	}
	m.StreamsNow += o.StreamsNow
	m.Opened += o.Opened
	m.RTT.add(o.RTT)
}

func (m *Middle) add(o *Middle) {
	for i := range codec.Reasons {
		m.Failed[i] += o.Failed[i]
		m.Ended[i] += o.Ended[i]
	}
	for i, n := range o.Refused {
		m.Refused[i] += n
	}
	for i, n := range o.Migrated {
		m.Migrated[i] += n
	}
	m.Dials += o.Dials
	m.Ready += o.Ready
	m.Skew.add(o.Skew)
	m.Held += o.Held
	m.HeldLate += o.HeldLate
	m.Stalled += o.Stalled
	m.LinkPauses += o.LinkPauses
	m.Shed += o.Shed
	m.Fallbacks += o.Fallbacks
	m.QueuedNow += o.QueuedNow
	m.BytesUp += o.BytesUp
	m.BytesDown += o.BytesDown
	m.PacketsUp += o.PacketsUp
	m.PacketsDown += o.PacketsDown
	m.Acks += o.Acks
	m.PingsIn += o.PingsIn
	m.PingsOut += o.PingsOut
	m.Pongs += o.Pongs
	m.ClosedByTelegram += o.ClosedByTelegram
	m.Dropped += o.Dropped
	m.Empty += o.Empty
	m.Filtered += o.Filtered
	m.UnknownAnswers += o.UnknownAnswers
	m.UnknownCloses += o.UnknownCloses
	m.UnknownMessages += o.UnknownMessages
	m.Malformed += o.Malformed
}
