package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"epoxy/bench/compare"
	"epoxy/bench/rig"
	"epoxy/bench/soak"
)

// programs builds both and returns their directory.
func programs(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("builds both programs")
	}
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", dir, "epoxy/cmd/epoxy", "epoxy/cmd/epoxy-bench")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return dir
}

// program runs the built epoxy-bench, in its own directory.
func program(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(dir, "epoxy-bench"), args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("epoxy-bench %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// readJSON reads a file that the program wrote.
func readJSON(t *testing.T, file string, v any) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(text, v)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestProfile profiles one case, with too little work to say much.
func TestProfile(t *testing.T) {
	dir := programs(t)
	out := program(t, dir, "compare", "--profile", "--runs", "1", "--scale", "0.01", "--cases", "handshake", "--epoxy-modes", "direct", "--out", "results")
	var p compare.Profile
	readJSON(t, filepath.Join(dir, "results", "profile.json"), &p)
	if len(p.Work) != 1 || p.Title == "" || p.Machine.CPUs < 1 || p.Runs != 1 || p.Sizes.Scale != 0.01 || !strings.Contains(out, "share of CPU time") {
		t.Fatalf("%+v\n%s", p, out)
	}
	if w := p.Work[0]; w.Case != "handshake" || w.Proxy != "epoxy-direct" || len(w.Cost.By) != 1 || w.Calls == nil || w.Calls.Reads < 1 || w.Calls.PerWrite < 100 {
		t.Errorf("%+v", w)
	}
	if o := (&comparison{profile: true, cases: []string{"idle"}}); o.complete() == nil {
		t.Error("idle clients have no profile")
	}
}

// TestCompare compares Epoxy, a relay given by --proxy, and the neighbours in every scenario, with little of everything.
func TestCompare(t *testing.T) {
	dir := programs(t)
	at, err := rig.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	out := program(t, dir, "compare", "--runs", "2", "--scale", "0.002", "--idle", "60", "--idle-middle", "80", "--reconnect", "50", "--reconnect-middle", "60", "--settle", "0s", "--stall", "200ms",
		"--out", "results", "--proxy", fmt.Sprintf("name=other mode=relay addr=%s run=./epoxy-bench floor --listen {listen} --target {telegram}", at))
	var r compare.Result
	readJSON(t, filepath.Join(dir, "results", "compare.json"), &r)
	names := map[string]bool{}
	for _, p := range r.Proxies {
		names[p.Name] = true
	}
	if !names["epoxy-direct"] || !names["epoxy-middle"] || !names["other"] || !names["floor"] || names["haproxy"] == (len(r.Missing) > 0) {
		t.Errorf("proxies %v, missing %v", names, r.Missing)
	}
	if len(r.Cases) != 8 || len(r.Failed) > 0 || r.Machine.CPUs < 1 {
		t.Errorf("%d cases, failed %v\n%s", len(r.Cases), r.Failed, out)
	}
	for _, c := range r.Cases {
		for _, s := range c.Figures[0].By {
			if len(s.Values) != 2 || s.Min > s.Median || s.Median > s.Max {
				t.Errorf("%s, %s: %+v", c.Name, c.Figures[0].Title, s)
			}
		}
		if len(c.Figures[0].By) != len(r.Proxies) {
			t.Errorf("%s, %s: of %d proxies", c.Name, c.Figures[0].Title, len(c.Figures[0].By))
		}
		if _, err := os.Stat(filepath.Join(dir, "results", c.Name+".svg")); err != nil {
			t.Error(err)
		}
	}
	if table, err := os.ReadFile(filepath.Join(dir, "results", "compare.md")); err != nil || !strings.Contains(out, string(table)) {
		t.Errorf("%v, printed\n%s", err, out)
	}
	if reports, _ := filepath.Glob(filepath.Join(dir, "results", "reports", "*.json")); len(reports) != 2*8*len(r.Proxies) {
		t.Errorf("%d reports", len(reports))
	}
}

func TestDensity(t *testing.T) {
	dir := programs(t)
	out := program(t, dir, "density", "--clients", "300", "--steps", "3", "--settle", "0s", "--active", "200ms", "--json", "density.json")
	var r soak.DensityReport
	readJSON(t, filepath.Join(dir, "density.json"), &r)
	if len(r.Held) != 3 || r.Held[2].Clients != 300 || r.Held[2].Heap <= 0 || r.Answers != 300 || r.Active.Messages == 0 || len(r.Faults) > 0 {
		t.Errorf("%+v", r)
	}
	if !strings.Contains(out, "after the hold 300 of 300 clients answered") || !strings.Contains(out, "density: PASSED") {
		t.Error(out)
	}
}

// TestSoak soaks for a minute.
func TestSoak(t *testing.T) {
	dir := programs(t)
	out := program(t, dir, "soak", "--duration", "60s", "--json", "soak.json")
	var r soak.Report
	readJSON(t, filepath.Join(dir, "soak.json"), &r)
	if len(r.Proxies) != 3 || len(r.Faults) > 0 || !strings.Contains(out, "soak: PASSED") {
		t.Fatalf("%+v\n%s", r.Faults, out)
	}
	for _, p := range r.Proxies {
		if bulk := p.Name != "epoxy-migrate"; bulk && (p.Down == 0 || p.Up == 0) || p.Messages == 0 || p.Opened == 0 || p.Reloads < 3 {
			t.Errorf("%s: %d down, %d up, %d messages, %d opened, %d reloads", p.Name, p.Down, p.Up, p.Messages, p.Opened, p.Reloads)
		}
	}
	if direct := r.Proxies[0]; direct.Name != "epoxy-direct" || direct.Failed != 0 {
		t.Errorf("%s: %d failed", direct.Name, direct.Failed)
	}
}

func TestParseProxy(t *testing.T) {
	p, err := parseProxy("name=mine mode=middle addr=127.0.0.1:7 secret=ee00 metrics=http://x/m run=mine --run=1 {listen} ")
	if err != nil || p.Name != "mine" || p.Mode != rig.Middle || p.Addr != "127.0.0.1:7" || p.Secret != "ee00" || p.Metrics != "http://x/m" || p.Argv[0] != "mine --run=1 {listen}" {
		t.Errorf("%+v, %v", p, err)
	}
	if text, _ := json.Marshal(p); strings.Contains(string(text), "ee00") {
		t.Errorf("the secret is written: %s", text)
	}
}

func TestMistakesOfRunsAreNamed(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"compare", "--cases", "storm"}, `"storm" is none of`},
		{[]string{"compare", "--runs", "0"}, "must be above 0"},
		{[]string{"compare", "--epoxy-modes", "relay"}, `--epoxy-modes "relay" is none of`},
		{[]string{"compare", "--proxy", "name=x"}, "no run=COMMAND"},
		{[]string{"compare", "--proxy", "name=x addr=127.0.0.1:1 run=x"}, "no secret="},
		{[]string{"compare", "--proxy", "name=x secret=1 run=x"}, "no addr="},
		{[]string{"compare", "--proxy", "addr=127.0.0.1:1 secret=1 run=x"}, "no name="},
		{[]string{"compare", "--proxy", "color=red run=x"}, `"color" is none of`},
		{[]string{"compare", "--proxy", "mode=fast run=x"}, `mode "fast" is none of`},
		{[]string{"compare", "--variant", "before"}, "is not NAME=PROGRAM FLAGS"},
		{[]string{"gather", "/nowhere"}, "no CASE.PROXY.ROUND.json"},
		{[]string{"density", "--clients", "0"}, "must be above 0"},
		{[]string{"density", "--clients", "1000000000"}, "make density N=1000000000 uses a guest kernel"},
		{[]string{"soak", "--duration", "1s"}, "too short"},
		{[]string{"soak", "now"}, "unknown command"},
		{[]string{"floor", "--target", "here"}, "floor"},
		{[]string{"load", "density", "--steps", "0"}, "steps must be 1"},
	} {
		code, _, errs := call(t, c.args...)
		if code == 0 || !strings.Contains(errs, c.want) {
			t.Errorf("%s: code %d, %s", c.args, code, errs)
		}
	}
}

