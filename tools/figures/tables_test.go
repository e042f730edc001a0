package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"epoxy/bench/compare"
	"epoxy/bench/rig"
	"epoxy/bench/soak"
)

// made is a comparison with round numbers.
func made() *compare.Result {
	f := func(title, unit string, of map[string]float64) compare.Figure {
		fig := compare.Figure{Title: title, Unit: unit}
		for _, p := range []string{"epoxy-direct", "epoxy-middle", "before-middle", "after-middle", "haproxy"} {
			if v, ok := of[p]; ok {
				fig.By = append(fig.By, compare.Spread{Proxy: p, Median: v, Min: v * 0.9, Max: v * 1.1, Values: []float64{v * 0.9, v, v * 1.1}})
			}
		}
		return fig
	}
	r := &compare.Result{Title: "A change", Machine: rig.ThisMachine(), When: time.Unix(1.8e9, 0), Runs: 3, Sizes: compare.Sizes{Scale: 1, Settle: time.Minute, Idle: 9000, IdleMiddle: 18000}}
	for _, p := range []string{"epoxy-direct", "epoxy-middle", "before-middle", "after-middle", "haproxy"} {
		r.Proxies = append(r.Proxies, rig.Proxy{Name: p})
	}
	r.Cases = []compare.Outcome{
		{Name: "down", Title: "Download", Figures: []compare.Figure{f("CPU per GB", "CPU s", map[string]float64{"epoxy-direct": 0.7, "epoxy-middle": 1.2, "haproxy": 1, "before-middle": 2, "after-middle": 1})}},
		{Name: "idle", Title: "Idle clients", Figures: []compare.Figure{
			f("resident memory per client", "B", map[string]float64{"epoxy-middle": 600, "haproxy": 3000, "before-middle": 600, "after-middle": 610}), {},
			f("kernel memory per client", "B", map[string]float64{"epoxy-middle": 3000})}},
	}
	return r
}

