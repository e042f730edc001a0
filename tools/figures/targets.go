package main

import (
	"errors"
	"fmt"
	"io/fs"

	"epoxy/bench/compare"
	"epoxy/bench/rig"
	"epoxy/bench/soak"
)

// The crowd that has to cost as little for each as a small one does, and how much more "as little" allows.
const (
	crowdReport = "density-250000.json"
	crowdSize   = 250_000
	sameShare   = 1.1
)

// targets: what Epoxy wants to keep, and what came of it.
func (b book) targets(_ []string, at string) (string, error) {
	var r compare.Result
	if err := b.load(mainReport, &r); err != nil {
		return "", err
	}
	var rows [][]string
	for _, v := range r.Verdicts() {
		ratio := "-"
		_, _, theirs := r.Find(v.Case, v.Row, "haproxy")
		if theirs != nil && theirs.Median > 0 && v.Of != "" {
			ratio = fmt.Sprintf("%.2f", v.Value.Median/theirs.Median)
		}
		rows = append(rows, []string{v.Title, string(v.Mode), theirs.String(), v.Value.String(), ratio, v.Want(v.Unit), v.Word()})
	}
	reports := []string{mainReport}
	crowd, err := b.crowd(&r)
	switch {
	case err == nil:
		rows, reports = append(rows, crowd), append(reports, crowdReport)
	case errors.Is(err, fs.ErrNotExist):
		rows = append(rows, []string{thousands(crowdSize) + " idle clients in one process: bytes per client", "middle", "-", "not measured yet", "-", "as few as of a small crowd", "-"})
	default:
		return "", err
	}
	return b.under(grid([]string{"figure", "way", "haproxy", "Epoxy", "ratio", "target", "verdict"}, rows), at, reports...)
}

// crowd is the row of the largest density run, judged by the idle clients of the comparison.
func (b book) crowd(r *compare.Result) ([]string, error) {
	var d soak.DensityReport
	if err := b.load(crowdReport, &d); err != nil {
		return nil, err
	}
	if len(d.Held) == 0 {
		return nil, errIncomplete
	}
	last := d.Held[len(d.Held)-1]
	few := idleOf(r, rig.Middle)
	want, word := "as few as of a small crowd", "-"
	if few != nil {
		want = fmt.Sprintf("as few as of %s: %s", thousands(r.Sizes.IdleMiddle), compare.Number(few.Median))
		word = compare.Verdict{Met: len(d.Faults) == 0 && last.Clients >= crowdSize && last.Per <= few.Median*sameShare}.Word()
	}
	return []string{fmt.Sprintf("%s idle clients in one process: resident memory per client, B", thousands(last.Clients)), "middle", "-",
		compare.Number(last.Per), "-", want, word}, nil
}

// idleOf is the resident memory per idle client of Epoxy in a mode.
func idleOf(r *compare.Result, mode rig.Mode) *compare.Spread {
	return idleRow(r, "resident memory per client", mode)
}

func idleRow(r *compare.Result, row string, mode rig.Mode) *compare.Spread {
	_, _, s := r.Find("idle", row, "epoxy-"+string(mode))
	return s
}

// spareFiles is descriptors of the process beside its clients'.
const spareFiles = 100

// sizes: what so many idle clients take, computed from the bytes of one.
func (b book) sizes(_ []string, at string) (string, error) {
	var r compare.Result
	if err := b.load(mainReport, &r); err != nil {
		return "", err
	}
	var rows [][]string
	for _, n := range []int{10_000, 50_000, 100_000, 250_000} {
		for i, mode := range []rig.Mode{rig.Direct, rig.Middle} {
			process, kernel := idleOf(&r, mode), idleRow(&r, "kernel memory per client", mode)
			if process == nil || kernel == nil {
				continue
			}
			sockets := (2 - i) * n
			mb := func(s *compare.Spread) string { return fmt.Sprintf("%.0f MB", s.Median*float64(n)/1e6) }
			rows = append(rows, []string{thousands(n), string(mode), thousands(sockets + spareFiles), mb(process), mb(kernel)})
		}
	}
	text := grid([]string{"idle clients", "way", "descriptors", "process", "kernel"}, rows) + "\nComputed from the bytes of one idle client, not measured at each size.\n"
	return b.again(text, at, mainReport)
}

