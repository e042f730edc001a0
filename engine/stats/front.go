package stats

import (
	"slices"
	"strconv"

	"epoxy/codec"
	"epoxy/upstream/egress"
	"epoxy/upstream/front"
)

// Front is what the loops count of strangers at the fronts.
type Front struct {
	Now      uint64 // being spliced
	Opened   uint64
	Denied   uint64 // for a domain that is off
	Full     uint64 // over --front-max
	NoTarget uint64 // a front without an address
	Failed   [codec.Reasons]uint64
	Up, Down uint64 // bytes
}

// TakeFront adds what one router counted.
func (l *Loop) TakeFront(c *front.Counters) {
	l.Front.add(&Front{
		Now: uint64(c.Open), Opened: c.Opened, Denied: c.Denied, Full: c.Full, NoTarget: c.NoTarget, Failed: c.Failed,
		Up: c.BytesUp, Down: c.BytesDown,
	})
	l.StrangersNow += uint64(c.Open)
}

func (f *Front) add(o *Front) {
	f.Now += o.Now
	f.Opened += o.Opened
	f.Denied += o.Denied
	f.Full += o.Full
	f.NoTarget += o.NoTarget
	f.Up += o.Up
	f.Down += o.Down
	for i, n := range o.Failed {
		f.Failed[i] += n
	}
}

// TakeEgress adds what one loop counted of the proxies towards Telegram.
func (s *Snapshot) TakeEgress(counts []egress.Count) {
	for len(s.Egress) < len(counts) {
		s.Egress = append(s.Egress, egress.Count{})
	}
	for i := range counts {
		addEgress(&s.Egress[i], &counts[i])
	}
}

func addEgress(to, from *egress.Count) {
	to.Dials += from.Dials
	to.Opened += from.Opened
	to.Rests += from.Rests
	for i, n := range from.Failed {
		to.Failed[i] += n
	}
}

// frontFamilies returns the metrics of what strangers meet: fronts and the replay store; and of proxies towards Telegram.
func frontFamilies() []family {
	return []family{
		{FrontNow, gauge, "Strangers at a front now.", one(func(v *view) uint64 { return v.sum.Front.Now })},
		{FrontOpened, counter, "Strangers sent to a front.", one(func(v *view) uint64 { return v.sum.Front.Opened })},
		{FrontRefused, counter, "Strangers not sent to a front, by cause.", func(v *view, line lineFunc) {
			line(v.sum.Front.Denied, "cause", "domain_off")
			line(v.sum.Front.Full, "cause", "full")
			line(v.sum.Front.NoTarget, "cause", "no_address")
		}},
		{FrontFailed, counter, "Connections to fronts that failed, by reason.", byReason(func(l *Loop) *[codec.Reasons]uint64 { return &l.Front.Failed })},
		{FrontBytes, counter, "Bytes between strangers and fronts; up is towards the front.", func(v *view, line lineFunc) {
			line(v.sum.Front.Up, "direction", "up")
			line(v.sum.Front.Down, "direction", "down")
		}},
		{FrontMeasured, gauge, "1 when this front was measured, so that clients are answered in its manner.", func(v *view, line lineFunc) {
			for _, f := range v.fronts() {
				line(bit(f.age >= 0), "front", f.label)
			}
		}},
		{FrontAge, gauge, "Seconds since this front was measured; -1 for never.", func(v *view, line lineFunc) {
			for _, f := range v.fronts() {
				line(uint64(f.age), "front", f.label)
			}
		}},
		{FrontWarnings, gauge, "What is wrong with this front; the log has the words.", func(v *view, line lineFunc) {
			for _, f := range v.fronts() {
				line(f.warnings, "front", f.label)
			}
		}},
		{ReplayKept, gauge, "Openings that the replay store remembers.", one(func(v *view) uint64 { return v.Replay.Entries })},
		{ReplayLimit, gauge, "Openings that the replay store can remember.", one(func(v *view) uint64 { return v.Replay.Capacity })},
		{ReplayBytes, gauge, "Memory of the replay store.", one(func(v *view) uint64 { return v.Replay.Bytes })},
		{ReplayChecks, counter, "Openings that the replay store was asked about.", one(func(v *view) uint64 { return v.Replay.Checks })},
		{ReplayHits, counter, "Openings that had been seen before.", one(func(v *view) uint64 { return v.Replay.Hits })},
		{ReplayEvicted, counter, "Openings forgotten before their 48 hours; --replay-memory is too small when this rises.", one(func(v *view) uint64 { return v.Replay.Evicted })},
		{ReplayUnsaved, counter, "Openings that could not be kept on disk.", one(func(v *view) uint64 { return v.Replay.Unsaved })},
		{ReplayErrors, counter, "Failed writes of the replay store.", one(func(v *view) uint64 { return v.Replay.FlushErrors })},
		{EgressDials, counter, "Connections through a proxy towards Telegram, by its place in the list.", func(v *view, line lineFunc) {
			for i := range v.Egress {
				line(v.Egress[i].Opened, "proxy", strconv.Itoa(i+1))
			}
		}},
		{EgressFailed, counter, "Connections that a proxy towards Telegram did not make, by its place in the list and reason.", func(v *view, line lineFunc) {
			for i := range v.Egress {
				for _, why := range egressReasons {
					line(v.Egress[i].Failed[why], "proxy", strconv.Itoa(i+1), "reason", why.String())
				}
			}
		}},
	}
}

// egressReasons are those that a dial through a proxy ends with.
var egressReasons = []codec.Reason{
	codec.ReasonDialRefused, codec.ReasonDialTime, codec.ReasonDialError, codec.ReasonPeerClosed, codec.ReasonPeerReset,
	codec.ReasonEgressRefused, codec.ReasonEgressAuth, codec.ReasonEgressBind, codec.ReasonEgressShape,
}

// frontState is what the metrics tell of the fronts with one label.
type frontState struct {
	label    string
	age      int64 // seconds since the oldest measurement; -1 when one was never measured
	warnings uint64
}

// fronts returns the state by label, which has to stand on the page once: where ports have different fronts for one domain,
// the worst of them.
func (v *view) fronts() (all []frontState) {
	for _, f := range v.Fronts {
		one := frontState{label: frontLabel(f.Domain), age: -1, warnings: uint64(len(f.Warnings)) + bit(f.Err != "")}
		if !f.Measured.IsZero() {
			one.age = max(0, int64(v.Now.Sub(f.Measured).Seconds()))
		}
		at := slices.IndexFunc(all, func(o frontState) bool { return o.label == one.label })
		if at < 0 {
			all = append(all, one)
			continue
		}
		o := &all[at]
		o.warnings += one.warnings
		if o.age >= 0 && (one.age < 0 || one.age > o.age) {
			o.age = one.age
		}
	}
	return all
}

func frontLabel(domain string) string {
	if domain == "" {
		return "default"
	}
	return domain
}
