package stats

import (
	"bytes"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"epoxy/codec"
	"epoxy/engine/quota"
	"epoxy/engine/replay"
	"epoxy/upstream/egress"
	"epoxy/upstream/scout"
	"epoxy/upstream/split"
)

// fixed is a Source with one snapshot.
type fixed struct{ snapshot Snapshot }

func (f *fixed) Collect(s *Snapshot) { *s = f.snapshot }

// scrape returns the page's lines as a map from name and labels to value, and checks the text's grammar.
func scrape(t *testing.T, s Snapshot) map[string]string {
	t.Helper()
	var out bytes.Buffer
	NewExporter(&fixed{s}, Build{Version: `v1"2`, Commit: "abc", Go: "go1.26"}).Write(&out)
	values := map[string]string{}
	declared := ""
	for line := range strings.Lines(out.String()) {
		line = strings.TrimSuffix(line, "\n")
		if rest, ok := strings.CutPrefix(line, "# TYPE "); ok {
			declared, _, _ = strings.Cut(rest, " ")
			continue
		}
		if strings.HasPrefix(line, "#") {
			continue
		}
		cut := strings.LastIndexByte(line, ' ')
		if cut < 0 {
			t.Fatalf("no value in %q", line)
		}
		name, value := line[:cut], line[cut+1:]
		if _, err := strconv.ParseFloat(value, 64); err != nil {
			t.Errorf("%q: %v", line, err)
		}
		if _, twice := values[name]; twice {
			t.Errorf("%s stands twice", name)
		}
		if base, _, _ := strings.Cut(name, "{"); strings.HasPrefix(name, "epoxy_") && base != declared {
			t.Errorf("%s stands under the TYPE of %s", name, declared)
		}
		values[name] = value
	}
	return values
}

// Every reason is a label of every metric by reason, from the start.
func TestZerosFromTheStart(t *testing.T) {
	got := scrape(t, Snapshot{Loops: make([]Loop, 1)})
	for r := codec.ReasonNone + 1; int(r) < codec.Reasons; r++ {
		for _, name := range []string{Refused, Strangers, Closed, DialsFailed} {
			if v := got[name+`{reason="`+r.String()+`"}`]; v != "0" {
				t.Errorf("%s of %s is %q, want 0", name, r, v)
			}
		}
	}
	for _, p := range []codec.Protocol{codec.Classic, codec.Secure, codec.TLS} {
		if v := got[Handshakes+`{protocol="`+p.String()+`"}`]; v != "0" {
			t.Errorf("handshakes of %s is %q, want 0", p, v)
		}
	}
	for _, label := range dcLabels {
		for _, way := range []string{"direct", "middle"} {
			if v := got[Streams+`{upstream="`+way+`",dc="`+label+`"}`]; v != "0" {
				t.Errorf("%s streams of dc %s is %q, want 0", way, label, v)
			}
		}
	}
	if got[BuildInfo+`{version="v1\"2",commit="abc",go="go1.26"}`] != "1" {
		t.Error("no build info, or its labels are not quoted")
	}
	for _, name := range []string{"go_goroutines", "process_resident_memory_bytes"} {
		if _, ok := got[name]; !ok {
			t.Errorf("no %s", name)
		}
	}
}

// Every family has at least one line, a name with our prefix, and a suffix that fits its kind.
func TestFamilies(t *testing.T) {
	got := scrape(t, Snapshot{
		Loops: make([]Loop, 1), Fronts: make([]scout.Status, 1), Egress: make([]egress.Count, 1),
		Secrets: []quota.Usage{{Name: "a"}}, Ports: []Port{{Name: "port1"}},
		Backs: make([]split.BackStatus, 1), Served: make([]split.FrontStatus, 1),
	})
	seen := map[string]bool{}
	for _, f := range families() {
		if seen[f.name] {
			t.Errorf("%s is listed twice", f.name)
		}
		seen[f.name] = true
		if !strings.HasPrefix(f.name, "epoxy_") || strings.HasSuffix(f.name, "_total") != (f.kind == counter) {
			t.Errorf("%s is no good name for a %s", f.name, f.kind)
		}
		found := false
		for name := range got {
			base, _, _ := strings.Cut(name, "{")
			found = found || base == f.name
		}
		if !found {
			t.Errorf("%s has no line", f.name)
		}
	}
}

