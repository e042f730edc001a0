package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"epoxy/bench/compare"
	"epoxy/bench/rig"
	"epoxy/bench/soak"
)

// book is the directory of reports.
type book struct{ dir string }

// source is what every report says of itself, however it is called.
type source struct {
	Machine rig.Machine `json:"machine"`
	When    time.Time   `json:"when"`
	Runs    int         `json:"runs"`
	Title   string      `json:"title"`

	Sizes   *compare.Sizes `json:"sizes"`   // of a comparison
	Clients int            `json:"clients"` // of density
	Seconds float64        `json:"seconds"` // of a soak
	Held    []soak.Held    `json:"held"`
}

// What makes a report one to quote; less is a trial, and its tables say so.
const (
	leastRounds  = 3
	leastClients = 10_000
	leastSeconds = 25 * 60
	leastSettle  = time.Minute // Epoxy drops what idle clients do not need after half of it
)

// trial says why a report is none to quote, "" when it is.
func (s *source) trial() string {
	switch {
	case s.Sizes != nil && s.Sizes.Scale != 1:
		return fmt.Sprintf("a trial at scale %g", s.Sizes.Scale)
	case s.Sizes != nil && s.Sizes.Idle > 0 && s.Sizes.Settle < leastSettle:
		return fmt.Sprintf("a trial with idle clients silent for %v", s.Sizes.Settle)
	case s.Runs > 0 && s.Runs < leastRounds:
		return "a trial of " + plural(s.Runs, "round")
	case len(s.Held) > 0 && s.Clients < leastClients:
		return "a trial with " + thousands(s.Clients) + " clients"
	case s.Seconds > 0 && s.Seconds < leastSeconds:
		return fmt.Sprintf("a trial of %.0f s", s.Seconds)
	}
	return ""
}

// load reads one report, name below the directory.
func (b book) load(name string, v any) error {
	text, err := os.ReadFile(filepath.Join(b.dir, filepath.FromSlash(name)))
	if err == nil {
		err = json.Unmarshal(text, v)
	}
	if err != nil {
		return fmt.Errorf("figures: %s: %w", name, err)
	}
	return nil
}

// reports lists all reports by slash path below the directory, in order.
func (b book) reports(under string) (all []string) {
	_ = filepath.WalkDir(filepath.Join(b.dir, under), func(file string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && filepath.Ext(file) == ".json" {
			if rel, err := filepath.Rel(b.dir, file); err == nil {
				all = append(all, filepath.ToSlash(rel))
			}
		}
		return nil // a directory that is not there has no reports
	})
	slices.Sort(all)
	return all
}

var errIncomplete = errors.New("no machine, kernel, Go release, commit or date: is it a report of epoxy-bench?")

var errUntitled = errors.New("what does it try? epoxy-bench compare --title says it")

// check says what a report lacks to be kept.
func (s *source) check() error {
	if m := s.Machine; m.CPU == "" || m.Kernel == "" || m.Go == "" || m.Commit == "" || s.When.IsZero() {
		return errIncomplete
	}
	return nil
}

// keep copies reports into the directory under their own name, or the given one. A comparison that was played in parts is given
// as its files, all of one name.
func (b book) keep(files []string, as string) error {
	parts := map[string]*compare.Result{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if text, err = join(parts, filepath.Base(file), text); err != nil {
			return fmt.Errorf("figures: %s: %w", file, err)
		}
		var s source
		if err = json.Unmarshal(text, &s); err == nil {
			err = s.check()
		}
		if strings.HasPrefix(as, "tried/") && s.Title == "" {
			err = errors.Join(err, errUntitled)
		}
		if err != nil {
			return fmt.Errorf("figures: %s: %w", file, err)
		}
		to := filepath.Join(b.dir, filepath.Base(file))
		if as != "" {
			to = filepath.Join(b.dir, filepath.FromSlash(as))
		}
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(to, text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// origin is the line under a table: where its figures come from. at is the way from the page to the directory.
func (b book) origin(name, at string) (string, error) {
	var s source
	if err := b.load(name, &s); err != nil {
		return "", err
	}
	m := s.Machine
	line := fmt.Sprintf("From [%s](%s/%s), written by `%s`: %s, %s, %s of memory, Linux %s, %s, commit %s, %s",
		name, at, name, command(name), m.CPU, plural(m.CPUs, "CPU"), gigabytes(m.Memory), m.Kernel, m.Go, m.Commit, s.When.Format("2 January 2006"))
	if s.Runs > 1 {
		line += fmt.Sprintf(", medians (least-greatest) of %d", s.Runs)
	}
	if s.Sizes != nil && s.Sizes.Idle > 0 {
		line += fmt.Sprintf("; idle clients: %s, %s over middle proxies; coming back: %s and %s", thousands(s.Sizes.Idle), thousands(s.Sizes.IdleMiddle),
			thousands(s.Sizes.Reconnect), thousands(s.Sizes.ReconnectMiddle))
	}
	line += "."
	if why := s.trial(); why != "" {
		line = "**This is " + why + ": no figures to quote.** " + line
	}
	return line, nil
}

// command is what writes a report.
func command(name string) string {
	dir, base, nested := strings.Cut(name, "/")
	switch {
	case nested && dir == "tried":
		return "bin/epoxy-bench compare"
	case nested && dir == "rivals":
		return "bench/rivals.sh"
	case name == "strangers/watched.json":
		return "bench/strangers.sh"
	case nested && dir == "strangers", name == "limits.json":
		return "bench/figures.sh"
	case nested && dir == "poller":
		return "bin/epoxy-bench compare"
	case nested:
		return base
	}
	what := strings.TrimSuffix(name, ".json")
	if name == profileReport {
		return "bin/epoxy-bench compare --profile"
	}
	if n, ok := strings.CutPrefix(what, "density-"); ok {
		return "make density N=" + n
	}
	if what == "benchmarks" {
		return "make figures-bench"
	}
	return "make " + what
}

// gigabytes is "24683656 kB" for people.
func gigabytes(memory string) string {
	number, ok := strings.CutSuffix(memory, " kB")
	n, err := strconv.ParseFloat(number, 64)
	if !ok || err != nil {
		return memory
	}
	return fmt.Sprintf("%.0f GB", n*1024/1e9)
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.Itoa(n) + " " + what + "s"
}

// thousands writes 18000 as 18,000.
func thousands(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
