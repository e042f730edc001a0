package stats

import (
	"reflect"
	"testing"
	"time"

	"epoxy/codec"
	"epoxy/codec/rpc"
	"epoxy/upstream/dcmap"
	"epoxy/upstream/middle"
	"epoxy/upstream/refresh"
)

// What a router counts arrives, every number of it but those that others tell.
func TestTakeMiddle(t *testing.T) {
	var c middle.Counters
	var n middle.DCCount
	fill(reflect.ValueOf(&c).Elem(), 3)
	fill(reflect.ValueOf(&n).Elem(), 3)
	c.ByDC = map[codec.DC]*middle.DCCount{-4: &n, 900: &n, 901: &n}
	var l Loop
	l.TakeMiddle(&c, 3)
	if l.Middle.Skew != -3 {
		t.Errorf("a middle proxy 3 s ahead is %d, want -3", l.Middle.Skew)
	}
	for i := range reflect.TypeFor[Middle]().NumField() {
		if field := reflect.TypeFor[Middle]().Field(i); reflect.ValueOf(l.Middle).Field(i).IsZero() {
			t.Errorf("%s is not taken", field.Name)
		}
	}
	for _, field := range reflect.VisibleFields(reflect.TypeFor[middle.Counters]()) {
		switch field.Name {
		case "Streams", "Opened", "ByDC": // by DC
		case "Closed": // by the sessions' own count
		default:
			if _, ok := reflect.TypeFor[Middle]().FieldByName(field.Name); !ok {
				t.Errorf("nobody takes %s of middle.Counters", field.Name)
			}
		}
	}
	if got := l.DC[DCSlot(-4)].Middle; got.StreamsNow != 3 || got.Opened != 3 || got.RTT != 3 || got.Links[middle.Ready] != 3 {
		t.Errorf("dc -4 is %+v", got)
	}
	if got := l.DC[slotOther].Middle; got.StreamsNow != 6 || got.RTT != 3 {
		t.Errorf("two other dcs are %+v", got)
	}
	if l.ReadyLinks() != 9 {
		t.Errorf("%d links are ready, want 9", l.ReadyLinks())
	}
	l.TakeMiddle(&c, 3)
	if l.Middle.PacketsUp != 3 {
		t.Error("taken twice counts twice")
	}
}

func TestTakeWays(t *testing.T) {
	var a, b Loop
	a.TakeWays(nil)
	b.TakeWays(func(dc codec.DC) bool { return dc == -3 || dc == 0 })
	got := scrape(t, Snapshot{Loops: []Loop{a, b}})
	for name, want := range map[string]string{
		Ways + `{upstream="direct",dc="-3"}`: "1", Ways + `{upstream="middle",dc="-3"}`: "1", Ways + `{upstream="middle",dc="other"}`: "1",
		Ways + `{upstream="direct",dc="3"}`: "2", Ways + `{upstream="middle",dc="3"}`: "0",
	} {
		if got[name] != want {
			t.Errorf("%s is %q, want %s", name, got[name], want)
		}
	}
}

// Every label of the links' metrics is there from the start, with 0.
func TestLinkZeros(t *testing.T) {
	got := scrape(t, Snapshot{Loops: make([]Loop, 1)})
	want := []string{
		LinkDials, LinksReady, QuickAcks, Shed, TelegramEnds, Fallbacks, TagSet, TagActive, MemoryLimit, MemoryUsed, BookNumber, BookDCs, SecretForced,
		MiddleQueued + `{loop="0"}`, LinksRefused + `{code="flags"}`, LinksRefused + `{code="other"}`,
		Links + `{dc="2",state="dialling"}`, Links + `{dc="-203",state="nonce"}`, Links + `{dc="other",state="handshake"}`,
		Links + `{dc="5",state="ready"}`, Links + `{dc="test",state="draining"}`,
		LinkBytes + `{direction="up"}`, LinkPackets + `{direction="down"}`, LinkRTT + `{dc="2"}`,
		LinkPings + `{event="sent"}`, LinkPings + `{event="answered"}`, LinkPings + `{event="lost"}`, LinkPings + `{event="received"}`,
		LinkPauses + `{who="client"}`, LinkPauses + `{who="links"}`, Holds + `{event="begun"}`, Holds + `{event="late"}`,
		Ways + `{upstream="middle",dc="2"}`, ClockSkew + `{source="http"}`, ClockSkew + `{source="middle"}`,
	}
	for _, cause := range []string{"packet_shape", "empty", "filtered", "unknown_answer", "unknown_close", "unknown_message", "malformed"} {
		want = append(want, LinkDropped+`{cause="`+cause+`"}`)
	}
	for _, outcome := range []string{"moved", "waited", "busy", "late", "barred"} {
		want = append(want, Migrated+`{outcome="`+outcome+`"}`)
	}
	for r := codec.ReasonNone + 1; int(r) < codec.Reasons; r++ {
		want = append(want, LinksFailed+`{reason="`+r.String()+`"}`, LinksEnded+`{reason="`+r.String()+`"}`)
	}
	for k := range refresh.Kinds {
		want = append(want, RefreshGood+`{resource="`+refresh.Kind(k).String()+`"}`, RefreshFailed+`{resource="`+refresh.Kind(k).String()+`"}`)
		if v := got[RefreshAge+`{resource="`+refresh.Kind(k).String()+`"}`]; v != "-1" {
			t.Errorf("the age of what never came is %q, want -1", v)
		}
	}
	for _, name := range want {
		if got[name] != "0" {
			t.Errorf("%s is %q, want 0", name, got[name])
		}
	}
	if _, dead := got[Links+`{dc="2",state="dead"}`]; dead {
		t.Error("dead links have a line")
	}
}

