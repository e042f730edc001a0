package soak

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"epoxy/bench/load"
	"epoxy/bench/rig"
)

// Sample is a moment of a proxy.
type Sample struct {
	Unix       int64 `json:"unix"`
	RSS        int64 `json:"rss"`
	Heap       int64 `json:"go_heap"`
	FDs        int   `json:"fds"`
	Goroutines int   `json:"goroutines"`
	Clients    int   `json:"clients"`
	Panics     int   `json:"panics"`
	LinksEnded int   `json:"links_ended"`
	Migrated   int   `json:"streams_migrated"`
}

func (s *soaked) sample(ctx context.Context) (Sample, error) {
	page, err := load.Scrape(ctx, s.proxy.Metrics)
	if err != nil {
		return Sample{}, err
	}
	u, err := load.Measure([]int{s.child.PID()})
	if err != nil {
		return Sample{}, err
	}
	return Sample{
		Unix: time.Now().Unix(), RSS: u.RSS, Heap: int64(page["go_memstats_heap_inuse_bytes"]), FDs: u.FDs,
		Goroutines: int(page["go_goroutines"]), Clients: int(total(page, "epoxy_clients")), Panics: int(total(page, "epoxy_panics_total")),
		LinksEnded: int(total(page, "epoxy_links_ended_total")), Migrated: int(page[`epoxy_streams_migrated_total{outcome="moved"}`]),
	}, nil
}

// total sums the series of a metric.
func total(page map[string]float64, name string) (sum float64) {
	for series, v := range page {
		if series == name || strings.HasPrefix(series, name+"{") {
			sum += v
		}
	}
	return sum
}

// settings is a settings file that changes.
type settings struct {
	file  string
	times int
}

func newSettings(dir, name string) (*settings, error) {
	s := &settings{file: filepath.Join(dir, name+".toml")}
	return s, s.write()
}

// change is the next version of the file: another limit, a guest who comes and goes.
func (s *settings) change() error {
	s.times++
	return s.write()
}

func (s *settings) write() error {
	text := fmt.Sprintf("idle_timeout = \"%dm\"\n\n[[secret]]\nname = \"soak\"\nsecret = %q\n", 20+s.times%2, rig.Key)
	if s.times%2 == 1 {
		text += fmt.Sprintf("\n[[secret]]\nname = \"guest\"\nsecret = \"%s\"\n", strings.Repeat("a5", len(rig.Key)/2))
	}
	next := s.file + ".next"
	if err := os.WriteFile(next, []byte(text), 0o600); err != nil {
		return fmt.Errorf("soak: %w", err)
	}
	return os.Rename(next, s.file)
}

// judge names everything that is wrong.
func (s *soaked) judge() (faults []string) {
	o := &s.out
	fault := func(bad bool, format string, args ...any) {
		if bad {
			faults = append(faults, o.Name+": "+fmt.Sprintf(format, args...))
		}
	}
	fault(!s.alive(), "the process ended:\n%s", s.options.Rig.Tail(o.Name))
	for why, n := range o.Why {
		fault(s.clean || damage(why), "%d clients failed: %s", n, why)
	}
	for _, job := range s.jobs {
		fault(o.Runs[job[0]] == 0, "no run of %s came to its end", job[0])
	}
	fault(o.Reloads == 0, "was never reloaded")
	log, err := os.ReadFile(filepath.Join(s.options.Rig.Dir, o.Name+".log"))
	fault(err != nil, "no log: %v", err)
	fault(strings.Contains(string(log), "reload failed"), "a reload failed, see its log")
	fault(o.Reloads > 0 && strings.Count(string(log), "msg=reloaded") < o.Reloads/2, "%d reloads were asked for, %d took place", o.Reloads, strings.Count(string(log), "msg=reloaded"))
	fault(!s.clean && o.After.LinksEnded == 0, "no link ever died")
	fault(s.moves && o.After.Migrated == 0, "no client ever changed links")
	fault(o.After.Panics > 0, "%d panics", o.After.Panics)
	fault(o.After.Clients != 0, "%d clients are left though all have gone", o.After.Clients)
	fault(o.After.FDs > o.Before.FDs+spareFDs, "descriptors: %d before, %d after", o.Before.FDs, o.After.FDs)
	fault(o.After.Goroutines > o.Before.Goroutines+spareGoroutines, "goroutines: %d before, %d after", o.Before.Goroutines, o.After.Goroutines)
	early, late := quarters(o.Samples, func(x Sample) int64 { return x.RSS })
	fault(grows(early, late), "resident memory grows: %d MB in the second quarter, %d MB in the last", early>>20, late>>20)
	early, late = quarters(o.Samples, func(x Sample) int64 { return x.Heap })
	fault(grows(early, late), "the Go heap grows: %d MB in the second quarter, %d MB in the last", early>>20, late>>20)
	early, late = quarters(o.Samples, func(x Sample) int64 { return max(0, int64(x.FDs-s.sockets()*x.Clients)) })
	fault(late > early*2+4*spareFDs, "descriptors beside the clients' grow: %d in the second quarter, %d in the last", early, late)
	fault(len(o.Samples) < 4, "%d samples are too few", len(o.Samples))
	slices.Sort(faults)
	return faults
}

// sockets returns how many descriptors a client takes.
func (s *soaked) sockets() int {
	if s.mode == rig.Direct {
		return 2
	}
	return 1
}

// damage reports whether a client failed in a way that a dying link does not excuse: by a wrong or missing byte, or by waiting for ever.
// The kind of work stands before the reason.
func damage(why string) bool {
	_, why, _ = strings.Cut(why, ": ")
	return strings.HasPrefix(why, "load: ") || strings.HasPrefix(why, "faketls: ") || strings.HasPrefix(why, "rig: ") || why == "no answer in time"
}

// quarters are the medians of the second and the last quarter: the first is for warming up.
func quarters(all []Sample, get func(Sample) int64) (early, late int64) {
	n := len(all) / 4
	if n == 0 {
		return 0, 0
	}
	return median(all[n:2*n], get), median(all[len(all)-n:], get)
}

// Resident returns the median resident bytes of the second and of the last quarter.
func (p *Proxy) Resident() (early, late int64) {
	return quarters(p.Samples, func(s Sample) int64 { return s.RSS })
}

func median(part []Sample, get func(Sample) int64) int64 {
	var values []int64
	for _, s := range part {
		values = append(values, get(s))
	}
	slices.Sort(values)
	return values[len(values)/2]
}

func grows(early, late int64) bool { return late > early+early/growShare+growBytes }
