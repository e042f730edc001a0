package compare

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Table is a head and rows.
type Table struct {
	Head []string
	Rows [][]string
}

// Shares is a column for each work, a row for each group that took a part of any. call names a proxy.
func (p *Profile) Shares(call func(proxy string) string) Table {
	t := Table{Head: []string{"share of CPU time, %"}}
	cost := []string{"CPU seconds"}
	columns := make([]map[string]int, len(p.Work))
	for i, w := range p.Work {
		t.Head = append(t.Head, w.Title+", "+call(w.Proxy))
		cell := "-"
		if len(w.Cost.By) > 0 {
			cell = w.Cost.By[0].String() + " " + strings.TrimPrefix(w.Cost.Title, "CPU ")
		}
		cost = append(cost, cell)
		columns[i] = whole(w.Shares)
	}
	t.Rows = append(t.Rows, cost)
	for _, group := range groups {
		row, any := []string{group}, false
		for _, c := range columns {
			cell := "-"
			if percent, ok := c[group]; ok {
				cell, any = strconv.Itoa(percent), true
			}
			row = append(row, cell)
		}
		if any {
			t.Rows = append(t.Rows, row)
		}
	}
	return t
}

// whole rounds shares so that they still add up to 100.
func whole(list []Share) map[string]int {
	by, sum := map[string]int{}, 0.0
	for _, s := range list {
		by[s.Group] = int(math.Round(sum+s.Percent) - math.Round(sum))
		sum += s.Percent
	}
	return by
}

// Counts is a row for each work of which the kernel told.
func (p *Profile) Counts(call func(proxy string) string) Table {
	t := Table{Head: []string{"", "reads", "writes", "bytes per read", "bytes per write"}}
	for _, w := range p.Work {
		if c := w.Calls; c != nil {
			t.Rows = append(t.Rows, []string{
				w.Title + ", " + call(w.Proxy), Number(c.Reads) + " per " + c.Per, Number(c.Writes) + " per " + c.Per, Number(c.PerRead), Number(c.PerWrite),
			})
		}
	}
	return t
}

// Markdown is both tables for the one who measured.
func (p *Profile) Markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s.\n%s, samples of %d rounds.\n", p.Machine, p.When.Format("2006-01-02 15:04 UTC"), p.Runs)
	same := func(proxy string) string { return proxy }
	for _, t := range []Table{p.Shares(same), p.Counts(same)} {
		b.WriteString("\n" + t.Markdown())
	}
	return b.String()
}

// Markdown is the table.
func (t Table) Markdown() string {
	var b strings.Builder
	line := func(cells []string) { b.WriteString("| " + strings.Join(cells, " | ") + " |\n") }
	line(t.Head)
	b.WriteString(strings.Repeat("|---", len(t.Head)) + "|\n")
	for _, r := range t.Rows {
		line(r)
	}
	return b.String()
}
