// Package main runs the benchmarks of the packet path and fails when one of them allocates: the rule "zero allocations on the path
// of a packet", checked without looking at time. `make bench-smoke` and CI run it from the module's root.
package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
)

// rounds is how often each benchmark goes: what it allocates once, to warm up, is less than 1 for each round.
const rounds = "200x"

// path is the benchmarks that may not allocate, by package: what every byte or packet passes on its way.
var path = map[string][]string{
	"codec/ctr":        {"Benchmark"},
	"codec/cbc":        {"Benchmark", "BenchmarkLanes"},
	"codec/buf":        {"BenchmarkGetPut"},
	"codec/obfs2":      {"BenchmarkXOR"},
	"codec/faketls":    {"BenchmarkStrip"},
	"codec/full":       {"BenchmarkEncoder", "BenchmarkDecoder"},
	"codec/rpc":        {"BenchmarkAppendRequest", "BenchmarkParse", "BenchmarkParseRequest"},
	"upstream/middle":  {"BenchmarkUp", "BenchmarkDown", "BenchmarkMiddle"},
	"upstream/egress":  {"BenchmarkWrite"},
	"engine/reactor":   {"BenchmarkEchoRoundTrip", "BenchmarkRelayRoundTrip"},
	"engine/session":   {"BenchmarkRelay", "BenchmarkDeliver", "BenchmarkAccount"},
	"engine/timer":     {"BenchmarkIdle250k"},
	"engine/strangers": {"BenchmarkNote"},
	"engine/policy":    {"BenchmarkTake"},
}

func main() {
	if err := run(os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run runs them all and prints what go test prints.
func run(out io.Writer) error {
	args := []string{"test", "-run", "^$", "-benchtime", rounds, "-benchmem", "-bench"}
	var names, packages []string
	for pkg, benchmarks := range path {
		packages = append(packages, "./"+pkg)
		names = append(names, benchmarks...)
	}
	slices.Sort(packages)
	slices.Sort(names)
	args = append(append(args, "^("+strings.Join(slices.Compact(names), "|")+")$"), packages...)
	var text bytes.Buffer
	cmd := exec.Command("go", args...)
	cmd.Stdout, cmd.Stderr = io.MultiWriter(out, &text), os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("allocs: go test: %w", err)
	}
	return judge(text.String(), path)
}

// judge reads the output of go test -bench -benchmem and names every listed benchmark that allocates or did not run.
func judge(text string, path map[string][]string) error {
	var all []error
	ran := map[string]bool{}
	pkg := ""
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		switch {
		case len(words) == 2 && words[0] == "pkg:":
			_, pkg, _ = strings.Cut(words[1], "/")
			continue
		case len(words) < 4 || words[len(words)-1] != "allocs/op":
			continue
		}
		top, _, _ := strings.Cut(words[0], "/")
		if at := strings.LastIndexByte(top, '-'); at > 0 { // the number of CPUs, where there is no sub-benchmark
			top = top[:at]
		}
		if !slices.Contains(path[pkg], top) {
			continue
		}
		ran[pkg+" "+top] = true
		if n, err := strconv.ParseInt(words[len(words)-2], 10, 64); err != nil || n > 0 {
			all = append(all, fmt.Errorf("allocs: %s of %s: %s allocs/op on the packet path, want 0", words[0], pkg, words[len(words)-2]))
		}
	}
	for pkg, names := range path {
		for _, name := range names {
			if !ran[pkg+" "+name] {
				all = append(all, fmt.Errorf("allocs: %s of %s did not run: is it renamed? See tools/allocs/main.go", name, pkg))
			}
		}
	}
	slices.SortFunc(all, func(a, b error) int { return cmp.Compare(a.Error(), b.Error()) })
	return errors.Join(all...)
}