func TestLinkValues(t *testing.T) {
	var a, b Loop
	a.Middle = Middle{Dials: 5, Skew: -2, PacketsUp: 10, Dropped: 1, PingsOut: 4, Stalled: 6, QueuedNow: 7}
	a.Middle.Failed[codec.ReasonLinkMute] = 2
	a.Middle.Refused[1] = 3
	a.Middle.Ended[codec.ReasonLinkDead] = 1
	a.Middle.Migrated[middle.Moved] = 8
	a.DC[DCSlot(2)].Middle = MiddleDC{Links: [middle.Stages]uint64{middle.Ready: 2, middle.Nonce: 1}, StreamsNow: 900, Opened: 1000, RTT: 12}
	a.DC[DCSlot(2)].ByMiddle = 1
	b.Middle = Middle{Dials: 1, Skew: 31}
	b.DC[DCSlot(2)].Middle = MiddleDC{Links: [middle.Stages]uint64{middle.Ready: 1}, RTT: 40}
	b.DC[DCSlot(2)].ByDirect = 1
	now := time.Unix(1700000000, 0)
	status := &refresh.Status{Skew: -7 * time.Second, Forced: 4}
	status.Resources[refresh.Secret] = refresh.Resource{Good: now.Add(-90 * time.Second), Successes: 2, Failures: 3}
	book, err := dcmap.Parse([]byte("proxy_for 2 192.0.2.1:8888; proxy_for -2 192.0.2.1:8888;"), dcmap.V4)
	if err != nil {
		t.Fatal(err)
	}
	got := scrape(t, Snapshot{
		Now: now, Loops: []Loop{a, b}, TagSet: true, Refresh: status, Book: &dcmap.Snapshot{Generation: 3, V4: book}, MemoryLimit: 1 << 40, MemoryUsed: 5,
	})
	for name, want := range map[string]string{
		LinkDials: "6", LinkPackets + `{direction="up"}`: "10", LinkDropped + `{cause="packet_shape"}`: "1",
		LinksFailed + `{reason="link_mute"}`: "2", LinksEnded + `{reason="link_dead"}`: "1", LinkPings + `{event="lost"}`: "1",
		LinksRefused + `{code="` + rpc.RefusedPacket.String() + `"}`: "3", Migrated + `{outcome="moved"}`: "8", LinkPauses + `{who="client"}`: "6",
		MiddleQueued + `{loop="0"}`: "7", Links + `{dc="2",state="ready"}`: "3", Links + `{dc="2",state="nonce"}`: "1", LinkRTT + `{dc="2"}`: "0.04",
		Streams + `{upstream="middle",dc="2"}`: "900", Opened + `{upstream="middle",dc="2"}`: "1000",
		Ways + `{upstream="middle",dc="2"}`: "1", Ways + `{upstream="direct",dc="2"}`: "1",
		TagSet: "1", TagActive: "1", ClockSkew + `{source="http"}`: "-7", ClockSkew + `{source="middle"}`: "31", SecretForced: "4",
		RefreshAge + `{resource="secret"}`: "90", RefreshGood + `{resource="secret"}`: "2", RefreshFailed + `{resource="secret"}`: "3",
		BookNumber: "3", BookDCs: "2", MemoryLimit: "1099511627776", MemoryUsed: "5",
	} {
		if got[name] != want {
			t.Errorf("%s is %q, want %s", name, got[name], want)
		}
	}
	if got := scrape(t, Snapshot{Loops: make([]Loop, 1), TagSet: true}); got[TagSet] != "1" || got[TagActive] != "0" {
		t.Error("a tag without a link is active")
	}
}
