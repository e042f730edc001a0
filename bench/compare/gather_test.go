package compare

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"epoxy/bench/load"
)

// leave writes a report as a script does.
func leave(t *testing.T, dir, name string, r load.Report) {
	t.Helper()
	text, err := json.Marshal(r)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, name+".json"), text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestGather(t *testing.T) {
	dir := t.TempDir()
	for round, name := range []string{"watched.alone.1", "watched.alone.2", "watched.beside.1", "watched.beside.2"} {
		leave(t, dir, name, load.Report{Steps: []load.Step{{Name: "small", Echo: load.Latency{P50: 1, P99: float64(round)}}}})
	}
	leave(t, dir, "probes.beside.1", load.Report{Crowd: &load.Crowd{PerSecond: 1600, RSS: 19e6}, Failed: 1})
	r, err := Gather(dir, "A crowd", []string{"beside", "", "alone"})
	if err != nil {
		t.Fatal(err)
	}
	if r.Title != "A crowd" || r.Runs != 2 || len(r.Proxies) != 2 || r.Proxies[0].Name != "beside" || len(r.Failed) != 1 || r.Machine.CPUs < 1 || r.When.IsZero() {
		t.Errorf("%+v", r)
	}
	if _, f, s := r.Find("watched", "p99", "alone"); s == nil || !slices.Equal(s.Values, []float64{0, 1}) || s.Median != 0.5 || f.Of("beside").Max != 3 {
		t.Errorf("%+v", r.Cases)
	}
	if _, _, s := r.Find("probes", "resident memory beside strangers", "beside"); s == nil || s.Median != 19 {
		t.Errorf("%+v", r.Cases)
	}
	if text := r.Markdown(); strings.Contains(text, "Idle:") || !strings.Contains(text, "| The crowd: probes answered, a second | 1600 (1600-1600) | - |") {
		t.Error(text)
	}
	for _, bad := range []string{"a.b.c", "no.round.x"} {
		other := t.TempDir()
		leave(t, other, bad, load.Report{})
		if _, err := Gather(other, "", nil); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
	if _, err := Gather(t.TempDir(), "", nil); err == nil {
		t.Error("nothing is taken")
	}
}

// TestVerdicts judges a ratio, an amount, and nothing where a proxy is missing.
func TestVerdicts(t *testing.T) {
	by := func(direct, middle, other float64) []Spread {
		return []Spread{spread("epoxy-direct", []float64{direct}), spread("epoxy-middle", []float64{middle}), spread("haproxy", []float64{other})}
	}
	r := &Result{Cases: []Outcome{
		{Name: "down", Title: "Download", Figures: []Figure{{"CPU per GB", "CPU s", by(0.8, 1.1, 1)}}},
		{Name: "stall", Title: "Stall", Figures: []Figure{{rowGrowth, "MB", by(7.9, 8.1, 0)}}},
		{Name: "small", Title: "Small", Figures: []Figure{{"CPU per million", "CPU s", by(1, 1, 0)[:2]}}},
	}}
	var got []string
	for _, v := range r.Verdicts() {
		got = append(got, v.Case+" "+string(v.Mode)+" "+v.Want(v.Unit)+" "+v.Word())
	}
	want := []string{"down direct at most 0.8 x haproxy met", "down middle at most 1 x haproxy **missed**", "stall direct at most 8 MB met", "stall middle at most 8 MB **missed**"}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if text := r.judged(r.Cases[0], r.Cases[0].Figures[0]); text != "direct at most 0.8 x haproxy: 0.80 x, met; middle at most 1 x haproxy: 1.10 x, **missed**" {
		t.Error(text)
	}
	for _, target := range Targets() { // every one has its row
		found := false
		for _, c := range All() {
			found = found || c.Name == target.Case && slices.ContainsFunc(c.Rows, func(r Row) bool { return r.Title == target.Row })
		}
		if !found {
			t.Errorf("no row for %+v", target)
		}
	}
}
