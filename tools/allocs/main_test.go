package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const output = `goos: linux
pkg: epoxy/codec/obfs2
BenchmarkXOR/64B-2         	     200	       147.8 ns/op	 433.08 MB/s	       2 B/op	       0 allocs/op
BenchmarkXOR/200B-2        	     200	     12584 ns/op	  15.89 MB/s	       2 B/op	       0 allocs/op
BenchmarkWarm-2            	     200	     13013 ns/op	     256 B/op	       1 allocs/op
PASS
pkg: epoxy/engine/reactor
BenchmarkEchoRoundTrip-2   	     200	     28291 ns/op	       0 B/op	       0 allocs/op
PASS
`

func TestJudge(t *testing.T) {
	path := map[string][]string{"codec/obfs2": {"BenchmarkXOR"}, "engine/reactor": {"BenchmarkEchoRoundTrip"}}
	if err := judge(output, path); err != nil {
		t.Errorf("fine: %v", err)
	}
	for _, c := range []struct{ text, want string }{
		{strings.Replace(output, "2 B/op	       0 allocs", "2 B/op	       3 allocs", 1), "allocs: BenchmarkXOR/64B-2 of codec/obfs2: 3 allocs/op"},
		{strings.Replace(output, "0 B/op	       0 allocs", "0 B/op	       1 allocs", 1), "BenchmarkEchoRoundTrip-2 of engine/reactor: 1 allocs/op"},
		{strings.ReplaceAll(output, "EchoRound", "Round"), "BenchmarkEchoRoundTrip of engine/reactor did not run"},
		{"", "BenchmarkXOR of codec/obfs2 did not run"},
	} {
		if err := judge(c.text, path); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("want %q, got %v", c.want, err)
		}
	}
}

// TestListIsTrue checks that every benchmark of the list exists.
func TestListIsTrue(t *testing.T) {
	for pkg, names := range path {
		files, err := filepath.Glob(filepath.Join("..", "..", pkg, "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		var all strings.Builder
		for _, f := range files {
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			all.Write(text)
		}
		for _, name := range names {
			if !strings.Contains(all.String(), "func "+name+"(b *testing.B)") {
				t.Errorf("%s has no %s", pkg, name)
			}
		}
	}
}
