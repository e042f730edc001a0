package strangers

import (
	"bytes"
	"cmp"
	"encoding/json"
	"slices"

	"epoxy/codec"
)

// Report is a picture of one table, or of several merged, which shares no memory with them.
type Report struct {
	Total   uint64       `json:"total"`       // strangers noted
	Skipped uint64       `json:"ja4_skipped"` // TLS clients whose fingerprint was not taken, beyond the rate
	Floor   uint64       `json:"floor"`       // a pair that is not in Top came at most so often
	Kinds   KindCounts   `json:"kinds"`       // exact
	Reasons ReasonCounts `json:"reasons"`     // exact
	Top     []Entry      `json:"top"`         // by Count, the greatest first

	size int // entries that the table has room for
}

// Entry is one pair of what came and why it was turned away. It came at most Count and at least Count - Over times.
type Entry struct {
	Kind        Kind
	JA4         JA4 // of a TLS client within the rate
	Why         codec.Reason
	Count, Over uint64
	First, Last int64 // unix seconds; First is since the pair is in the list
}

// MarshalJSON writes words for kind, fingerprint and reason.
func (e Entry) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Kind  string `json:"kind"`
		JA4   string `json:"ja4,omitempty"`
		Why   string `json:"why"`
		Count uint64 `json:"count"`
		Over  uint64 `json:"over"`
		First int64  `json:"first_seen"`
		Last  int64  `json:"last_seen"`
	}{e.Kind.String(), e.JA4.String(), e.Why.String(), e.Count, e.Over, e.First, e.Last})
}

// KindCounts has a number for each Kind.
type KindCounts [kinds]uint64

// MarshalJSON writes an object with all kinds.
func (c KindCounts) MarshalJSON() ([]byte, error) {
	words := make(map[string]uint64, len(c))
	for k, n := range c {
		words[Kind(k).String()] = n
	}
	return json.Marshal(words)
}

// ReasonCounts has a number for each codec.Reason.
type ReasonCounts [codec.Reasons]uint64

// MarshalJSON writes an object with the reasons that came.
func (c ReasonCounts) MarshalJSON() ([]byte, error) {
	words := make(map[string]uint64)
	for r, n := range c {
		if n > 0 {
			words[codec.Reason(r).String()] = n
		}
	}
	return json.Marshal(words)
}

// Merge adds up the reports of several loops. Bounds stay bounds: where a pair is not in the list of a loop, that
// loop's Floor is added to its Count and Over. Top has room for as many entries as the largest of the tables.
func Merge(reports ...Report) Report {
	var sum Report
	at := make(map[pair]int)
	floors := []uint64(nil) // of the reports that have an entry of sum.Top, by its place
	for i := range reports {
		r := &reports[i]
		sum.Total += r.Total
		sum.Skipped += r.Skipped
		sum.Floor += r.Floor
		sum.size = max(sum.size, r.size)
		for k, n := range r.Kinds {
			sum.Kinds[k] += n
		}
		for k, n := range r.Reasons {
			sum.Reasons[k] += n
		}
		for _, e := range r.Top {
			p := pair{ja4: e.JA4, kind: e.Kind, why: e.Why}
			to, ok := at[p]
			if !ok {
				at[p] = len(sum.Top)
				sum.Top = append(sum.Top, e)
				floors = append(floors, r.Floor)
				continue
			}
			s := &sum.Top[to]
			s.Count += e.Count
			s.Over += e.Over
			s.First, s.Last = min(s.First, e.First), max(s.Last, e.Last)
			floors[to] += r.Floor
		}
	}
	for i := range sum.Top {
		absent := sum.Floor - floors[i]
		sum.Top[i].Count += absent
		sum.Top[i].Over += absent
	}
	sum.sort()
	if size := sum.size; len(sum.Top) > size {
		sum.Floor = max(sum.Floor, sum.Top[size].Count)
		sum.Top = sum.Top[:size]
	}
	if sum.Top == nil {
		sum.Top = []Entry{} // an empty list in JSON
	}
	return sum
}

// sort puts the greatest counts first, equal ones in a fixed order.
func (r *Report) sort() {
	slices.SortFunc(r.Top, func(a, b Entry) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Over, b.Over), cmp.Compare(a.Kind, b.Kind),
			bytes.Compare(a.JA4[:], b.JA4[:]), cmp.Compare(a.Why, b.Why))
	})
}
