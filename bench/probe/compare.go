package probe

import (
	"bytes"
	"fmt"
	"time"
)

// Judge compares what the reference and the target did to one probe. Each of the target's connections must
// look like at least one of the reference's; of the one that looks least like any, the differences from
// its nearest are returned. slack is Options.Slack. Both slices hold at least one Sight.
func Judge(reference, target []Sight, slack time.Duration) []Difference {
	var worst []Difference
	for i := range target {
		nearest := Compare(&reference[0], &target[i], slack)
		for j := range reference {
			if d := Compare(&reference[j], &target[i], slack); len(d) < len(nearest) {
				nearest = d
			}
		}
		if len(nearest) > len(worst) {
			worst = nearest
		}
	}
	a, b := firsts(reference), firsts(target)
	if a > 0 && b > 0 && !sameFirst(a, b, slack) {
		worst = append(worst, Difference{DiffFirst, a.Round(time.Millisecond / 10).String(), b.Round(time.Millisecond / 10).String()})
	}
	return worst
}

// Compare returns what tells two connections apart, but for the time to the first byte, of which a single
// one says little: at most one Difference for each fact, one for the bytes, one for the end.
func Compare(reference, target *Sight, slack time.Duration) []Difference {
	var found []Difference
	for _, name := range []string{FactConnect, FactError, FactVersion, FactSuite, FactALPN, FactChain, FactResumed, FactStatus, FactHeader, FactBody} {
		if a, b := reference.fact(name), target.fact(name); a != b {
			found = append(found, Difference{name, a, b})
		}
	}
	if d, differ := compareParts(reference.Parts, target.Parts); differ {
		found = append(found, d)
	}
	if d, differ := compareEnds(reference, target, slack); differ {
		found = append(found, d)
	}
	return found
}

// compareParts returns the first difference of two answers.
func compareParts(a, b []Part) (Difference, bool) {
	for i := range max(len(a), len(b)) {
		switch {
		case i >= len(a):
			return partDifference("nothing", b[i].String(), b[i].Kind == kindAlert), true
		case i >= len(b):
			return partDifference(a[i].String(), "nothing", a[i].Kind == kindAlert), true
		}
		p, q := &a[i], &b[i]
		switch {
		case p.Kind != q.Kind:
			return partDifference(p.String(), q.String(), p.Kind == kindAlert || q.Kind == kindAlert), true
		case p.Kind == kindAlert && !bytes.Equal(p.Bytes, q.Bytes):
			return partDifference(p.String(), q.String(), true), true
		case p.Size != q.Size:
			return Difference{DiffSize, fmt.Sprintf("record %d: %s", i+1, p), fmt.Sprintf("record %d: %s", i+1, q)}, true
		case !bytes.Equal(p.Bytes, q.Bytes):
			at := differAt(p.Bytes, q.Bytes)
			return Difference{DiffBytes, excerpt(p, i, at), excerpt(q, i, at)}, true
		}
	}
	return Difference{}, false
}

func partDifference(reference, target string, alert bool) Difference {
	if alert {
		return Difference{DiffAlert, reference, target}
	}
	return Difference{DiffRecord, reference, target}
}

// differAt returns the offset of the first byte that differs.
func differAt(a, b []byte) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	return min(len(a), len(b))
}

// excerpt shows the bytes of p around at.
func excerpt(p *Part, record, at int) string {
	return fmt.Sprintf("record %d, %s at %d: %q", record+1, p.Kind, at, p.Bytes[min(at, len(p.Bytes)):min(at+12, len(p.Bytes))])
}

// compareEnds compares how and when two connections ended.
func compareEnds(a, b *Sight, slack time.Duration) (Difference, bool) {
	if len(a.Parts) > 0 || a.Ended < endTolerance {
		slack = 0 // a proxy that knows what to do with the bytes does not wait
	}
	late := a.Ended + slack
	switch {
	case a.End == b.End:
		if a.End == Open || near(a.Ended, b.Ended, slack) {
			return Difference{}, false
		}
		return Difference{DiffEndTime, a.ending(), b.ending()}, true
	case b.End == Open && slack > 0 && b.Ended <= late+endTolerance: // not overdue yet
		return Difference{}, false
	}
	return Difference{DiffEnd, a.ending(), b.ending()}, true
}

// near says whether b is as late as a, or up to slack later.
func near(a, b, slack time.Duration) bool {
	tolerance := max(endTolerance, a/endShare)
	return b >= a-tolerance && b <= a+slack+tolerance
}

// sameFirst says whether two times to the first byte look the same from outside.
func sameFirst(a, b, slack time.Duration) bool {
	if a >= endTolerance {
		return near(a, b, slack)
	}
	small, large := min(a, b), max(a, b)
	return large-small <= firstTolerance || large <= firstFactor*small
}
