package stats

import (
	"reflect"
	"testing"

	"epoxy/upstream/split"
)

// Every count of a loop's ends is taken, added up, and on the page.
func TestSplitCounts(t *testing.T) {
	r := split.Counters{Streams: 1, Opened: 2, Held: 3, Stalls: 4, Closed: 5, Shed: 17, BytesUp: 6, BytesDown: 7}
	r.Migrated[split.Waited] = 8
	r.Routes = [2]uint64{19, 20}
	b := split.BackCounters{Guests: 9, Opened: 10, Failed: 11, Stalls: 12, Lost: 13, Shed: 18, BytesUp: 14, BytesDown: 15}
	var l Loop
	l.Split.TakeRouter(&r)
	l.Split.TakeBack(&b)
	var sum Loop
	sum.Add(&l)
	if sum.Split != l.Split {
		t.Errorf("added to nothing it is %+v, want %+v", sum.Split, l.Split)
	}
	for i, v := 0, reflect.ValueOf(l.Split); i < v.NumField(); i++ {
		if v.Field(i).IsZero() {
			t.Errorf("%s is not taken", v.Type().Field(i).Name)
		}
	}
	got := scrape(t, Snapshot{
		Loops: []Loop{l, l}, ServedRefused: 3,
		Backs:  []split.BackStatus{{Addr: "b:1", Up: true, Links: 2, Lost: 3, Failed: 4, BytesUp: 5, BytesDown: 6}},
		Served: []split.FrontStatus{{Name: "f", Links: 1, Streams: 2, Opened: 3, Refused: 4, BytesUp: 5, BytesDown: 6}},
	})
	for name, want := range map[string]string{
		BackStreams: "2", BackMigrated + `{outcome="waited"}`: "16", BackBytes + `{direction="down"}`: "14", BackStalls: "8",
		BackBound + `{upstream="direct"}`: "40", TagActive: "0",
		ServedStalls: "24", ServedLost: "26", ServedDenied: "3", BackUp + `{back="b:1"}`: "1", BackLinks + `{back="b:1"}`: "2",
		BackWire + `{back="b:1",direction="up"}`: "5", ServedStreams + `{front="f"}`: "2", ServedRefused + `{front="f"}`: "4",
	} {
		if got[name] != want {
			t.Errorf("%s is %q, want %s", name, got[name], want)
		}
	}
}
