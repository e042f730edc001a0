package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"epoxy/bench/compare"
)

const root = "../.."

func reports() book { return book{dir: filepath.Join(root, "docs", "figures")} }

// TestPagesAndChartsAreCurrent checks that every measured section and every chart is what the committed reports make of it.
func TestPagesAndChartsAreCurrent(t *testing.T) {
	files, err := render(root, reports())
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		have, err := os.ReadFile(filepath.Join(root, name))
		if err != nil || string(have) != want {
			t.Errorf("%s is not what docs/figures makes of it (%v): run `make figures`, that is go run ./tools/figures", name, err)
		}
	}
	for page := range pages {
		if files[page] == "" || !section.MatchString(files[page]) {
			t.Errorf("%s has no measured section", page)
		}
	}
	charts, _ := filepath.Glob(filepath.Join(root, "docs/figures/*.svg"))
	for _, file := range charts {
		if name, _ := filepath.Rel(root, file); files[filepath.ToSlash(name)] == "" {
			t.Errorf("%s is of no case in docs/figures/%s", name, mainReport)
		}
	}
}

// TestReportsSayWhere checks that every committed report names machine, kernel, Go release, commit and date; rivals.json, the one that
// is written by hand, names its source instead.
func TestReportsSayWhere(t *testing.T) {
	all := reports().reports("")
	if !slices.Contains(all, mainReport) {
		t.Errorf("docs/figures has no %s: make compare", mainReport)
	}
	for _, name := range all {
		if name == "rivals.json" {
			var list rivalList
			if err := reports().load(name, &list); err != nil || !strings.Contains(list.Source, "by hand") || len(list.Rivals) == 0 {
				t.Errorf("%s has no source: %+v, %v", name, list, err)
			}
			continue
		}
		var s source
		if err := reports().load(name, &s); err != nil {
			t.Error(err)
		} else if err := s.check(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// measured finds what looks like a measured figure: a number with a unit, a factor, or a decimal that stands alone.
var measured = regexp.MustCompile(`[\d.,]*\d ?(?:(?:[nuµm]?s|B|[kKMGT]i?B|GB/s|%|x)(?:[^\w]|$)|(?:times|cores|seconds|bytes|cycles)\b)|(?:^|[ |(])\d+\.\d+(?:[ ,|)]|$)`)

// notProse is what a page's figures may stand in: measured sections, and code, which shows settings and what programs print.
var notProse = regexp.MustCompile("(?ms)<!-- figures: .*?<!-- end -->|^```.*?^```|`[^`\n]*`")

// settings are the lines with figures that nobody measured: limits that the code keeps, sizes of the work, what the wire has. Each says
// which page, and a part of the line.
var settings = map[string][]string{
	"docs/PERFORMANCE.md": performanceSettings,
	"README.md":           readmeSettings,
}

// stray returns the lines of a page that hold a figure outside of measured sections and settings, and the settings that no line needs.
func stray(text string, allowed []string) (lines, unused []string) {
	used := map[string]bool{}
	for line := range strings.Lines(notProse.ReplaceAllString(text, "")) {
		rest := line
		for _, part := range allowed {
			if strings.Contains(line, part) {
				rest, used[part] = strings.ReplaceAll(rest, part, ""), true
			}
		}
		if found := measured.FindString(rest); found != "" {
			lines = append(lines, fmt.Sprintf("%q in %s", strings.TrimSpace(found), strings.TrimSpace(line)))
		}
	}
	for _, part := range allowed {
		if !used[part] {
			unused = append(unused, part)
		}
	}
	return lines, unused
}

// TestNoFigureByHand checks that no figure stands in a page that no report gave: prose says what was found, tables how much.
func TestNoFigureByHand(t *testing.T) {
	for page := range pages {
		text, err := os.ReadFile(filepath.Join(root, page))
		if err != nil {
			t.Fatal(err)
		}
		lines, unused := stray(string(text), settings[page])
		for _, line := range lines {
			t.Errorf("%s: a figure by hand, %s\nmeasure it with a command into docs/figures; a setting goes into tools/figures/settings_test.go", page, line)
		}
		for _, part := range unused {
			t.Errorf("%s no longer has %q: take it out of tools/figures/settings_test.go", page, part)
		}
	}
}

func TestStray(t *testing.T) {
	const page = "It took 3.5 ms, or 12 MB/s.\nA setting is 30 s long.\n`--settle 65s` and 200 clients\n<!-- figures: a -->\n5 ms\n<!-- end -->\n```\n7 s\n```\n| a | 0.81 |\nGo 4.2 times less, 127.0.0.1\n"
	lines, unused := stray(page, []string{"is 30 s long", "nowhere"})
	if len(lines) != 3 || !strings.Contains(lines[0], "It took") || !strings.Contains(lines[2], "times less") || !slices.Equal(unused, []string{"nowhere"}) {
		t.Errorf("%q, %q", lines, unused)
	}
}

func TestRewrite(t *testing.T) {
	const page = "a\n<!-- figures: table x -->\nold\n<!-- end -->\nb\n<!-- figures: soak -->\n<!-- end -->\n"
	text, err := rewrite(page, func(words []string) (string, error) { return strings.Join(words, "+") + "\n\n", nil })
	if err != nil || text != "a\n<!-- figures: table x -->\ntable+x\n<!-- end -->\nb\n<!-- figures: soak -->\nsoak\n<!-- end -->\n" {
		t.Errorf("%q, %v", text, err)
	}
	again, _ := rewrite(text, func(words []string) (string, error) { return strings.Join(words, "+"), nil })
	if again != text {
		t.Errorf("not stable: %q", again)
	}
	if _, err := rewrite(page, book{dir: t.TempDir()}.fill); err == nil || !strings.Contains(err.Error(), `"table x"`) {
		t.Errorf("error %v", err)
	}
}

func (b book) fill(words []string) (string, error) { return b.section(words, "figures") }

// TestWhatIsMissingIsSaid asks an empty directory for every kind of section.
func TestWhatIsMissingIsSaid(t *testing.T) {
	b := book{dir: t.TempDir()}
	for section, want := range map[string]string{
		"targets": "`make compare` writes `compare.json`", "table strangers/front.json strangers": "`bench/figures.sh` writes", "charts down": "make compare",
		"short": "make compare", "sizes": "make compare", "density density-250000.json": "`make density N=250000`", "soak": "`make soak`",
		"bench ciphers": "`make figures-bench`", "rivals": "rivals.json", "tried": "No comparison is kept yet.", "profile": "`bin/epoxy-bench compare --profile` writes `profile.json`",
	} {
		if text, err := b.fill(strings.Fields(section)); err != nil || !strings.Contains(text, want) {
			t.Errorf("%s: %q, %v", section, text, err)
		}
	}
}

func TestTrials(t *testing.T) {
	full := compare.Sizes{Scale: 1}
	for want, s := range map[string]source{
		"":                   {Runs: 5, Sizes: &full},
		"a trial of 1 round": {Runs: 1, Sizes: &full},
		"a trial with idle clients silent for 9s": {Runs: 5, Sizes: &compare.Sizes{Scale: 1, Idle: 9, Settle: 9e9}},
		"a trial at scale 0.5":                    {Runs: 5, Sizes: &compare.Sizes{Scale: 0.5}},
		"a trial of 60 s":                         {Seconds: 60},
		"a trial of 2 rounds":                     {Runs: 2},
	} {
		if got := s.trial(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestKeepRefusesWhatSaysNothing(t *testing.T) {
	b, file := book{dir: t.TempDir()}, filepath.Join(t.TempDir(), "x.json")
	if err := os.WriteFile(file, []byte(`{"runs": 5}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := b.keep([]string{file}, ""); err == nil || len(b.reports("")) != 0 {
		t.Errorf("kept: %v", b.reports(""))
	}
	if err := b.keep([]string{filepath.Join(reports().dir, mainReport)}, "poller/a.json"); err != nil || !slices.Equal(b.reports("poller"), []string{"poller/a.json"}) {
		t.Errorf("%v, %v", b.reports(""), err)
	}
	if err := b.keep([]string{filepath.Join(reports().dir, mainReport)}, "tried/a.json"); !errors.Is(err, errUntitled) {
		t.Errorf("error %v", err)
	}
}
