package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"epoxy/bench/compare"
)

var (
	errKind  = errors.New("figures: no such kind of section")
	errWords = errors.New("figures: a section lacks words")
)

// kinds are the sections by their first word.
var kinds = map[string]func(b book, words []string, at string) (string, error){
	"targets": book.targets,
	"table":   book.table,
	"versus":  book.versus,
	"charts":  book.charts,
	"short":   book.short,
	"sizes":   book.sizes,
	"tried":   book.tried,
	"rivals":  book.rivals,
	"density": book.density,
	"soak":    book.soak,
	"bench":   book.bench,
	"profile": book.profile,
}

// names are what readers call the proxies.
var names = map[string]string{
	"epoxy-direct": "Epoxy, direct", "epoxy-middle": "Epoxy, middle proxies", "haproxy": "haproxy, TCP mode", "floor": "bare relay",
	"direct": "Epoxy, direct", "middle": "Epoxy, middle proxies", "rules": "all limits set", "front": "front measured", "before": "before fronts",
	"control": "control: no proxy", "down": "front down", "mute": "front never answers", "alone": "alone", "beside": "beside strangers",
}

func called(proxy string) string {
	if name, ok := names[proxy]; ok {
		return name
	}
	return proxy
}

// grid is a Markdown table.
func grid(head []string, rows [][]string) string {
	return compare.Table{Head: head, Rows: rows}.Markdown()
}

// under puts the origin of reports below a text.
func (b book) under(text, at string, reports ...string) (string, error) {
	for _, name := range reports {
		line, err := b.origin(name, at)
		if err != nil {
			return "", err
		}
		text += "\n" + line + "\n"
	}
	return text, nil
}

// again puts a shorter origin below one of many texts from the same report; the targets have it whole.
func (b book) again(text, at, name string) (string, error) {
	var s source
	if err := b.load(name, &s); err != nil {
		return "", err
	}
	line := fmt.Sprintf("From [%s](%s/%s), commit %s, %s, medians (least-greatest) of %s.", name, at, name, s.Machine.Commit, s.When.Format("2 January 2006"), plural(s.Runs, "round"))
	if why := s.trial(); why != "" {
		line = "**This is " + why + ": no figures to quote.** " + line
	}
	return text + "\n" + line + "\n", nil
}

// table FILE CASE...: every figure of these cases, a column for each proxy. What is comparable stands with its ratio to haproxy's.
func (b book) table(words []string, at string) (string, error) {
	if len(words) < 2 {
		return "", errWords
	}
	var r compare.Result
	if err := b.load(words[0], &r); err != nil {
		return "", err
	}
	head := []string{""}
	who := present(&r, words[1:])
	for _, p := range who {
		head = append(head, called(p))
	}
	var rows [][]string
	for _, o := range r.Cases {
		if !slices.Contains(words[1:], o.Name) {
			continue
		}
		for _, f := range o.Figures {
			row := []string{title(o.Title, f)}
			for _, p := range who {
				row = append(row, cell(&f, p))
			}
			rows = append(rows, row)
		}
	}
	if words[0] == mainReport {
		return b.again(grid(head, rows), at, words[0])
	}
	return b.under(grid(head, rows), at, words[0])
}

// present lists the proxies with a figure in these cases: haproxy and the floor first, as what the others are measured by.
func present(r *compare.Result, cases []string) (who []string) {
	for _, p := range r.Proxies {
		for _, o := range r.Cases {
			if slices.Contains(cases, o.Name) && slices.ContainsFunc(o.Figures, func(f compare.Figure) bool { return f.Of(p.Name) != nil }) {
				who = append(who, p.Name)
				break
			}
		}
	}
	order := func(name string) int { return slices.Index([]string{"", "floor", "haproxy"}, name) }
	slices.SortStableFunc(who, func(x, y string) int { return order(y) - order(x) })
	return who
}

func title(of string, f compare.Figure) string {
	return of + ": " + f.Label()
}

// cell is a proxy's figure, with the ratio to haproxy where both are amounts of the same work.
func cell(f *compare.Figure, proxy string) string {
	ours, theirs := f.Of(proxy), f.Of("haproxy")
	text := ours.String()
	if ours != nil && theirs != nil && proxy != "haproxy" && theirs.Median > 0 && (f.Unit == "CPU s" || f.Unit == "B") {
		text += fmt.Sprintf(" = %.2f x", ours.Median/theirs.Median)
	}
	return text
}

