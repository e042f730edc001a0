package soak

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"epoxy/bench/load"
	"epoxy/bench/rig"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// good is a proxy over middle proxies that passed; change spoils it.
func good(t *testing.T, change func(*soaked)) []string {
	t.Helper()
	r := &rig.Rig{Dir: t.TempDir()}
	child, err := r.Start("epoxy-middle", "", "sleep", "60")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(child.Stop)
	s := &soaked{role: role{jobs: jobs}, options: &Options{Rig: r}, child: child}
	s.out = Proxy{
		Name: "epoxy-middle", Runs: map[string]int{"handshake": 1, "bulk": 1, "small": 1, "stall": 1}, Reloads: 2,
		Why: map[string]uint64{"small: the proxy closed": 7, "bulk: peer_reset": 1}, Failed: 8,
		Before: Sample{FDs: 20, Goroutines: 12}, After: Sample{FDs: 30, Goroutines: 12, LinksEnded: 9},
	}
	for range 16 {
		s.out.Samples = append(s.out.Samples, Sample{RSS: 40 << 20, Heap: 20 << 20, FDs: 300, Clients: 250})
	}
	log := filepath.Join(r.Dir, "epoxy-middle.log")
	if err := os.WriteFile(log, []byte("msg=reloaded\nmsg=reloaded\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	change(s)
	return s.judge()
}

func TestJudge(t *testing.T) {
	if faults := good(t, func(*soaked) {}); len(faults) != 0 {
		t.Errorf("good: %q", faults)
	}
	for want, change := range map[string]func(*soaked){
		"the process ended":                        func(s *soaked) { s.child.Stop() },
		"7 clients failed: small: the":             func(s *soaked) { s.clean = true },
		"3 clients failed: bulk: load":             func(s *soaked) { s.out.Why["bulk: load: a wrong byte in the content"] = 3 },
		"no answer in time":                        func(s *soaked) { s.out.Why["stall: no answer in time"] = 1 },
		"no run of stall":                          func(s *soaked) { s.out.Runs["stall"] = 0 },
		"was never reloaded":                       func(s *soaked) { s.out.Reloads = 0 },
		"20 reloads were asked for":                func(s *soaked) { s.out.Reloads = 20 },
		"no link ever died":                        func(s *soaked) { s.out.After.LinksEnded = 0 },
		"no client ever changed links":             func(s *soaked) { s.moves = true },
		"1 panics":                                 func(s *soaked) { s.out.After.Panics = 1 },
		"2 clients are left":                       func(s *soaked) { s.out.After.Clients = 2 },
		"descriptors: 20 before, 37":               func(s *soaked) { s.out.After.FDs = 37 },
		"goroutines: 12 before, 29":                func(s *soaked) { s.out.After.Goroutines = 29 },
		"samples are too few":                      func(s *soaked) { s.out.Samples = nil },
		"resident memory grows: 40 MB":             func(s *soaked) { last(s, Sample{RSS: 65 << 20, Heap: 20 << 20, FDs: 300, Clients: 250}) },
		"the Go heap grows: 20 MB":                 func(s *soaked) { last(s, Sample{RSS: 40 << 20, Heap: 41 << 20, FDs: 300, Clients: 250}) },
		"descriptors beside the clients' grow: 50": func(s *soaked) { last(s, Sample{RSS: 40 << 20, Heap: 20 << 20, FDs: 617, Clients: 450}) },
	} {
		faults := good(t, change)
		if len(faults) == 0 || !strings.Contains(strings.Join(faults, "\n"), want) {
			t.Errorf("want %q, got %q", want, faults)
		}
	}
}

// last changes the last quarter.
func last(s *soaked, to Sample) {
	for i := range 4 {
		s.out.Samples[12+i] = to
	}
}

func TestSettingsChange(t *testing.T) {
	s, err := newSettings(t.TempDir(), "x")
	if err != nil {
		t.Fatal(err)
	}
	first, err := os.ReadFile(s.file)
	if err != nil || strings.Contains(string(first), "guest") || !strings.Contains(string(first), rig.Key) {
		t.Fatalf("%s, %v", first, err)
	}
	if err := s.change(); err != nil {
		t.Fatal(err)
	}
	second, err := os.ReadFile(s.file)
	if err != nil || !strings.Contains(string(second), "guest") || !strings.Contains(string(second), "21m") {
		t.Errorf("%s, %v", second, err)
	}
}

// held is the report of a density run in which clients cost so many bytes each, later ones more.
func held(clients int, each, later int64) *load.Report {
	r := &load.Report{Memory: []load.Memory{{When: "before", Usage: load.Usage{RSS: 20e6}}}}
	rss := int64(20e6)
	for i := range 4 {
		cost := each
		if i > 1 {
			cost = later
		}
		rss += cost * int64(clients/4)
		r.Memory = append(r.Memory, load.Memory{When: "held " + string(rune('1'+i)) + "/4", Clients: clients / 4 * (i + 1), Usage: load.Usage{RSS: rss}})
	}
	r.Steps = []load.Step{{Name: "ping", Messages: uint64(clients)}, {Name: "active", Seconds: 10, Messages: 5, CPU: &load.CPU{User: 1, System: 1}}}
	return r
}

func TestDensityJudges(t *testing.T) {
	check := func(r *load.Report, clients int, want string, passed bool) {
		t.Helper()
		d := &DensityReport{Clients: clients}
		d.read(r)
		var out strings.Builder
		d.Print(&out)
		if !strings.Contains(out.String(), want) || passed != (len(d.Faults) == 0) || strings.Contains(out.String(), "density: PASSED") != passed {
			t.Errorf("want %q in\n%s", want, out.String())
		}
	}
	check(held(20_000, 600, 600), 20_000, "20000 of 20000 clients answered", true)
	check(held(20_000, 600, 600), 20_000, "600 B of RSS in the first half, 600 B in the second", true)
	check(held(20_000, 600, 600), 20_000, "0.200 cores", true)
	check(held(20_000, 600, 1400), 20_000, "growth is not linear: 600 B a client in the first half, 1400 B", false)
	check(held(8000, 600, 5000), 8000, "too few clients to judge", true)
	check(held(20_000, 600, 600), 20_004, "20000 of 20004 clients answered", false)
	bad := held(20_000, 600, 600)
	bad.Failed, bad.Faults = 2, map[string]uint64{"peer_reset": 2}
	check(bad, 20_000, "2 clients failed: map[peer_reset:2]", false)
}

func TestReportPrints(t *testing.T) {
	var out strings.Builder
	r := Report{Proxies: []Proxy{{Name: "epoxy-middle", Why: map[string]uint64{"peer_reset": 3}, Down: 2e9}}, Faults: []string{"epoxy-middle: x"}}
	r.Print(&out)
	for _, want := range []string{"2.00 GB down", "failed: 3 peer_reset", "FAULT: epoxy-middle: x", "soak: FAILED, 1 faults"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}
