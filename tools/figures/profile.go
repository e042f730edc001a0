package main

import (
	"fmt"

	"epoxy/bench/compare"
)

const profileReport = "profile.json"

// profile: where the CPU time of each scenario went, and what a system call carries.
func (b book) profile(_ []string, at string) (string, error) {
	var p compare.Profile
	if err := b.load(profileReport, &p); err != nil {
		return "", err
	}
	least := int64(0)
	for i, w := range p.Work {
		if i == 0 || w.Samples < least {
			least = w.Samples
		}
	}
	text := p.Shares(called).Markdown() + "\n" + p.Counts(called).Markdown() +
		fmt.Sprintf("\nShares are of %.1f CPU seconds or more in each column, a sample for every 10 ms.\n", float64(least)/1000)
	return b.under(text, at, profileReport)
}
