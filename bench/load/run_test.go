package load

import (
	"context"
	"log/slog"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"epoxy/codec"
	"epoxy/upstream/faketg"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var quiet = slog.New(slog.DiscardHandler)

func serve(t *testing.T, loops int, f faketg.Faults) *Telegram {
	t.Helper()
	tg, err := NewTelegram([]string{"127.0.0.1:0"}, loops, f, quiet)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tg.Close)
	return tg
}

// straight is a run without a proxy.
func straight(tg *Telegram, s Scenario) Config {
	return Config{
		Scenario: s, Server: tg.Addrs[0], Protocol: Direct, DC: -2, Loops: 2, PIDs: []int{os.Getpid()},
		Clients: 9, Size: 200, Timeout: 20 * time.Second,
	}
}

// play runs a scenario that must succeed and returns its steps by name.
func play(t *testing.T, c Config) map[string]Step {
	t.Helper()
	report, err := Run(t.Context(), c, quiet)
	if err != nil || !report.OK() {
		t.Fatalf("%v, faults %v, steps %+v", err, report.Faults, report.Steps)
	}
	steps := map[string]Step{}
	for _, s := range report.Steps {
		steps[s.Name] = s
	}
	return steps
}

func TestHandshakes(t *testing.T) {
	tg := serve(t, 2, faketg.Faults{})
	c := straight(tg, Handshake)
	c.Total = 301
	s := play(t, c)["handshake"]
	if s.Opened != 301 || s.Opening.P50 <= 0 || s.CPU == nil {
		t.Errorf("step %+v", s)
	}
	seen := tg.Seen()
	if seen.Accepted != 301 || seen.DCs[-2] != 301 || seen.Transports[codec.Intermediate] != 301 || seen.Packets != 301 {
		t.Errorf("seen %+v", seen)
	}
}

func TestIdle(t *testing.T) {
	tg := serve(t, 1, faketg.Faults{})
	c := straight(tg, Idle)
	c.Clients = 203
	steps := play(t, c)
	if s := steps["open"]; s.Opened != 203 {
		t.Errorf("open %+v", s)
	}
	if s := steps["ping"]; s.Messages != 203 {
		t.Errorf("ping %+v", s)
	}
}

func TestIdleMeasures(t *testing.T) {
	tg := serve(t, 1, faketg.Faults{})
	report, err := Run(t.Context(), straight(tg, Idle), quiet)
	if err != nil {
		t.Fatal(err)
	}
	var when []string
	for _, m := range report.Memory {
		when = append(when, m.When)
		if m.RSS <= 0 || m.Anon <= 0 || m.FDs <= 0 || m.Threads <= 0 {
			t.Errorf("%+v", m)
		}
	}
	if len(when) != 8 || report.Slope == nil {
		t.Errorf("measured %q, slope %v", when, report.Slope)
	}
}

func TestSmallByMessages(t *testing.T) {
	c := straight(serve(t, 2, faketg.Faults{}), Small)
	c.Messages, c.Idle = 5001, 20
	steps := play(t, c)
	if s := steps["small"]; s.Messages != 5001 || s.Echo.P99 < s.Echo.P50 || s.Echo.P50 <= 0 {
		t.Errorf("%+v", s)
	}
	if s := steps["open"]; s.Opened != 29 {
		t.Errorf("%+v", s)
	}
}

func TestSmallByTime(t *testing.T) {
	c := straight(serve(t, 1, faketg.Faults{}), Small)
	c.Duration, c.Think = 50*time.Millisecond, time.Millisecond
	if s := play(t, c)["small"]; s.Messages < 9 {
		t.Errorf("%+v", s)
	}
}

func TestPaced(t *testing.T) {
	c := straight(serve(t, 2, faketg.Faults{}), Paced)
	c.Rate, c.Duration = 2000, 200*time.Millisecond
	s := play(t, c)["paced"]
	if s.Messages == 0 || s.Messages > 400 || s.Seconds < 0.2 || s.Echo.P50 <= 0 || s.CPU == nil || s.CPU.PerMillion <= 0 {
		t.Errorf("%+v, CPU %+v", s, s.CPU)
	}
}

func TestBulk(t *testing.T) {
	c := straight(serve(t, 1, faketg.Faults{}), Bulk)
	c.Down, c.Up, c.Packet = 5_000_004, 3_000_000, 50_000
	steps := play(t, c)
	if s := steps["down"]; s.Down != 9*5_000_004 {
		t.Errorf("%+v", s)
	}
	if s := steps["up"]; s.Up != 9*3_000_000 {
		t.Errorf("%+v", s)
	}
	c.Window = 300_000 // asked for in 17 pieces
	if s := play(t, c)["down"]; s.Down != 9*5_000_004 {
		t.Errorf("%+v", s)
	}
}

func TestStall(t *testing.T) {
	c := straight(serve(t, 1, faketg.Faults{}), Stall)
	c.Down, c.Duration = 9_000_000, 100*time.Millisecond
	steps := play(t, c)
	if s := steps["read on"]; s.Down != 9*9_000_000 {
		t.Errorf("%+v", s)
	}
	for _, name := range []string{"alone", "stalled"} {
		if s := steps[name]; s.Messages == 0 || s.Echo.P50 <= 0 {
			t.Errorf("%s %+v", name, s)
		}
	}
}

func TestOneByteAtATime(t *testing.T) {
	c := straight(serve(t, 1, faketg.Faults{OneByte: true}), Bulk)
	c.Clients, c.Down = 2, 2000
	play(t, c)
}

// TestFaultsAreSeen checks that a bad server fails the run, each fault under its own name.
func TestFaultsAreSeen(t *testing.T) {
	for name, f := range map[string]faketg.Faults{
		"peer_reset":         {Refuse: true},
		"the proxy closed":   {CloseAfter: 50},
		"no answer in time":  {Stall: true},
		"no answer in time ": {Deaf: true},
	} {
		c := straight(serve(t, 1, f), Idle)
		c.Timeout = 300 * time.Millisecond
		report, _ := Run(context.Background(), c, quiet)
		if report.OK() {
			t.Errorf("%s: the run is fine", name)
		}
		if n := report.Faults[trim(name)]; n == 0 {
			t.Errorf("%s: faults %v", name, report.Faults)
		}
	}
}

func trim(name string) string {
	if name[len(name)-1] == ' ' {
		return name[:len(name)-1]
	}
	return name
}

func TestResetIsSeen(t *testing.T) {
	c := straight(serve(t, 1, faketg.Faults{ResetAfter: 1_000_000}), Bulk)
	c.Down = 5_000_000
	report, _ := Run(context.Background(), c, quiet)
	if report.Failed != 9 || report.Faults["peer_reset"] == 0 {
		t.Errorf("faults %v", report.Faults)
	}
}

func TestInterrupt(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	c := straight(serve(t, 1, faketg.Faults{}), Small)
	c.Duration = time.Hour
	c.Progress = func(step string, done Tally, _ int) {
		if step == "small" && done.Messages > 0 {
			cancel()
		}
	}
	report, err := Run(ctx, c, quiet)
	if err == nil || report.Faults["interrupted"] == 0 {
		t.Errorf("%v, faults %v", err, report.Faults)
	}
}
