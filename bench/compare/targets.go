package compare

import (
	"fmt"
	"strings"

	"epoxy/bench/rig"
)

// Target is the most that a figure of Epoxy may be.
type Target struct {
	Case, Row string // the row's Title
	Mode      rig.Mode
	Most      float64
	Of        string // the proxy whose figure Most is a multiple of; empty: Most is in the row's unit
}

// Targets returns what Epoxy wants to keep, in the order of the cases.
func Targets() []Target {
	return []Target{
		{"down", "CPU per GB", rig.Direct, 0.8, neighbour},
		{"down", "CPU per GB", rig.Middle, 1, neighbour},
		{"small", "CPU per million", rig.Direct, 1.05, neighbour},
		{"small", "CPU per million", rig.Middle, 0.7, neighbour},
		{"handshake", "CPU per 10,000", rig.Direct, 2, ""},
		{"handshake", "CPU per 10,000", rig.Middle, 1.35, ""},
		{"idle", rowResident, rig.Direct, 1.2 * 1024, ""},
		{"idle", rowResident, rig.Middle, 700, ""},
		{"idle", "CPU while all are silent", rig.Middle, 0.1, ""},
		{"stall", rowGrowth, rig.Direct, 8, ""},
		{"stall", rowGrowth, rig.Middle, 8, ""},
		{"stall", rowBeside, rig.Direct, 5, ""},
		{"stall", rowBeside, rig.Middle, 5, ""},
		{"reconnect", rowLast, rig.Direct, 4, ""},
		{"reconnect", rowLast, rig.Middle, 4, ""},
	}
}

// neighbour is the proxy that bytes are compared with.
const neighbour = "haproxy"

// Titles of rows that have a target.
const (
	rowResident = "resident memory per client"
	rowGrowth   = "resident memory grows by"
	rowBeside   = "neighbours beside them, p99"
	rowLast     = "until the last is served"
)

// Verdict is what became of a target.
type Verdict struct {
	Target
	Title string // of case and row, with the unit
	Unit  string // of Value
	Value Spread // the medians decide
	Than  float64
	Ratio float64 // to Than, the other proxy's median; 0 without one
	Met   bool
}

// Verdicts judges the targets of what was measured.
func (r *Result) Verdicts() (all []Verdict) {
	for _, t := range Targets() {
		o, f, ours := r.Find(t.Case, t.Row, "epoxy-"+string(t.Mode))
		if ours == nil {
			continue
		}
		v := Verdict{Target: t, Title: o.Title + ": " + f.Label(), Unit: f.Unit, Value: *ours, Met: ours.Median <= t.Most}
		if t.Of != "" {
			_, _, theirs := r.Find(t.Case, t.Row, t.Of)
			if theirs == nil || theirs.Median <= 0 {
				continue
			}
			v.Than, v.Ratio = theirs.Median, ours.Median/theirs.Median
			v.Met = v.Ratio <= t.Most
		}
		all = append(all, v)
	}
	return all
}

// Find returns a figure and the values of one proxy, nil when there are none.
func (r *Result) Find(name, row, proxy string) (*Outcome, *Figure, *Spread) {
	for i := range r.Cases {
		o := &r.Cases[i]
		if o.Name != name {
			continue
		}
		for j := range o.Figures {
			if f := &o.Figures[j]; f.Title == row {
				return o, f, f.Of(proxy)
			}
		}
	}
	return nil, nil, nil
}

// Of returns the values of a proxy, nil when there are none.
func (f *Figure) Of(proxy string) *Spread {
	for i := range f.By {
		if f.By[i].Proxy == proxy {
			return &f.By[i]
		}
	}
	return nil
}

// Want says what is wanted: "at most 0.8 x haproxy".
func (t Target) Want(unit string) string {
	if t.Of != "" {
		return fmt.Sprintf("at most %s x %s", Number(t.Most), t.Of)
	}
	return strings.TrimSpace("at most " + Number(t.Most) + " " + unit)
}

// Word is the verdict in a word.
func (v Verdict) Word() string {
	if v.Met {
		return "met"
	}
	return "**missed**"
}

// judged is the last cell of a row: each of its targets with what came of it.
func (r *Result) judged(o Outcome, f Figure) string {
	var parts []string
	for _, v := range r.Verdicts() {
		if v.Case != o.Name || v.Row != f.Title {
			continue
		}
		is := Number(v.Value.Median)
		if v.Of != "" {
			is = fmt.Sprintf("%.2f x", v.Ratio)
		}
		parts = append(parts, fmt.Sprintf("%s %s: %s, %s", v.Mode, v.Want(f.Unit), is, v.Word()))
	}
	return strings.Join(parts, "; ")
}
