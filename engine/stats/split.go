package stats

import (
	"slices"

	wire "epoxy/codec/split"
	"epoxy/upstream/split"
)

// Split is what one loop's clients on links to backs, and the clients of front servers on it, have counted; the fields are
// those of split.Counters and split.BackCounters.
type Split struct {
	StreamsNow, Opened, Held, Stalls, Closed, Shed uint64
	Migrated                                       [split.Outcomes]uint64
	ByMiddle, ByDirect                             uint64 // streams that a back put on this way
	BytesUp, BytesDown                             uint64 // of clients, in packets or as they came

	GuestsNow, GuestsOpened, GuestsFailed, GuestStalls, GuestsLost, GuestsShed uint64
	GuestBytesUp, GuestBytesDown                                               uint64
}

// TakeRouter copies what a loop's Router has counted. Call it on the loop.
func (s *Split) TakeRouter(c *split.Counters) {
	s.StreamsNow, s.Opened, s.Held, s.Stalls, s.Closed = uint64(c.Streams), c.Opened, c.Held, c.Stalls, c.Closed
	s.Shed = c.Shed
	s.ByMiddle, s.ByDirect = c.Routes[wire.RouteMiddle], c.Routes[wire.RouteDirect]
	s.Migrated, s.BytesUp, s.BytesDown = c.Migrated, c.BytesUp, c.BytesDown
}

// TakeBack copies what a loop's Back has counted. Call it on the loop.
func (s *Split) TakeBack(c *split.BackCounters) {
	s.GuestsNow, s.GuestsOpened, s.GuestsFailed = uint64(c.Guests), c.Opened, c.Failed
	s.GuestStalls, s.GuestsLost, s.GuestsShed = c.Stalls, c.Lost, c.Shed
	s.GuestBytesUp, s.GuestBytesDown = c.BytesUp, c.BytesDown
}

func (s *Split) add(o *Split) {
	s.StreamsNow += o.StreamsNow
	s.Opened += o.Opened
	s.Held += o.Held
	s.Stalls += o.Stalls
	s.Closed += o.Closed
	s.Shed += o.Shed
	s.ByMiddle += o.ByMiddle
	s.ByDirect += o.ByDirect
	for i, n := range o.Migrated {
		s.Migrated[i] += n
	}
	s.BytesUp += o.BytesUp
	s.BytesDown += o.BytesDown
	s.GuestsNow += o.GuestsNow
	s.GuestsOpened += o.GuestsOpened
	s.GuestsFailed += o.GuestsFailed
	s.GuestStalls += o.GuestStalls
	s.GuestsLost += o.GuestsLost
	s.GuestsShed += o.GuestsShed
	s.GuestBytesUp += o.GuestBytesUp
	s.GuestBytesDown += o.GuestBytesDown
}

