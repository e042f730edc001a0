package archtest

import (
	"bytes"
	"context"
	"go/format"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// maxLines is the length that no Go file exceeds; aim at 300.
const maxLines = 400

// The top level: what must be there, and what may stand beside it.
var (
	topMust = []string{"Makefile", "README.md", "bench", "cmd", "codec", "engine", "go.mod", "go.sum", "tools", "upstream"}
	topMay  = []string{".ci", ".gitignore", ".golangci.yml", "LICENSE", "deploy", "docs"}
)

// machinePath finds paths of one machine: a build directory, somebody's home. The pattern is put
// together so that this file does not match itself.
var machinePath = regexp.MustCompile(`(^|[^\w.-])/(work|root/go|tmp/prompts|home/[a-z]+)` + `/|\.\./` + `shared/`)

// TestGoFiles checks length and formatting of every Go file, in nested modules too.
func TestGoFiles(t *testing.T) {
	for _, file := range files(t) {
		if path.Ext(file) != ".go" {
			continue
		}
		src := read(t, file)
		if n := bytes.Count(src, []byte("\n")); n > maxLines {
			t.Errorf("%s has %d lines, more than %d", file, n, maxLines)
		}
		out, err := format.Source(src)
		if err != nil {
			t.Errorf("%s: %v", file, err)
		} else if !bytes.Equal(src, out) {
			t.Errorf("%s is not gofmt'ed", file)
		}
	}
}

// TestNoMachinePaths checks that no file knows where it was written.
func TestNoMachinePaths(t *testing.T) {
	for _, file := range files(t) {
		src := read(t, file)
		if bytes.IndexByte(src, 0) >= 0 {
			continue // not text
		}
		for i, line := range bytes.Split(src, []byte("\n")) {
			if m := machinePath.Find(line); m != nil {
				t.Errorf("%s:%d names a path of one machine: %s", file, i+1, bytes.TrimSpace(m))
			}
		}
	}
}

// TestTopLevel checks that the top level holds what it must, and nothing that is not in the list.
func TestTopLevel(t *testing.T) {
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	var have []string
	for _, e := range entries {
		if !leftover(e.Name()) {
			have = append(have, e.Name())
		}
	}
	for _, name := range have {
		if !slices.Contains(topMust, name) && !slices.Contains(topMay, name) {
			t.Errorf("%s does not belong to the top level", name)
		}
	}
	for _, name := range topMust {
		if !slices.Contains(have, name) {
			t.Errorf("the top level lacks %s", name)
		}
	}
}

// TestTidy checks that go.mod and go.sum say what the code needs. It needs the test dependencies of
// all modules, so without the module proxy or a filled cache it is skipped.
func TestTidy(t *testing.T) {
	if testing.Short() {
		t.Skip("asks the module proxy")
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "mod", "tidy", "-diff")
	cmd.Dir = root
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	switch {
	case err == nil:
	case stdout.Len() > 0:
		t.Errorf("go mod tidy would change:\n%s", head(stdout.String(), 30))
	default:
		t.Skipf("go mod tidy could not run: %v: %s", err, lastLine(stderr.String()))
	}
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	src, err := os.ReadFile(filepath.Join(root, file))
	if err != nil {
		t.Fatal(err)
	}
	return src
}

// head returns the first n lines of s.
func head(s string, n int) string {
	lines := strings.SplitAfterN(s, "\n", n+1)
	return strings.Join(lines[:min(n, len(lines))], "")
}

func lastLine(s string) string {
	s = strings.TrimSpace(s)
	return s[strings.LastIndexByte(s, '\n')+1:]
}
