package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"epoxy/codec"
	"epoxy/engine/admin"
	"epoxy/engine/stats"
	"epoxy/upstream/middle"
	"epoxy/upstream/split"
)

func TestUnits(t *testing.T) {
	for n, want := range map[float64]string{0: "0 B", 999: "999 B", 1000: "1.00 kB", 9994: "9.99 kB", 9996: "10.0 kB", 99_960: "100 kB", 999_400: "999 kB", 999_600: "1.00 MB", 1e12: "1.00 TB", 18e18: "18.0 EB"} {
		if got := size(n); got != want {
			t.Errorf("%v is %s, want %s", n, got, want)
		}
	}
	for n, want := range map[uint64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567"} {
		if got := count(n); got != want {
			t.Errorf("%d is %s, want %s", n, got, want)
		}
	}
}

// A proxy that began anew has no rates, and none below zero.
func TestRates(t *testing.T) {
	before := admin.Status{UptimeSeconds: 10, Traffic: admin.Traffic{ClientDownBytes: 500, ClientUpBytes: 50}}
	after := admin.Status{UptimeSeconds: 12, Traffic: admin.Traffic{ClientDownBytes: 1500, ClientUpBytes: 40}}
	down := func(s *admin.Status) uint64 { return s.Traffic.ClientDownBytes }
	up := func(s *admin.Status) uint64 { return s.Traffic.ClientUpBytes }
	if l := newLook(&after, &before); l.speed(down) != "500 B/s" || l.speed(up) != "0 B/s" {
		t.Errorf("%s, %s", l.speed(down), l.speed(up))
	}
	if l := newLook(&before, &after); l.speed(down) != "-" {
		t.Errorf("after a restart: %s", l.speed(down))
	}
}

// Whatever there is to tell fits the terminal, and a terminal of 80x24 has something of every table.
func TestFrame(t *testing.T) {
	s := newOperated().look()
	s.ReadyWhy, s.Ready = strings.Repeat("why ", 50), false
	for i := range 40 {
		s.Loops = append(s.Loops, admin.Loop{Clients: uint64(i)})
		s.Datacenters = append(s.Datacenters, admin.Datacenter{Name: fmt.Sprint(i), Way: "direct", Links: map[string]uint64{"ready": 1, "dialling": 2, "closing": 3, "handshaking": 4}})
		s.Busiest.ByClients = append(s.Busiest.ByClients, admin.Secret{Name: fmt.Sprintf("secret%d", i), Clients: 1})
		s.Fronts = append(s.Fronts, admin.Front{Domain: fmt.Sprintf("ü%d.example", i)})
	}
	for columns := range 200 {
		for _, rows := range []int{0, 1, 2, 5, 23, 50, 300} {
			lines := frame(newLook(&s, nil), columns, rows)
			if len(lines) > rows {
				t.Fatalf("%d lines on %d rows", len(lines), rows)
			}
			for _, line := range lines {
				if utf8.RuneCountInString(line) > columns || strings.ContainsAny(line, "\x1b\t\n") {
					t.Fatalf("%q on %d columns", line, columns)
				}
			}
		}
	}
	page := strings.Join(frame(newLook(&s, nil), 80, 23), "\n")
	for _, want := range []string{"epoxy", "handshakes", "\nDC", "\nLOOP", "\nSECRET", "\nFRONT", "... "} {
		if !strings.Contains(page, want) {
			t.Errorf("80x24 lacks %q:\n%s", want, page)
		}
	}
	full := frame(newLook(&s, nil), 200, 300)
	if !slices.ContainsFunc(full, func(l string) bool { return strings.HasPrefix(l, "secret39") }) {
		t.Error("room for everything, and something is missing")
	}
}

// Top takes the terminal and gives it back, whether it ends by q or by a signal.
func TestTopOnScreen(t *testing.T) {
	for _, quit := range []string{"q", "signal"} {
		w, o := newWorld(t), newOperated()
		w.operate(t, "127.0.0.1:0", "", o)
		keys, restored := make(chan byte, 2), false
		w.terminal = true
		w.screen = func() (*screen, error) {
			if quit == "q" {
				keys <- 'x'
				keys <- 'q'
			} else {
				close(keys) // nobody types
				w.signal <- os.Interrupt
			}
			return &screen{keys: keys, size: func() (int, int) { return 80, 24 }, restore: func() { restored = true }}, nil
		}
		page := w.say(t, exitOK, "top", "--interval", "1h")
		if !strings.HasPrefix(page, enterScreen) || !strings.HasSuffix(page, leaveScreen) || !restored || !strings.Contains(page, "12,345 of 100,000") || !strings.Contains(page, "bad ?[2J") {
			t.Errorf("%s: restored %v, page %q", quit, restored, page)
		}
	}
}

