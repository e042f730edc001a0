package compare

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"epoxy/bench/load"
	"epoxy/bench/rig"
)

// TestCasesFindTheirFigures gives every case a report with all that a load measures.
func TestCasesFindTheirFigures(t *testing.T) {
	busy := func(name string) load.Step {
		l := load.Latency{P50: 1, P99: 2, P999: 3, Max: 4}
		return load.Step{Name: name, Seconds: 10, Opening: l, Echo: l, CPU: &load.CPU{User: 1, System: 2, PerGB: 0.8, PerMillion: 20, PerHandshakes: 1.5}}
	}
	r := &load.Report{Slope: &load.Slope{LaterRSS: 700, Heap: 400, Kernel: 3000}, Memory: []load.Memory{
		{When: "open", Usage: load.Usage{RSS: 20e6}}, {When: "stalled", Usage: load.Usage{RSS: 25e6}},
	}}
	for _, name := range []string{"down", "up", "small", "paced", "handshake", "idle", "alone", "stalled", "reconnect"} {
		r.Steps = append(r.Steps, busy(name))
	}
	want := map[string][]float64{
		"down": {0.8}, "up": {0.8}, "small": {20, 1, 2, 3}, "paced": {20, 1, 2, 3}, "handshake": {1.5, 1, 2, 3}, "idle": {700, 400, 3000, 30},
		"stall": {5, 2, 2, 0}, "reconnect": {10, 1, 2, 3},
	}
	for _, c := range All() {
		for i, row := range c.Rows {
			if v, ok := row.Get(r); !ok || v != want[c.Name][i] {
				t.Errorf("%s, %s: %v, %v", c.Name, row.Title, v, ok)
			}
			if _, ok := row.Get(new(load.Report)); ok && row.Title != "readers cut off" {
				t.Errorf("%s, %s: a figure of nothing", c.Name, row.Title)
			}
		}
	}
}

func TestSizes(t *testing.T) {
	s := DefaultSizes(20_000)
	if s.Idle != 9000 || s.IdleMiddle != 18_000 || s.Reconnect != 9000 || s.ReconnectMiddle != 10_000 || s.bytes(60e6) != "60000000" {
		t.Errorf("%+v", s)
	}
	if s = DefaultSizes(1 << 20); s.Idle != 10_000 || s.Reconnect != 10_000 || s.IdleMiddle != 18_000 {
		t.Errorf("%+v", s)
	}
	s.Scale = 1e-9
	if s.bytes(60e6) != "4" || s.of(10_000) != "1" || DefaultSizes(100).Idle < 1 {
		t.Errorf("%+v", s)
	}
	for _, c := range All() {
		if args := c.Args(rig.Middle, s); args[0] != c.Name && args[0] != "bulk" {
			t.Errorf("%s plays %s", c.Name, args[0])
		}
	}
}

func TestFind(t *testing.T) {
	if found, err := Find([]string{"stall", "down"}); err != nil || len(found) != 2 || found[0].Name != "stall" {
		t.Errorf("%v, %v", found, err)
	}
	if _, err := Find([]string{"stall", "storm"}); err == nil || !strings.Contains(err.Error(), `"storm"`) {
		t.Errorf("error %v", err)
	}
}

func TestSpread(t *testing.T) {
	if s := spread("x", []float64{3, 1, 2}); s.Median != 2 || s.Min != 1 || s.Max != 3 || s.Values[0] != 3 {
		t.Errorf("%+v", s)
	}
	if s := spread("x", []float64{4, 1}); s.Median != 2.5 {
		t.Errorf("%+v", s)
	}
	rapid.Check(t, func(t *rapid.T) {
		list := rapid.SliceOfN(rapid.Float64Range(-1e6, 1e6), 1, 9).Draw(t, "list")
		s := spread("x", list)
		below, above := 0, 0
		for _, v := range list {
			if v < s.Min || v > s.Max {
				t.Fatalf("%v outside of %+v", v, s)
			}
			if v <= s.Median {
				below++
			}
			if v >= s.Median {
				above++
			}
		}
		if below*2 < len(list) || above*2 < len(list) {
			t.Fatalf("%v is no median of %v", s.Median, list)
		}
	})
}

func TestNumbers(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 0.78125: "0.781", 25: "25", 1.5: "1.5", 99.94: "99.9", 17749.3: "17749", -3.21: "-3.21"} {
		if got := Number(v); got != want {
			t.Errorf("%v: %s, want %s", v, got, want)
		}
	}
}

// result is of two proxies, the second one without a heap and with a name that XML has to mask.
func result() *Result {
	proxies := []rig.Proxy{{Name: "epoxy-direct"}, {Name: "a<b&c"}}
	v := newValues(All(), proxies)
	for round := range 3 {
		f := float64(round + 1)
		v.add(idle, 0, &load.Report{Slope: &load.Slope{LaterRSS: 1000 + f, Heap: 500}})
		v.add(idle, 1, &load.Report{Slope: &load.Slope{LaterRSS: 3000 * f, Kernel: -5}})
	}
	return &Result{
		Machine: rig.ThisMachine(), Runs: 3, Sizes: Sizes{Scale: 0.5, Idle: 7}, CPUs: [2]string{"0", "1"}, Proxies: proxies,
		Missing: []string{"haproxy"}, Failed: []string{"round 1"}, Cases: v.outcomes([]Case{idle}, proxies),
	}
}

func TestMarkdown(t *testing.T) {
	text := result().Markdown()
	for _, want := range []string{
		"medians (least-greatest) of 3", "Idle: 7 clients", "A trial at scale 0.5", "haproxy is not installed", "\n| | epoxy-direct | a<b&c | targets |\n|---|---|---|---|\n",
		"| Idle clients: resident memory per client, B | 1002 (1001-1003) | 6000 (3000-9000) | direct at most 1229 B: 1002, met |\n", "Go heap per client, B | 500 (500-500) | - |  |\n", "* round 1\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

func TestChartIsSound(t *testing.T) {
	for _, o := range append(result().Cases, Outcome{Title: "none", Figures: []Figure{{}}}) {
		svg := Chart(o)
		d := xml.NewDecoder(strings.NewReader(svg))
		for {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%v in\n%s", err, svg)
			}
		}
		if !strings.Contains(svg, "prefers-color-scheme: dark") || strings.Contains(svg, "width=\"-") || strings.Contains(svg, "NaN") {
			t.Error(svg)
		}
	}
	if svg := Chart(result().Cases[0]); strings.Count(svg, "<rect") != 5 || !strings.Contains(svg, ">a&lt;b&amp;c<") || !strings.Contains(svg, `class="bar ours"`) {
		t.Error(svg)
	}
}