// Ports may have different fronts for one domain: the page has one line for it, and the worst.
func TestFrontsOfOneDomain(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	got := scrape(t, Snapshot{Now: now, Loops: make([]Loop, 1), Fronts: []scout.Status{
		{Measured: now.Add(-time.Minute), Warnings: []string{"old"}}, {Measured: now.Add(-time.Hour)}, {Domain: "a.example", Measured: now},
		{Domain: "a.example", Err: "gone"}, {Domain: "a.example", Measured: now},
	}})
	for name, want := range map[string]string{
		FrontAge + `{front="default"}`: "3600", FrontMeasured + `{front="default"}`: "1", FrontWarnings + `{front="default"}`: "1",
		FrontAge + `{front="a.example"}`: "-1", FrontMeasured + `{front="a.example"}`: "0", FrontWarnings + `{front="a.example"}`: "1",
	} {
		if got[name] != want {
			t.Errorf("%s is %q, want %q", name, got[name], want)
		}
	}
}

func TestValues(t *testing.T) {
	a := Loop{ClientsNow: 3, Accepted: 10, ClientUp: 1, ClientDown: 2, TelegramUp: 3, TelegramDown: 4, Dials: 5, Panics: 1}
	a.Closed[codec.ReasonIdle] = 2
	a.Handshakes[codec.TLS] = 7
	a.DC[DCSlot(-2)] = DC{StreamsNow: 6, Opened: 9}
	b := Loop{ClientsNow: 4, Dials: 1, SecretsTried: 8}
	b.Closed[codec.ReasonIdle] = 1
	b.DialsFailed[codec.ReasonDialTime] = 12
	got := scrape(t, Snapshot{
		Start: time.Unix(1700000000, 0), Ready: true, ClientsLimit: 100, Replay: replay.Stats{Entries: 5, Capacity: 6}, Loops: []Loop{a, b},
	})
	for name, want := range map[string]string{
		StartTime: "1700000000", Ready: "1", Draining: "0", ClientsLimit: "100", ReplayKept: "5", ReplayLimit: "6",
		Clients + `{loop="0"}`: "3", Clients + `{loop="1"}`: "4", Accepted + `{loop="0"}`: "10", Panics + `{loop="0"}`: "1",
		Bytes + `{loop="0",side="client",direction="up"}`:     "1",
		Bytes + `{loop="0",side="client",direction="down"}`:   "2",
		Bytes + `{loop="0",side="telegram",direction="up"}`:   "3",
		Bytes + `{loop="0",side="telegram",direction="down"}`: "4",
		Closed + `{reason="idle_timeout"}`:                    "3",
		DialsFailed + `{reason="dial_timeout"}`:               "12",
		Handshakes + `{protocol="tls"}`:                       "7",
		Streams + `{upstream="direct",dc="-2"}`:               "6",
		Opened + `{upstream="direct",dc="-2"}`:                "9",
		Dials:                                                 "6",
		SecretsTried:                                          "8",
	} {
		if got[name] != want {
			t.Errorf("%s is %q, want %s", name, got[name], want)
		}
	}
}

// Two loops whose every number is one sum to twos everywhere: Add forgets no field.
func TestSumIsWhole(t *testing.T) {
	var one, two Loop
	fill(reflect.ValueOf(&one).Elem(), 1)
	fill(reflect.ValueOf(&two).Elem(), 2)
	s := Snapshot{Loops: []Loop{one, one}}
	if s.Sum() != two {
		t.Errorf("the sum of two loops of ones is %+v", s.Sum())
	}
}

// fill sets every number in v to n, but a Most to 1. A map stays as it is.
func fill(v reflect.Value, n uint64) {
	if v.Type() == reflect.TypeFor[Most]() {
		v.SetInt(1)
		return
	}
	switch v.Kind() {
	case reflect.Int32, reflect.Int64:
		v.SetInt(int64(n))
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), n)
		}
	case reflect.Array:
		for i := range v.Len() {
			fill(v.Index(i), n)
		}
	case reflect.Map:
	default:
		v.SetUint(n)
	}
}

func TestDCSlot(t *testing.T) {
	for dc, want := range map[codec.DC]string{
		1: "1", 5: "5", -1: "-1", -5: "-5", 6: "other", 0: "other", 203: "203", -203: "-203", 10002: "test", -10003: "test",
		10006: "other", 32767: "other", -32768: "other",
	} {
		if got := dcLabels[DCSlot(dc)]; got != want {
			t.Errorf("dc %d is counted as %s, want %s", dc, got, want)
		}
	}
	for slot, label := range dcLabels {
		if dc := SlotDC(slot); dc != 0 && DCSlot(dc) != slot || dc == 0 && label != "other" {
			t.Errorf("slot %s is asked for dc %d", label, dc)
		}
	}
	for dc := -32768; dc <= 32767; dc++ {
		if slot := DCSlot(codec.DC(dc)); slot < 0 || slot >= DCSlots {
			t.Fatalf("dc %d has slot %d of %d", dc, slot, DCSlots)
		}
	}
}
