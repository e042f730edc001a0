package load

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"epoxy/upstream/faketg"
)

func TestDensityGrowsInSteps(t *testing.T) {
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "# HELP x y\ngo_memstats_heap_inuse_bytes 7340032\nepoxy_clients{port=\"a b\"} 3")
	}))
	defer page.Close()
	c := straight(serve(t, 1, faketg.Faults{}), Density)
	c.Clients, c.Steps, c.Duration, c.Metrics = 203, 3, 50*time.Millisecond, page.URL
	report, err := Run(t.Context(), c, quiet)
	if err != nil || !report.OK() {
		t.Fatalf("%v, faults %v", err, report.Faults)
	}
	var held []int
	for _, m := range report.Memory {
		if len(m.When) > 4 && m.When[:4] == "held" {
			held = append(held, m.Clients)
		}
		if m.Heap != 7<<20 || m.Kernel <= 0 {
			t.Errorf("%+v", m)
		}
	}
	if !slices.Equal(held, []int{68, 136, 203}) {
		t.Errorf("held %d", held)
	}
	for _, s := range report.Steps {
		if s.Name == "ping" && s.Messages != 203 || s.Name == "active" && s.Messages < 2 {
			t.Errorf("%+v", s)
		}
	}
	c.Metrics = page.URL + "\x7f"
	if _, err := Run(t.Context(), c, quiet); err == nil {
		t.Error("metrics from nowhere")
	}
}

func TestReconnect(t *testing.T) {
	tg := serve(t, 1, faketg.Faults{})
	c := straight(tg, Reconnect)
	c.Clients = 120
	if s := play(t, c)["reconnect"]; s.Opened != 120 || s.Seconds <= 0 {
		t.Errorf("%+v", s)
	}
	if seen := tg.Seen(); seen.Accepted != 240 {
		t.Errorf("accepted %d", seen.Accepted)
	}
}

func TestTCPPages(t *testing.T) {
	const stat = "sockets: used 100\nTCP: inuse 5 orphan 0 tw 2 alloc 7 mem 31\nUDP: inuse 1 mem 4\n"
	if n := tcpPages(stat); n != 31 {
		t.Errorf("%d pages", n)
	}
	if n := tcpPages("TCP: inuse 5\n") + tcpPages(""); n != 0 {
		t.Errorf("%d pages of nothing", n)
	}
}
