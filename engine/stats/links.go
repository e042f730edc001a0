package stats

import (
	"time"

	"epoxy/codec"
	"epoxy/upstream/middle"
	"epoxy/upstream/refresh"
)

// linkFamilies returns the metrics of the links to middle proxies and of the streams on them.
func linkFamilies() []family {
	return []family{
		{Ways, gauge, "Loops that send new clients this way now, by way and datacenter.", byWay(func(dc *DC) (uint64, uint64) { return dc.ByDirect, dc.ByMiddle })},
		{TagSet, gauge, "1 when there is an ad tag.", one(func(v *view) uint64 { return bit(v.Snapshot.TagSet) })},
		{TagActive, gauge, "1 when there is an ad tag and a link to carry it, or a back.", one(func(v *view) uint64 { return bit(v.Snapshot.TagSet && (v.sum.ReadyLinks() > 0 || v.backUp())) })},
		{Links, gauge, "Links to middle proxies now, by datacenter and state.", func(v *view, line lineFunc) {
			for i, label := range dcLabels {
				for s := middle.Dialling; s < middle.Dead; s++ {
					line(v.sum.DC[i].Middle.Links[s], "dc", label, "state", s.String())
				}
			}
		}},
		{LinkDials, counter, "Links begun.", ofMiddle(func(m *Middle) uint64 { return m.Dials })},
		{LinksReady, counter, "Links that became ready.", ofMiddle(func(m *Middle) uint64 { return m.Ready })},
		{LinksFailed, counter, "Links that did not become ready, by reason.", byReason(func(l *Loop) *[codec.Reasons]uint64 { return &l.Middle.Failed })},
		{LinksRefused, counter, "Links whose handshake a middle proxy refused, by its code.", func(v *view, line lineFunc) {
			for i, n := range v.sum.Middle.Refused {
				line(n, "code", middle.Refusal(i).String())
			}
		}},
		{LinksEnded, counter, "Ready links that ended, by reason.", byReason(func(l *Loop) *[codec.Reasons]uint64 { return &l.Middle.Ended })},
		{LinkBytes, counter, "Bytes of links on the wire; up is towards Telegram.", ofMiddleBy("direction", []labelled{
			{"up", func(m *Middle) uint64 { return m.BytesUp }},
			{"down", func(m *Middle) uint64 { return m.BytesDown }},
		})},
		{LinkPackets, counter, "Packets that links carried; up is towards Telegram.", ofMiddleBy("direction", []labelled{
			{"up", func(m *Middle) uint64 { return m.PacketsUp }},
			{"down", func(m *Middle) uint64 { return m.PacketsDown }},
		})},
		{LinkDropped, counter, "Packets and messages that were passed on to nobody, by cause.", ofMiddleBy("cause", []labelled{
			{"packet_shape", func(m *Middle) uint64 { return m.Dropped }},
			{"empty", func(m *Middle) uint64 { return m.Empty }},
			{"filtered", func(m *Middle) uint64 { return m.Filtered }},
			{"unknown_answer", func(m *Middle) uint64 { return m.UnknownAnswers }},
			{"unknown_close", func(m *Middle) uint64 { return m.UnknownCloses }},
			{"unknown_message", func(m *Middle) uint64 { return m.UnknownMessages }},
			{"malformed", func(m *Middle) uint64 { return m.Malformed }},
		})},
		{QuickAcks, counter, "Quick acks that links carried.", ofMiddle(func(m *Middle) uint64 { return m.Acks })},
		{LinkPings, counter, "Pings on links: ours sent, answered, lost with their link, and those received.", ofMiddleBy("event", []labelled{
			{"sent", func(m *Middle) uint64 { return m.PingsOut }},
			{"answered", func(m *Middle) uint64 { return m.Pongs }},
			{"lost", func(m *Middle) uint64 { return m.Ended[codec.ReasonLinkDead] }},
			{"received", func(m *Middle) uint64 { return m.PingsIn }},
		})},
		{LinkRTT, millis, "Round trip of the last answered ping, the longest of all loops, by datacenter.", byDC(func(dc *DC) uint64 { return uint64(dc.Middle.RTT) })},
		{LinkPauses, counter, "Times that somebody rested: a client for its link, or links for the loop's memory.", ofMiddleBy("who", []labelled{
			{"client", func(m *Middle) uint64 { return m.Stalled }},
			{"links", func(m *Middle) uint64 { return m.LinkPauses }},
		})},
		{MiddleQueued, gauge, "Bytes from links that wait for slow clients, by loop.", perLoop(func(l *Loop) uint64 { return l.Middle.QueuedNow })},
		{Migrated, counter, "Streams whose link ended, by what became of them.", func(v *view, line lineFunc) {
			for i, n := range v.sum.Middle.Migrated {
				line(n, "outcome", middle.Outcome(i).String())
			}
		}},
		{Holds, counter, "Streams that began without a link, and those closed because none came.", ofMiddleBy("event", []labelled{
			{"begun", func(m *Middle) uint64 { return m.Held }},
			{"late", func(m *Middle) uint64 { return m.HeldLate }},
		})},
		{Shed, counter, "Streams closed because a loop's memory was spent.", one(func(v *view) uint64 { return v.sum.Middle.Shed + v.sum.Split.Shed + v.sum.Split.GuestsShed })},
		{TelegramEnds, counter, "Streams on links that Telegram closed.", ofMiddle(func(m *Middle) uint64 { return m.ClosedByTelegram })},
		{Fallbacks, counter, "Clients that asked for a datacenter without middle proxies and got another one's.", ofMiddle(func(m *Middle) uint64 { return m.Fallbacks })},
	}
}

