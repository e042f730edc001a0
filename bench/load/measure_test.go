package load

import (
	"math"
	"os"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestHistogramQuantiles(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := rapid.SliceOfN(rapid.Int64Range(0, int64(time.Minute)), 1, 200).Draw(t, "all")
		var h, other Histogram
		for i, d := range all {
			[]*Histogram{&h, &other}[i%2].Add(time.Duration(d))
		}
		h.Merge(&other)
		slices.Sort(all)
		if h.Count() != uint64(len(all)) || h.Max() != time.Duration(all[len(all)-1]) {
			t.Fatalf("count %d, max %v of %v", h.Count(), h.Max(), all)
		}
		for _, q := range []float64{0, 0.5, 0.99} {
			want := float64(all[int(q*float64(len(all)))])
			if got := float64(h.Quantile(q)); got > want || got < want*(1-1.0/64)-1 {
				t.Fatalf("quantile %v is %v, want %v", q, got, want)
			}
		}
	})
}

func TestHistogramHoldsTheLongest(t *testing.T) {
	var h Histogram
	h.Add(time.Hour)
	if got := h.Quantile(0.5); got < 8*time.Minute || h.Max() != time.Hour {
		t.Errorf("an hour is %v, at most %v", got, h.Max())
	}
	if got := new(Histogram).Quantile(0.5); got != 0 {
		t.Errorf("nothing is %v", got)
	}
}

func TestParseStat(t *testing.T) {
	const stat = "1234 (a (b) c) S 1 1 1 0 -1 4194560 100 0 0 0 250 125 0 0 20 0 7 0 100 1000 200 18446744073709551615"
	u, ok := parseStat([]byte(stat))
	if !ok || u.User != 2500*time.Millisecond || u.System != 1250*time.Millisecond || u.Threads != 7 {
		t.Errorf("%+v, %v", u, ok)
	}
	for _, bad := range []string{"", "1 (x)", "1 (x) S 1 1 1 0 -1 4194560 100 0 0 0 x 125 0 0 20 0 7 0 100"} {
		if _, ok := parseStat([]byte(bad)); ok {
			t.Errorf("%q is understood", bad)
		}
	}
}

func TestStatusBytes(t *testing.T) {
	const status = "Name:\tx\nVmRSS:\t    2048 kB\nRssAnon:\t  512 kB\n"
	if got := statusBytes([]byte(status), "VmRSS:"); got != 2048<<10 {
		t.Errorf("RSS %d", got)
	}
	if got := statusBytes([]byte(status), "Threads:"); got != 0 {
		t.Errorf("a missing line is %d", got)
	}
}

func TestMeasureThisProcess(t *testing.T) {
	u, err := Measure([]int{os.Getpid(), os.Getpid()})
	if err != nil {
		t.Fatal(err)
	}
	if u.RSS < 1<<20 || u.RSS < u.Anon || u.FDs < 3 || u.Threads < 1 {
		t.Errorf("%+v", u)
	}
	if _, err := Measure([]int{-1}); err == nil {
		t.Error("a process that cannot be was measured")
	}
}

func TestSlope(t *testing.T) {
	r := &Report{Memory: []Memory{
		{When: "before", Usage: Usage{RSS: 10_000}},
		{When: "open 1/2", Clients: 100, Usage: Usage{RSS: 70_000, Anon: 100}},
		{When: "open 2/2", Clients: 200, Usage: Usage{RSS: 130_000, Anon: 300}},
		{When: "settled", Clients: 200, Usage: Usage{RSS: 90_000}},
	}}
	r.sum()
	if s := r.Slope; s == nil || math.Abs(s.RSS-600) > 1e-6 || math.Abs(s.Anon-2) > 1e-6 || s.LaterRSS != 400 {
		t.Errorf("%+v", s)
	}
}

func TestSharesAddUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n, lanes := rapid.IntRange(0, 1000).Draw(t, "n"), rapid.IntRange(1, 9).Draw(t, "lanes")
		sum := 0
		for i := range lanes {
			sum += share(n, i, lanes)
		}
		if sum != n {
			t.Fatalf("%d things became %d", n, sum)
		}
	})
}

func TestValidateNamesEveryMistake(t *testing.T) {
	for _, s := range []Scenario{Handshake, Small, Bulk, Stall} {
		if err := (&Config{Scenario: s}).Validate(); err == nil {
			t.Errorf("%v without anything is fine", s)
		}
	}
}

func TestNames(t *testing.T) {
	for i := range protocolNames {
		if p, err := ParseProtocol(Protocol(i).String()); err != nil || p != Protocol(i) {
			t.Errorf("%v, %v", p, err)
		}
	}
	for i := range scenarioNames {
		if s, err := ParseScenario(Scenario(i).String()); err != nil || s != Scenario(i) {
			t.Errorf("%v, %v", s, err)
		}
	}
	if _, err := ParseProtocol("obfs3"); err == nil {
		t.Error("obfs3 is a protocol")
	}
	if _, err := ParseScenario("soak"); err == nil {
		t.Error("soak is a scenario")
	}
}