func put(t *testing.T, b book, name string, v any) {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(b.dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestSections gives each kind of section a report, and looks for what matters in it.
func TestSections(t *testing.T) {
	b := book{dir: t.TempDir()}
	r := made()
	put(t, b, mainReport, r)
	put(t, b, "tried/one.json", r)
	put(t, b, "rivals/mtg.json", r)
	put(t, b, "rivals.json", rivalList{Source: "by hand", Rivals: []rival{{Name: "x", Idle: 10435}}})
	d := soak.DensityReport{Machine: r.Machine, When: r.When, Clients: 250_000, Held: []soak.Held{{Clients: 50_000, Per: 630}, {Clients: 250_000, Per: 620}}}
	put(t, b, crowdReport, d)
	put(t, b, "soak.json", soak.Report{Machine: r.Machine, When: r.When, Seconds: 60, Proxies: []soak.Proxy{{Name: "epoxy-direct", Opened: 12345}}})
	put(t, b, "benchmarks.json", benchmarks{Machine: r.Machine, When: r.When, Runs: 5, All: micros[0].parse("Benchmark/16384/vaes-2  10 1500 ns/op 12000 MB/s\nBenchmark/16384/vaes-2  10 1700 ns/op 10000 MB/s\n")})
	for section, wants := range map[string][]string{
		"targets": {
			"| Download: CPU seconds per GB | direct | 1 (0.9-1.1) | 0.7 (0.63-0.77) | 0.70 | at most 0.8 x haproxy | met |",
			"| middle | 1 (0.9-1.1) | 1.2 (1.08-1.32) | 1.20 | at most 1 x haproxy | **missed** |",
			"| 3000 (2700-3300) | 600 (540-660) | - | at most 700 B | met |", "| 250,000 idle clients in one process: resident memory per client, B | middle | - | 620 | - | as few as of 18,000: 600 | met |",
			"From [compare.json](at/compare.json), written by `make compare`: ", "medians (least-greatest) of 3", "make density N=250000",
		},
		"table compare.json down":                             {"|  | haproxy, TCP mode | Epoxy, direct | Epoxy, middle proxies |", "| Download: CPU seconds per GB | 1 (0.9-1.1) | 0.7 (0.63-0.77) = 0.70 x | 1.2 "},
		"versus compare.json before-middle after-middle down": {"|  | before-middle | after-middle | change |", "| 2 (1.8-2.2) | 1 (0.9-1.1) | -50 % |"},
		"charts down": {"![Download: a bar for each proxy](at/down.svg)"},
		"short":       {"| Download: CPU seconds per GB | 1 | 0.7 | 1.2 |", "| 3000 | - | 600 |"},
		"sizes":       {"| 250,000 | middle | 250,100 | 150 MB | 750 MB |", "Computed from"},
		"tried": {
			"| [A change](at/tried/one.json), commit ", "| middle | Download: CPU seconds per GB | 2 (1.8-2.2) | 1 (0.9-1.1) | -50 % |", "| +2 %, inside the spread |",
		},
		"rivals":                 {"by hand\n\n|", "| x | 10435 | - | - | - | - | - |", "Measured by command", "(at/rivals/mtg.json), written by `bench/rivals.sh`"},
		"density " + crowdReport: {"| 250,000 | 0.0 | 620 | 0 | 0 |", "Verdict: passed."},
		"soak":                   {"| epoxy-direct | 12,345 |", "**This is a trial of 60 s: no figures to quote.**"},
		"bench ciphers":          {"| AES-256-CTR, ours by vaes | 1.6 (1.5-1.7) µs | 11 (10-12) GB/s |", "`make figures-bench`"},
	} {
		text, err := b.section(strings.Fields(section), "at")
		if err != nil {
			t.Errorf("%s: %v", section, err)
		}
		for _, want := range wants {
			if !strings.Contains(text, want) {
				t.Errorf("%s: no %q in\n%s", section, want, text)
			}
		}
	}
	for _, bad := range []string{"", "nonsense", "table", "table compare.json", "versus compare.json a b", "density", "bench", "bench nothing"} {
		if text, err := b.section(strings.Fields(bad), "at"); err == nil {
			t.Errorf("%q: %s", bad, text)
		}
	}
}

func TestParseBenchmarks(t *testing.T) {
	all := micro{pkg: "p"}.parse("goos: linux\npkg: epoxy/p\nBenchmarkA/b-c-2   \t 3\t 30 ns/op\t 1.5 p50-ns\t 0 B/op\nBenchmarkB 1 7 ns/op\nBenchmarkA/b-c-2 3 10 ns/op\nok\n")
	if len(all) != 2 || all[0].Name != "BenchmarkA/b-c" || all[1].Name != "BenchmarkB" {
		t.Fatalf("%+v", all)
	}
	if u := all[0].of("ns/op"); u.Median != 20 || u.Min != 10 || u.Max != 30 || len(u.Values) != 2 || all[0].of("p50-ns").Median != 1.5 || all[0].of("MB/s") != nil {
		t.Errorf("%+v", all[0])
	}
}

func TestWords(t *testing.T) {
	for want, b := range map[string]benchmark{
		"AES-256-CTR, crypto/cipher":         {Package: "codec/ctr", Name: "Benchmark/16384/rival"},
		"AES-256-CBC decrypt, crypto/cipher": {Package: "codec/cbc", Name: "Benchmark/decrypt/16384/ordinary"},
		"100 secrets tried, bare opening":    {Package: "engine/session", Name: "BenchmarkFailedHandshake/secrets=100/tls=false"},
		"`codec/ctr Expand/vaes`":            {Package: "codec/ctr", Name: "BenchmarkExpand/vaes"},
	} {
		if got := b.words(); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// TestMicrosExist checks that the benchmarks that the page shows are still called so.
func TestMicrosExist(t *testing.T) {
	for _, m := range micros {
		names := m.bench
		names, _, _ = strings.Cut(strings.TrimPrefix(names, "^Benchmark"), "$")
		var src string
		files, _ := filepath.Glob(filepath.Join(root, m.pkg, "*_test.go"))
		for _, f := range files {
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			src += string(text)
		}
		for name := range strings.SplitSeq(strings.Trim(names, "()"), "|") {
			if !strings.Contains(src, "func Benchmark"+name+"(b *testing.B)") {
				t.Errorf("%s has no Benchmark%s: see tools/figures/bench.go", m.pkg, name)
			}
		}
	}
}

// TestProfile shows shares, what a call carries, and that a short profile is a trial.
func TestProfile(t *testing.T) {
	b := book{dir: t.TempDir()}
	put(t, b, profileReport, &compare.Profile{
		Machine: rig.ThisMachine(), When: time.Unix(1.8e9, 0), Runs: 3, Sizes: compare.Sizes{Scale: 0.5},
		Work: []compare.Work{{
			Title: "Download", Proxy: "epoxy-direct", Samples: 4200, Cost: compare.Figure{Title: "CPU per GB", Unit: "CPU s", By: []compare.Spread{{Median: 0.5, Min: 0.4, Max: 0.6}}},
			Calls: &compare.Calls{Per: "MB", Reads: 10, Writes: 20, PerRead: 1000, PerWrite: 500}, Shares: []compare.Share{{Group: "AES-256-CTR", Percent: 100}},
		}},
	})
	text, err := b.fill([]string{"profile"})
	for _, want := range []string{
		"| share of CPU time, % | Download, Epoxy, direct |", "| AES-256-CTR | 100 |", "| 10 per MB | 20 per MB | 1000 | 500 |", "4.2 CPU seconds", "a trial at scale 0.5",
		"`bin/epoxy-bench compare --profile`",
	} {
		if err != nil || !strings.Contains(text, want) {
			t.Errorf("no %q in %q, %v", want, text, err)
		}
	}
}
