package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"epoxy/bench/compare"
	"epoxy/bench/rig"
)

// micro is a benchmark that a page shows: where it is, and what go test's -bench has to be.
type micro struct {
	group, pkg, bench string
}

// micros are all of them, by the group that a section names.
var micros = []micro{
	{"ciphers", "codec/ctr", "^Benchmark$/^16384$"},
	{"ciphers", "codec/cbc", "^Benchmark$/^(decrypt|encrypt)$/^16384$"},
	{"ciphers", "codec/cbc", "^BenchmarkLanes$"},
	{"hello", "codec/faketls", "^Benchmark(ParseHello|Check|AppendFlight)$"},
	{"hello", "codec/keyshare", "^Benchmark(Point|Ciphertext)$"},
	{"strangers", "engine/session", "^BenchmarkFailedHandshake$"},
	{"session", "engine/session", "^Benchmark(Relay|Deliver)$"},
	{"replay", "engine/replay", "^Benchmark(Seen|Paced)$"},
}

// benchmarks is what they gave.
type benchmarks struct {
	Machine rig.Machine `json:"machine"`
	When    time.Time   `json:"when"`
	Runs    int         `json:"runs"`
	All     []benchmark `json:"benchmarks"`
}

type benchmark struct {
	Group   string `json:"group"`
	Package string `json:"package"`
	Name    string `json:"name"` // without the number of CPUs
	Units   []unit `json:"figures"`
}

// unit is one of the numbers that go test prints.
type unit struct {
	Unit   string    `json:"unit"`
	Median float64   `json:"median"`
	Min    float64   `json:"min"`
	Max    float64   `json:"max"`
	Values []float64 `json:"values"`
}

// measure runs them count times each and writes the file.
func measure(ctx context.Context, root, file string, count int, log io.Writer) error {
	r := benchmarks{Machine: rig.ThisMachine(), When: time.Now().UTC().Truncate(time.Second), Runs: count}
	for _, m := range micros {
		var text bytes.Buffer
		cmd := exec.CommandContext(ctx, "go", "test", "./"+m.pkg, "-run", "^$", "-bench", m.bench, "-benchmem", "-count", strconv.Itoa(count))
		cmd.Dir, cmd.Stdout, cmd.Stderr = root, io.MultiWriter(&text, log), log
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("figures: go test ./%s: %w", m.pkg, err)
		}
		found := m.parse(text.String())
		if len(found) == 0 {
			return fmt.Errorf("figures: no benchmark of %s matches %s: is it renamed? See tools/figures/bench.go", m.pkg, m.bench)
		}
		r.All = append(r.All, found...)
	}
	text, err := json.MarshalIndent(r, "", " ")
	if err == nil {
		err = os.MkdirAll(filepath.Dir(file), 0o755)
	}
	if err == nil {
		err = os.WriteFile(file, append(shorter(text), '\n'), 0o644)
	}
	return err
}

// lists are arrays of numbers, which JSON's indentation gives a line each.
var lists = regexp.MustCompile(`\[[\s\d.,eE+-]+\]`)

func shorter(text []byte) []byte {
	return lists.ReplaceAllFunc(text, func(list []byte) []byte { return bytes.Join(bytes.Fields(list), []byte(" ")) })
}

// parse reads what go test -bench prints: the same name comes once for each count.
func (m micro) parse(text string) (all []benchmark) {
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) < 4 || !strings.HasPrefix(words[0], "Benchmark") {
			continue
		}
		name := words[0]
		if at := strings.LastIndexByte(name, '-'); at > 0 {
			name = name[:at]
		}
		i := slices.IndexFunc(all, func(b benchmark) bool { return b.Name == name })
		if i < 0 {
			i, all = len(all), append(all, benchmark{Group: m.group, Package: m.pkg, Name: name})
		}
		for j := 2; j+1 < len(words); j += 2 {
			if v, err := strconv.ParseFloat(words[j], 64); err == nil {
				all[i].add(words[j+1], v)
			}
		}
	}
	return all
}

func (b *benchmark) add(name string, v float64) {
	i := slices.IndexFunc(b.Units, func(u unit) bool { return u.Unit == name })
	if i < 0 {
		i, b.Units = len(b.Units), append(b.Units, unit{Unit: name})
	}
	u := &b.Units[i]
	u.Values = append(u.Values, v)
	sorted := slices.Sorted(slices.Values(u.Values))
	n := len(sorted)
	u.Median, u.Min, u.Max = (sorted[(n-1)/2]+sorted[n/2])/2, sorted[0], sorted[n-1]
}

// of returns a figure by its unit, nil without.
func (b *benchmark) of(name string) *unit {
	for i := range b.Units {
		if b.Units[i].Unit == name {
			return &b.Units[i]
		}
	}
	return nil
}

// bench GROUP: a row for each benchmark: time, and throughput where it has one.
func (b book) bench(words []string, at string) (string, error) {
	if len(words) != 1 {
		return "", errWords
	}
	const name = "benchmarks.json"
	var r benchmarks
	if err := b.load(name, &r); err != nil {
		return "", err
	}
	var rows [][]string
	for _, x := range r.All {
		if x.Group != words[0] {
			continue
		}
		row := []string{x.words(), x.of("ns/op").time(), "-"}
		if u := x.of("MB/s"); u != nil {
			row[2] = u.scaled(1000, "GB/s")
		}
		for _, extra := range []string{"p50-ns", "p99-ns"} { // a check as a loop feels it, where a whole second is an operation
			if u := x.of(extra); u != nil {
				row[1] = strings.TrimSuffix(extra, "-ns") + " " + u.time()
				rows = append(rows, slices.Clone(row))
			}
		}
		if x.of("p50-ns") == nil {
			rows = append(rows, row)
		}
	}
	if len(rows) == 0 {
		return "", fmt.Errorf("figures: no benchmark of group %q", words[0])
	}
	return b.under(grid([]string{"benchmark", "time", "throughput"}, rows), at, name)
}

// time writes nanoseconds as people read them.
func (u *unit) time() string {
	switch {
	case u == nil:
		return "-"
	case u.Median >= 1e6:
		return u.scaled(1e6, "ms")
	case u.Median >= 1e3:
		return u.scaled(1e3, "µs")
	}
	return u.scaled(1, "ns")
}

func (u *unit) scaled(by float64, name string) string {
	return fmt.Sprintf("%s (%s-%s) %s", compare.Number(u.Median/by), compare.Number(u.Min/by), compare.Number(u.Max/by), name)
}