// versus FILE BEFORE AFTER CASE...: the figures of two proxies and what changes from the one to the other.
func (b book) versus(words []string, at string) (string, error) {
	if len(words) < 4 {
		return "", errWords
	}
	var r compare.Result
	if err := b.load(words[0], &r); err != nil {
		return "", err
	}
	var rows [][]string
	for _, o := range r.Cases {
		if !slices.Contains(words[3:], o.Name) {
			continue
		}
		for _, f := range o.Figures {
			if before, after := f.Of(words[1]), f.Of(words[2]); before != nil || after != nil {
				rows = append(rows, []string{title(o.Title, f), before.String(), after.String(), change(before, after)})
			}
		}
	}
	return b.under(grid([]string{"", called(words[1]), called(words[2]), "change"}, rows), at, words[0])
}

// charts CASE...: the pictures of these cases.
func (b book) charts(words []string, at string) (string, error) {
	var r compare.Result
	if err := b.load(mainReport, &r); err != nil {
		return "", err
	}
	var text strings.Builder
	for _, o := range append(r.Cases, overview(&r)) {
		if slices.Contains(words, o.Name) {
			fmt.Fprintf(&text, "![%s: a bar for each proxy](%s/%s.svg)\n\n", o.Title, at, o.Name)
		}
	}
	return text.String(), nil
}

// short: the first figure of each case that says what a proxy costs, of haproxy and Epoxy.
func (b book) short(_ []string, at string) (string, error) {
	var r compare.Result
	if err := b.load(mainReport, &r); err != nil {
		return "", err
	}
	head := []string{"medians; less is better"}
	var who []string
	for _, p := range []string{"haproxy", "epoxy-direct", "epoxy-middle"} {
		if slices.Contains(present(&r, []string{"down", "idle"}), p) {
			who, head = append(who, p), append(head, called(p))
		}
	}
	var rows [][]string
	for _, o := range r.Cases {
		if !slices.Contains(append(slices.Clone(costs), "reconnect"), o.Name) {
			continue
		}
		row := []string{title(o.Title, o.Figures[0])}
		for _, p := range who {
			text := "-"
			if s := o.Figures[0].Of(p); s != nil {
				text = compare.Number(s.Median)
			}
			row = append(row, text)
		}
		rows = append(rows, row)
	}
	return b.under(grid(head, rows), at, mainReport)
}

// tried: what comparisons of Epoxy with itself found, a row for each file in tried/, case and mode.
func (b book) tried(words []string, at string) (string, error) {
	dir := "tried"
	if len(words) > 0 {
		dir = words[0]
	}
	var rows [][]string
	var trials []string
	for _, name := range b.reports(dir) {
		var r compare.Result
		var s source
		if err := errors.Join(b.load(name, &r), b.load(name, &s)); err != nil {
			return "", err
		}
		what := fmt.Sprintf("[%s](%s/%s), commit %s, %d rounds", r.Title, at, name, r.Machine.Commit, r.Runs)
		if s.trial() != "" {
			what += " (" + s.trial() + ")"
		}
		for _, o := range r.Cases {
			for _, mode := range []string{"-direct", "-middle", ""} {
				f := &o.Figures[0]
				if before, after := f.Of("before"+mode), f.Of("after"+mode); before != nil && after != nil {
					rows = append(rows, []string{what, strings.TrimPrefix(mode, "-"), title(o.Title, *f), before.String(), after.String(), change(before, after)})
				}
			}
		}
		trials = append(trials, name)
	}
	if len(trials) == 0 {
		return "No comparison is kept yet.", nil
	}
	return grid([]string{"what", "way", "figure", "before", "after", "change"}, rows), nil
}

// change is of the medians; one that lies inside the spread of both is said to be none.
func change(before, after *compare.Spread) string {
	if before == nil || after == nil || before.Median == 0 {
		return "-"
	}
	text := fmt.Sprintf("%+.0f %%", 100*(after.Median/before.Median-1))
	if inside(before, after.Median) && inside(after, before.Median) {
		text += ", inside the spread"
	}
	return text
}

func inside(s *compare.Spread, v float64) bool { return v >= s.Min && v <= s.Max }