// With --count it ends by itself, with rates from the second look on; a proxy that goes away does not end it.
func TestTopCounts(t *testing.T) {
	w, o := newWorld(t), newOperated()
	w.operate(t, "127.0.0.1:0", "", o)
	w.terminal = true
	w.screen = func() (*screen, error) {
		return &screen{size: func() (int, int) { return 80, 24 }, restore: func() {}}, nil
	}
	if got := w.say(t, exitOK, "top", "--interval", "1ms", "--count", "3"); strings.Count(got, toCorner) != 4 || !strings.Contains(got, "500 kB/s down") {
		t.Errorf("%q", got)
	}
	asked := 0
	ill := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if asked++; asked > 1 {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		_ = json.NewEncoder(w).Encode(o.look())
	}))
	defer ill.Close()
	got := w.say(t, exitOK, "top", "--interval", "1ms", "--count", "2", "--admin", ill.Listener.Addr().String())
	if strings.Count(got, "answers 502 Bad Gateway") != 2 || strings.Count(got, "12,345 of 100,000") != 3 {
		t.Errorf("%q", got)
	}
}

// What the loops counted arrives under the words of the API.
func TestStatusOf(t *testing.T) {
	s := &stats.Snapshot{Draining: true, ClientsLimit: 9, MemoryUsed: 7, Loops: make([]stats.Loop, 2)}
	for i := range s.Loops {
		l := &s.Loops[i]
		l.ClientsNow, l.ClientUp, l.TelegramDown, l.QueuedNow = 2, 10, 20, 1
		l.Handshakes[codec.TLS], l.Strangers[codec.ReasonReplay] = 3, 4
		dc := &l.DC[stats.DCSlot(-2)]
		dc.StreamsNow, dc.Middle.StreamsNow, dc.Middle.RTT = 1, 2, 50
		dc.Middle.Links[middle.Ready] = 5
		l.TakeWays(func(dc codec.DC) bool { return i == 0 && dc == -2 })
		l.DC[stats.DCSlot(10001)].Opened, l.DC[stats.DCSlot(99)].Opened, l.DC[stats.DCSlot(203)].Opened = 1, 1, 1
	}
	s.Backs = []split.BackStatus{{Addr: "b:1", Links: 2}}
	s.Served = []split.FrontStatus{{Name: "paris", Links: 1, Streams: 1234, BytesDown: 5000}}
	st := statusOf(s)
	if got := fmt.Sprint(look{now: &st}.servers().rows); got != "[b:1\tback\tdown\t2\t-\t0 B\t0 B paris\tfront\tup\t1\t1,234\t0 B\t5.00 kB]" {
		t.Errorf("servers are %q", got)
	}
	if !st.Draining || st.Clients.Now != 4 || st.Clients.Limit != 9 || st.Traffic.ClientUpBytes != 20 || st.Traffic.TelegramDownBytes != 40 || st.Traffic.QueuedBytes != 2 ||
		st.Handshakes.Good["tls"] != 6 || len(st.Handshakes.Good) != 3 || fmt.Sprint(st.Handshakes.Strangers) != "map[replay:8]" || len(st.Loops) != 2 || st.Loops[1].UpBytes != 10 {
		t.Errorf("%+v", st)
	}
	var names []string
	for _, d := range st.Datacenters {
		names = append(names, d.Name)
		if d.Name == "-2" && (d.Way != "mixed" || d.Streams != 6 || d.StreamsDirect != 2 || fmt.Sprint(d.Links) != "map[ready:10]" || d.RoundTripSeconds != 0.05) {
			t.Errorf("DC -2 is %+v", d)
		}
	}
	if got := strings.Join(names, " "); got != "other -2 203 test" {
		t.Errorf("datacenters are %s", got)
	}
}