// density FILE: memory by number of clients, and the verdict.
func (b book) density(words []string, at string) (string, error) {
	if len(words) != 1 {
		return "", errWords
	}
	var d soak.DensityReport
	if err := b.load(words[0], &d); err != nil {
		return "", err
	}
	var rows [][]string
	for _, h := range d.Held {
		rows = append(rows, []string{thousands(h.Clients), fmt.Sprintf("%.1f", float64(h.RSS)/1e6), fmt.Sprintf("%.0f", h.Per), fmt.Sprintf("%.0f", h.PerHeap), fmt.Sprintf("%.0f", h.Kernel)})
	}
	text := grid([]string{"clients", "resident, MB", "resident per client, B", "Go heap per client, B", "kernel per client, B"}, rows)
	text += fmt.Sprintf("\nAfter the hold %s of %s clients answered; %s of them at work beside the others had a p50 of %.2f ms and a p99 of %.2f ms and took %.3f cores. %s\n",
		thousands(int(d.Answers)), thousands(d.Clients), thousands(d.Active.Clients), d.Active.Echo.P50, d.Active.Echo.P99, d.Active.Cores, passed(d.Faults))
	return b.under(text, at, words[0])
}

// soak: what was done, and what was left.
func (b book) soak(_ []string, at string) (string, error) {
	const name = "soak.json"
	var s soak.Report
	if err := b.load(name, &s); err != nil {
		return "", err
	}
	var rows [][]string
	for _, p := range s.Proxies {
		early, late := p.Resident()
		rows = append(rows, []string{p.Name, thousands(int(p.Opened)), thousands(int(p.Messages)), fmt.Sprintf("%.1f", float64(p.Down)/1e9), fmt.Sprintf("%.1f", float64(p.Up)/1e9),
			thousands(p.Reloads), thousands(p.After.LinksEnded), fmt.Sprintf("%.1f, %.1f", float64(early)/1e6, float64(late)/1e6),
			fmt.Sprintf("%d, %d", p.Before.FDs, p.After.FDs), fmt.Sprintf("%d, %d", p.Before.Goroutines, p.After.Goroutines)})
	}
	text := grid([]string{"proxy", "clients", "round trips", "GB down", "GB up", "reloads", "links that died", "resident MB, second and last quarter", "descriptors before, after", "goroutines before, after"}, rows)
	text += fmt.Sprintf("\n%.0f minutes. %s\n", s.Seconds/60, passed(s.Faults))
	return b.under(text, at, name)
}

func passed(faults []string) string {
	if len(faults) == 0 {
		return "Verdict: passed."
	}
	text := "Verdict: **failed**:"
	for _, f := range faults {
		text += " " + f + "."
	}
	return text
}

// rivalList is figures that others' proxies had, typed in by hand from where Source says.
type rivalList struct {
	Source string  `json:"source"`
	Rivals []rival `json:"rivals"`
}

// rival is one of them; 0 is a figure that nobody took.
type rival struct {
	Name      string  `json:"name"`
	Idle      float64 `json:"idle_rss_per_client"`
	Handshake float64 `json:"handshake_cpu_seconds_per_10k"`
	Bulk      float64 `json:"bulk_cpu_seconds_per_gb"`
	Small     float64 `json:"small_cpu_seconds_per_million"`
	Stalled   string  `json:"stalled_readers"`
	Whose     string  `json:"whose,omitempty"`
}

// rivals: the list by hand, then what was measured by command.
func (b book) rivals(_ []string, at string) (string, error) {
	var list rivalList
	if err := b.load("rivals.json", &list); err != nil {
		return "", err
	}
	var rows [][]string
	for _, r := range list.Rivals {
		cells := []string{r.Name}
		for _, v := range []float64{r.Idle, r.Handshake, r.Bulk, r.Small} {
			text := "-"
			if v > 0 {
				text = compare.Number(v)
			}
			cells = append(cells, text)
		}
		rows = append(rows, append(cells, orDash(r.Stalled), orDash(r.Whose)))
	}
	text := list.Source + "\n\n" + grid([]string{"proxy", "resident per idle client, B", "handshake, CPU s per 10,000", "bulk, CPU s per GB", "200 B round trips, CPU s per million", "24 stalled readers of 16.8 MB", "whose figure is which"}, rows)
	for _, name := range b.reports("rivals") {
		var r compare.Result
		if err := b.load(name, &r); err != nil {
			return "", err
		}
		words := []string{name}
		for _, o := range r.Cases {
			words = append(words, o.Name)
		}
		table, err := b.table(words, at)
		if err != nil {
			return "", err
		}
		text += "\nMeasured by command, beside Epoxy in the same rounds:\n\n" + table
	}
	return text, nil
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
