package probe

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// Print writes the report for people: a table of all probes, then every difference in full. The error is
// that of w.
func (r *Report) Print(w io.Writer) error {
	var text strings.Builder
	fmt.Fprintf(&text, "target %s, reference %s, %d probes in %.1f s\n\n", r.Target, r.Reference, len(r.Results), r.Seconds)
	t := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "probe\tfirst byte ms\treference\ttarget\tverdict")
	for _, p := range r.Results {
		target, verdict := "the same", "same"
		if p.Differences != nil {
			var what []string
			for _, d := range p.Differences {
				what = append(what, d.What)
			}
			target, verdict = p.Target, "DIFFERENT: "+strings.Join(what, ", ")
		}
		fmt.Fprintf(t, "%s\t%s / %s\t%s\t%s\t%s\n", p.Name, ms(p.ReferenceFirst), ms(p.TargetFirst), p.Reference, target, verdict)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, p := range r.Results {
		for i, d := range p.Differences {
			if i == 0 {
				fmt.Fprintf(&text, "\n%s: %s\n", p.Name, p.About)
			}
			fmt.Fprintf(&text, "  %s\n    reference: %s\n    target:    %s\n", d.What, d.Reference, d.Target)
		}
	}
	fmt.Fprintf(&text, "\n%d of %d probes tell the target from the reference\n", r.Different, len(r.Results))
	_, err := io.WriteString(w, text.String())
	return err
}

// ms prints milliseconds, "-" for none.
func ms(v float64) string {
	if v == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f", v)
}