// bookFamilies returns the metrics of Telegram's address book.
func bookFamilies() []family {
	return []family{
		{BookNumber, gauge, "Generation of the address book in use; 0 is none.", one(func(v *view) uint64 {
			if v.Book == nil {
				return 0
			}
			return v.Book.Generation
		})},
		{BookDCs, gauge, "Datacenters in the address book.", one(func(v *view) uint64 { return uint64(v.targets().dcs) })},
		{RefreshAge, gauge, "Time since a resource was last fetched and found right, -1 for never.", byResource(func(v *view, r *refresh.Resource) uint64 {
			if r.Good.IsZero() {
				return negative(-1)
			}
			return uint64(r.Age(v.Now) / time.Second)
		})},
		{RefreshGood, counter, "Fetches of a resource that were found right.", byResource(func(_ *view, r *refresh.Resource) uint64 { return r.Successes })},
		{RefreshFailed, counter, "Fetches of a resource that failed or brought nonsense.", byResource(func(_ *view, r *refresh.Resource) uint64 { return r.Failures })},
		{SecretForced, counter, "Fetches of the secret because a middle proxy had another one.", one(func(v *view) uint64 {
			if v.Refresh == nil {
				return 0
			}
			return v.Refresh.Forced
		})},
		{ClockSkew, gauge, "Seconds that our clock is ahead, by who says so; middle proxies refuse more than 30 either way.", func(v *view, line lineFunc) {
			var http time.Duration
			if v.Refresh != nil {
				http = v.Refresh.Skew
			}
			line(negative(int64(http/time.Second)), "source", "http")
			line(negative(int64(v.sum.Middle.Skew)), "source", "middle")
		}},
	}
}

// negative is a gauge's value that may be below zero.
func negative(n int64) uint64 { return uint64(n) }

// ofMiddle is a metric without labels, summed over the loops.
func ofMiddle(get func(*Middle) uint64) func(*view, lineFunc) {
	return one(func(v *view) uint64 { return get(&v.sum.Middle) })
}

// labelled is one line of a metric.
type labelled struct {
	label string
	get   func(*Middle) uint64
}

// ofMiddleBy is a metric with one line per entry, summed over the loops.
func ofMiddleBy(name string, entries []labelled) func(*view, lineFunc) {
	return func(v *view, line lineFunc) {
		for _, e := range entries {
			line(e.get(&v.sum.Middle), name, e.label)
		}
	}
}

// byResource is a metric with one line for each thing that is refreshed, wanted or not.
func byResource(get func(*view, *refresh.Resource) uint64) func(*view, lineFunc) {
	return func(v *view, line lineFunc) {
		var s refresh.Status
		if v.Refresh != nil {
			s = *v.Refresh
		}
		for k := range refresh.Kinds {
			line(get(v, &s.Resources[k]), "resource", refresh.Kind(k).String())
		}
	}
}