// splitFamilies returns the metrics of links between servers.
func splitFamilies() []family {
	return []family{
		{BackUp, gauge, "1 while there is a link to this back and it says that Telegram is within its reach.", byBack(func(b *split.BackStatus) uint64 { return bit(b.Up) })},
		{BackLinks, gauge, "Links to this back now.", byBack(func(b *split.BackStatus) uint64 { return uint64(b.Links) })},
		{BackLost, counter, "Links to this back that ended.", byBack(func(b *split.BackStatus) uint64 { return b.Lost })},
		{BackFailed, counter, "Attempts to link to this back that failed.", byBack(func(b *split.BackStatus) uint64 { return b.Failed })},
		{BackWire, counter, "Bytes of links to this back, inside TLS; up is towards Telegram.", func(v *view, line lineFunc) {
			for i := range v.Backs {
				line(v.Backs[i].BytesUp, "back", v.Backs[i].Addr, "direction", "up")
				line(v.Backs[i].BytesDown, "back", v.Backs[i].Addr, "direction", "down")
			}
		}},
		{BackStreams, gauge, "Our clients on backs now, those who wait for one too.", ofSplit(func(s *Split) uint64 { return s.StreamsNow })},
		{BackOpened, counter, "Our clients that were put on a back.", ofSplit(func(s *Split) uint64 { return s.Opened })},
		{BackBound, counter, "Our clients that a back put on its way to Telegram, by way; with an ad tag it had better be middle.", func(v *view, line lineFunc) {
			line(v.sum.Split.ByMiddle, "upstream", "middle")
			line(v.sum.Split.ByDirect, "upstream", "direct")
		}},
		{BackHeld, counter, "Our clients that came while there was no link to a back.", ofSplit(func(s *Split) uint64 { return s.Held })},
		{BackMigrated, counter, "Our clients whose link to a back ended, by what became of them.", func(v *view, line lineFunc) {
			for o, n := range v.sum.Split.Migrated {
				line(n, "outcome", split.Outcome(o).String())
			}
		}},
		{BackStalls, counter, "Times that a client of ours waited for the credit of its back, or for its link.", ofSplit(func(s *Split) uint64 { return s.Stalls })},
		{BackBytes, counter, "Bytes of our clients by way of backs; up is towards Telegram.", func(v *view, line lineFunc) {
			line(v.sum.Split.BytesUp, "direction", "up")
			line(v.sum.Split.BytesDown, "direction", "down")
		}},
		{ServedLinks, gauge, "Links of this front server now.", byFront(func(f *split.FrontStatus) uint64 { return uint64(f.Links) })},
		{ServedStreams, gauge, "Clients of this front server now.", byFront(func(f *split.FrontStatus) uint64 { return uint64(max(f.Streams, 0)) })},
		{ServedOpened, counter, "Clients of this front server that were let in.", byFront(func(f *split.FrontStatus) uint64 { return f.Opened })},
		{ServedRefused, counter, "Clients of this front server that its limits refused.", byFront(func(f *split.FrontStatus) uint64 { return f.Refused })},
		{ServedWire, counter, "Bytes of this front server's links, inside TLS; up is towards Telegram.", func(v *view, line lineFunc) {
			for i := range v.Served {
				line(v.Served[i].BytesUp, "front", v.Served[i].Name, "direction", "up")
				line(v.Served[i].BytesDown, "front", v.Served[i].Name, "direction", "down")
			}
		}},
		{ServedLost, counter, "Clients of front servers that were closed because their link ended.", ofSplit(func(s *Split) uint64 { return s.GuestsLost })},
		{ServedStalls, counter, "Times that Telegram waited for the credit of a front server, or for a link.", ofSplit(func(s *Split) uint64 { return s.GuestStalls })},
		{ServedBytes, counter, "Bytes of front servers' clients; up is towards Telegram.", func(v *view, line lineFunc) {
			line(v.sum.Split.GuestBytesUp, "direction", "up")
			line(v.sum.Split.GuestBytesDown, "direction", "down")
		}},
		{ServedDenied, counter, "Connections that were no links: of strangers, without the right certificate, one too many.", one(func(v *view) uint64 { return v.ServedRefused })},
	}
}

func ofSplit(get func(*Split) uint64) func(*view, lineFunc) {
	return func(v *view, line lineFunc) { line(get(&v.sum.Split)) }
}

func byBack(get func(*split.BackStatus) uint64) func(*view, lineFunc) {
	return func(v *view, line lineFunc) {
		for i := range v.Backs {
			line(get(&v.Backs[i]), "back", v.Backs[i].Addr)
		}
	}
}

func byFront(get func(*split.FrontStatus) uint64) func(*view, lineFunc) {
	return func(v *view, line lineFunc) {
		for i := range v.Served {
			line(get(&v.Served[i]), "front", v.Served[i].Name)
		}
	}
}

// backUp reports whether a back is ready.
func (v *view) backUp() bool {
	return slices.ContainsFunc(v.Backs, func(b split.BackStatus) bool { return b.Up })
}
