package compare

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"epoxy/bench/load"
	"epoxy/bench/rig"
)

// values collects what rounds give: by case, row and proxy.
type values struct {
	all map[string][][][]float64
}

func newValues(cases []Case, proxies []rig.Proxy) *values {
	v := &values{all: map[string][][][]float64{}}
	for _, c := range cases {
		rows := make([][][]float64, len(c.Rows))
		for i := range rows {
			rows[i] = make([][]float64, len(proxies))
		}
		v.all[c.Name] = rows
	}
	return v
}

func (v *values) add(c Case, who int, r *load.Report) {
	for i, row := range c.Rows {
		if x, ok := row.Get(r); ok {
			v.all[c.Name][i][who] = append(v.all[c.Name][i][who], x)
		}
	}
}

func (v *values) outcomes(cases []Case, proxies []rig.Proxy) (all []Outcome) {
	for _, c := range cases {
		o := Outcome{Name: c.Name, Title: c.Title}
		for i, row := range c.Rows {
			f := Figure{Title: row.Title, Unit: row.Unit}
			for who, p := range proxies {
				if list := v.all[c.Name][i][who]; len(list) > 0 {
					f.By = append(f.By, spread(p.Name, list))
				}
			}
			o.Figures = append(o.Figures, f)
		}
		all = append(all, o)
	}
	return all
}

// spread orders values; of an even number the median is the mean of the two in the middle.
func spread(proxy string, list []float64) Spread {
	sorted := slices.Sorted(slices.Values(list))
	n := len(sorted)
	return Spread{
		Proxy: proxy, Median: (sorted[(n-1)/2] + sorted[n/2]) / 2, Min: sorted[0], Max: sorted[n-1], Values: list,
	}
}

// write writes all files.
func (r *Result) write(dir string) error {
	if err := r.Save(filepath.Join(dir, "compare.json")); err != nil {
		return err
	}
	files := map[string]string{"compare.md": r.Markdown()}
	for _, o := range r.Cases {
		files[o.Name+".svg"] = Chart(o)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return fmt.Errorf("compare: %w", err)
		}
	}
	return nil
}

// Markdown returns the table.
func (r *Result) Markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s.\n%s, medians (least-greatest) of %d.", r.Machine, r.When.Format("2006-01-02 15:04 UTC"), r.Runs)
	if r.CPUs[0] != "" {
		fmt.Fprintf(&b, " The proxy has CPU %s to itself, the fake Telegram and the load share CPU %s.", r.CPUs[0], r.CPUs[1])
	}
	if r.Sizes.Idle > 0 {
		fmt.Fprintf(&b, " Idle: %d clients, %d over middle proxies; coming back: %d and %d.", r.Sizes.Idle, r.Sizes.IdleMiddle, r.Sizes.Reconnect, r.Sizes.ReconnectMiddle)
	}
	if r.Sizes.Scale != 1 {
		fmt.Fprintf(&b, " A trial at scale %g: no figures to quote.", r.Sizes.Scale)
	}
	for _, name := range r.Missing {
		fmt.Fprintf(&b, " %s is not installed here.", name)
	}
	b.WriteString("\n\n| |")
	for _, p := range r.Proxies {
		fmt.Fprintf(&b, " %s |", p.Name)
	}
	b.WriteString(" targets |\n|---|" + strings.Repeat("---|", len(r.Proxies)+1) + "\n")
	for _, o := range r.Cases {
		for _, f := range o.Figures {
			b.WriteString("| " + o.Title + ": " + f.Label() + " |")
			for _, p := range r.Proxies {
				b.WriteString(" " + f.Of(p.Name).String() + " |")
			}
			b.WriteString(" " + r.judged(o, f) + " |\n")
		}
	}
	if len(r.Failed) > 0 {
		b.WriteString("\nWhat failed:\n\n")
		for _, line := range r.Failed {
			b.WriteString("* " + line + "\n")
		}
	}
	return b.String()
}

// Label is the title with the unit: "CPU seconds per GB", "p99, ms".
func (f *Figure) Label() string {
	if work, ok := strings.CutPrefix(f.Title, "CPU per "); ok && f.Unit == "CPU s" {
		return "CPU seconds per " + work
	}
	return strings.TrimSuffix(f.Title+", "+f.Unit, ", ")
}

// String is the median with the least and the greatest, "-" of nil.
func (s *Spread) String() string {
	if s == nil {
		return "-"
	}
	return fmt.Sprintf("%s (%s-%s)", Number(s.Median), Number(s.Min), Number(s.Max))
}

// Number prints three digits that count, and whole numbers from 100 on.
func Number(v float64) string {
	if a := math.Abs(v); a >= 100 || v == math.Trunc(v) {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}