// TestVariants compares Epoxy with itself under other flags, and nothing else, and sums up the reports again.
func TestVariants(t *testing.T) {
	dir := programs(t)
	program(t, dir, "compare", "--runs", "2", "--cases", "handshake", "--scale", "0.002", "--epoxy-modes", "direct", "--neighbours=false", "--out", "results",
		"--title", "A smaller buffer", "--variant", "before=./epoxy", "--variant", "after=./epoxy --upstream-rcvbuf 64KiB")
	var r, again compare.Result
	readJSON(t, filepath.Join(dir, "results", "compare.json"), &r)
	if r.Title != "A smaller buffer" || len(r.Proxies) != 2 || r.Proxies[0].Name != "before-direct" || r.Proxies[1].Name != "after-direct" || len(r.Cases) != 1 || len(r.Failed) > 0 {
		t.Fatalf("%+v", r)
	}
	if argv := r.Proxies[1].Argv; argv[0] != "./epoxy" || argv[len(argv)-1] != "64KiB" {
		t.Errorf("%q", argv)
	}
	out := program(t, dir, "gather", filepath.Join("results", "reports"), "--json", "again.json", "--order", "before-direct,after-direct", "--title", "Once more")
	readJSON(t, filepath.Join(dir, "again.json"), &again)
	if again.Title != "Once more" || again.Runs != 2 || !reflect.DeepEqual(again.Cases, r.Cases) || !strings.Contains(out, "| before-direct | after-direct |") {
		t.Errorf("%+v\n%s", again, out)
	}
}

// TestCompareOutlivesAProxy lets a proxy end in the middle of its work: it is told, and the others are measured.
func TestCompareOutlivesAProxy(t *testing.T) {
	dir := programs(t)
	at, err := rig.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	program(t, dir, "compare", "--runs", "1", "--cases", "idle", "--idle", "20", "--settle", "6s", "--epoxy-modes", "", "--out", "results",
		"--proxy", fmt.Sprintf("name=mortal mode=relay addr=%s run=timeout -s KILL 4 ./epoxy-bench floor --listen {listen} --target {telegram}", at))
	var r compare.Result
	readJSON(t, filepath.Join(dir, "results", "compare.json"), &r)
	if len(r.Failed) == 0 || !strings.Contains(r.Failed[0], "idle, mortal") {
		t.Errorf("failed %q", r.Failed)
	}
	by := r.Cases[0].Figures[0].By
	if len(by) == 0 || by[len(by)-1].Proxy != "floor" || by[0].Proxy == "mortal" {
		t.Errorf("%+v", by)
	}
}
