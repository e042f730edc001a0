package compare

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"epoxy/bench/load"
	"epoxy/bench/rig"
)

// Gather reads reports of epoxy-bench load that a script left in a directory as CASE.PROXY.ROUND.json, and sums them up as Run does.
// names is the order of the proxies; others come behind them.
func Gather(dir, title string, names []string) (*Result, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.*.*.json"))
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("compare: no CASE.PROXY.ROUND.json in %s", dir)
	}
	r := &Result{Title: title, Machine: rig.ThisMachine(), When: time.Now().UTC().Truncate(time.Second), Sizes: Sizes{Scale: 1}}
	reports := map[string]*load.Report{}
	var cases []Case
	for _, file := range files {
		word := strings.Split(strings.TrimSuffix(filepath.Base(file), ".json"), ".")
		round, err := strconv.Atoi(word[len(word)-1])
		if len(word) != 3 || err != nil {
			return nil, fmt.Errorf("compare: %s is not called CASE.PROXY.ROUND.json", file)
		}
		r.Runs = max(r.Runs, round)
		if !slices.Contains(names, word[1]) {
			names = append(names, word[1])
		}
		report := new(load.Report)
		text, err := os.ReadFile(file)
		if err == nil {
			err = json.Unmarshal(text, report)
		}
		if err != nil {
			return nil, fmt.Errorf("compare: %s: %w", file, err)
		}
		reports[filepath.Base(file)] = report
		if !report.OK() {
			r.Failed = append(r.Failed, fmt.Sprintf("round %d, %s, %s: %d clients failed, %v", round, word[0], word[1], report.Failed, report.Faults))
		}
	}
	for _, c := range append(All(), crowd, watched, probes) {
		if slices.ContainsFunc(files, func(f string) bool { return strings.HasPrefix(filepath.Base(f), c.Name+".") }) {
			cases = append(cases, c)
		}
	}
	for _, name := range names {
		if name == "" {
			continue
		}
		r.Proxies = append(r.Proxies, rig.Proxy{Name: name})
	}
	v := newValues(cases, r.Proxies)
	for round := 1; round <= r.Runs; round++ {
		for _, c := range cases {
			for who, p := range r.Proxies {
				if report := reports[fmt.Sprintf("%s.%s.%d.json", c.Name, p.Name, round)]; report != nil {
					v.add(c, who, report)
				}
			}
		}
	}
	r.Cases = v.outcomes(cases, r.Proxies)
	return r, nil
}

// crowd is strangers and clients in one load generator (bench/figures.sh).
var crowd = Case{
	Name: "strangers", Title: "Clients beside a crowd of strangers",
	Rows: []Row{
		ofCrowd("p50 of clients alone", "ms", func(c *load.Crowd) float64 { return c.AloneP50 }),
		ofCrowd("p50 beside strangers", "ms", func(c *load.Crowd) float64 { return c.BesideP50 }),
		ofCrowd("p99 of clients alone", "ms", func(c *load.Crowd) float64 { return c.AloneP99 }),
		ofCrowd("p99 beside strangers", "ms", func(c *load.Crowd) float64 { return c.BesideP99 }),
		ofCrowd("change of the p99", "%", func(c *load.Crowd) float64 { return c.Change }),
		ofCrowd("probes answered", "a second", func(c *load.Crowd) float64 { return c.PerSecond }),
		ofCrowd("the proxy's cores alone", "", func(c *load.Crowd) float64 { return c.CPUAlone }),
		ofCrowd("the proxy's cores beside strangers", "", func(c *load.Crowd) float64 { return c.CPU }),
		ofCrowd("resident memory beside strangers", "MB", func(c *load.Crowd) float64 { return float64(c.RSS) / 1e6 }),
	},
}

// watched is clients measured by a load generator of their own while another one plays the crowd, whose report is probes
// (bench/strangers.sh). "alone" and "beside" stand where proxies do.
var watched = Case{Name: "watched", Title: "Clients with priority over a crowd of strangers", Rows: latencies("small", echo)[:2]}

var probes = Case{
	Name: "probes", Title: "The crowd",
	Rows: []Row{
		ofCrowd("probes answered", "a second", func(c *load.Crowd) float64 { return c.PerSecond }),
		ofCrowd("resident memory beside strangers", "MB", func(c *load.Crowd) float64 { return float64(c.RSS) / 1e6 }),
	},
}

func ofCrowd(title, unit string, get func(*load.Crowd) float64) Row {
	return Row{title, unit, func(r *load.Report) (float64, bool) {
		if r.Crowd == nil {
			return 0, false
		}
		return get(r.Crowd), true
	}}
}

// Save writes the result as JSON.
func (r *Result) Save(file string) error { return saveJSON(file, r) }
