package dcmap

import "errors"

// ErrImplausible refuses a list that would replace a good one.
var ErrImplausible = errors.New("dcmap: the new list lacks all of DC 1..5 or more than half of the known ids")

// Guard keeps a good list from being replaced by a damaged one (spec upstream-protocols 1.3). The zero
// Guard is ready; there is one for each list, with one owner.
type Guard struct {
	refused *List // what the last Check refused
}

// Check returns nil when next may replace old. A list without DC 1..5, or with less than half of the
// ids of old, is refused with ErrImplausible, unless it comes twice in a row. A nil old is no list,
// which anything may replace.
func (g *Guard) Check(old, next *List) error {
	if old == nil || next.plausible(old) || g.refused != nil && g.refused.Equal(next) {
		g.refused = nil
		return nil
	}
	g.refused = next
	return ErrImplausible
}

func (l *List) plausible(old *List) bool {
	kept, mains := 0, 0
	for dc := range old.dcs {
		if l.dcs[dc] != nil {
			kept++
		}
	}
	for dc := firstMainDC; dc <= lastMainDC; dc++ {
		if l.dcs[dc] != nil {
			mains++
		}
	}
	return mains > 0 && 2*kept >= len(old.dcs)
}
