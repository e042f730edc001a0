package logs

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"maps"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

// lines returns a logger of s and what it wrote.
func lines(s *Switch) (*slog.Logger, *bytes.Buffer) {
	var out bytes.Buffer
	return slog.New(s.Handler(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))), &out
}

func TestLevelOfEachPart(t *testing.T) {
	s := New(slog.LevelInfo, map[string]slog.Level{Middle: slog.LevelError})
	log, out := lines(s)
	middle, refresh := Of(log, Middle), Of(log, Refresh)
	say := func() string {
		out.Reset()
		for _, l := range []*slog.Logger{log, middle, refresh} {
			l.Debug("fine")
			l.Warn("bad")
			l.Error("worse")
		}
		var words []string
		for line := range strings.Lines(out.String()) {
			_, rest, _ := strings.Cut(line, "msg=")
			words = append(words, strings.TrimSpace(rest))
		}
		return strings.Join(words, ", ")
	}
	for _, c := range []struct{ part, level, want string }{
		{"", "info", "bad, worse, worse part=middle, bad part=refresh, worse part=refresh"},
		{"", "error", "worse, worse part=middle, worse part=refresh"},
		{"refresh", "debug", "worse, worse part=middle, fine part=refresh, bad part=refresh, worse part=refresh"},
		{"all", "debug", "fine, bad, worse, worse part=middle, fine part=refresh, bad part=refresh, worse part=refresh"},
		{"middle", "WARN", "fine, bad, worse, bad part=middle, worse part=middle, fine part=refresh, bad part=refresh, worse part=refresh"},
	} {
		if err := s.SetLevel(c.part, c.level); err != nil {
			t.Fatal(err)
		}
		if got := say(); got != c.want {
			t.Errorf("%q at %s: %s\nwant %s", c.part, c.level, got, c.want)
		}
	}
}

func TestSetLevelRefuses(t *testing.T) {
	s := New(slog.LevelWarn, nil)
	before := s.Levels()
	for _, c := range []struct{ part, level, want string }{
		{"", "loud", `logs: "loud" is no level; write debug, info, warn or error`},
		{"kitchen", "debug", `logs: there is no part "kitchen"; write one of engine, `},
	} {
		if err := s.SetLevel(c.part, c.level); err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s=%s: %v", c.part, c.level, err)
		}
	}
	if got := s.Levels(); !maps.Equal(got, before) || len(got) != len(Parts())+1 {
		t.Errorf("levels are %v, were %v", got, before)
	}
}

// A part named inside a group, or one that nobody knows, is an attribute like others.
func TestOtherAttributes(t *testing.T) {
	log, out := lines(New(slog.LevelInfo, map[string]slog.Level{Lists: slog.LevelError}))
	log.WithGroup("car").With("part", "lists").Info("a")
	log.With("part", "wheel").Info("b")
	log.With("party", "lists").Info("c")
	Of(log, Lists).WithGroup("car").With("part", "wheel").Info("no")
	if got := strings.Count(out.String(), "\n"); got != 3 || !strings.Contains(out.String(), "car.part=lists") {
		t.Errorf("%d lines:\n%s", got, out)
	}
}

// Use is a reload: it forgets what was set before.
func TestUse(t *testing.T) {
	s := New(slog.LevelInfo, map[string]slog.Level{Lists: slog.LevelError})
	s.Use(slog.LevelWarn, map[string]slog.Level{Front: slog.LevelDebug})
	if l := s.Levels(); l[""] != "warn" || l[Lists] != "warn" || l[Front] != "debug" {
		t.Errorf("levels are %v", l)
	}
}

func TestSwitchFromManyGoroutines(t *testing.T) {
	s := New(slog.LevelInfo, nil)
	log := Of(slog.New(s.Handler(slog.NewTextHandler(io.Discard, nil))), Middle)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for i := range 200 {
				if err := s.SetLevel([]string{"", Middle}[i%2], []string{"debug", "error"}[i/2%2]); err != nil {
					t.Error(err)
				}
				log.Info("x")
				s.Levels()
			}
		})
	}
	all.Wait()
}

func TestQuietLineAllocatesNothing(t *testing.T) {
	log := Of(slog.New(New(slog.LevelInfo, nil).Handler(slog.NewTextHandler(io.Discard, nil))), Session)
	if n := testing.AllocsPerRun(100, func() {
		if log.Enabled(context.Background(), slog.LevelDebug) {
			t.Error("debug is on")
		}
		log.LogAttrs(context.Background(), slog.LevelDebug, "line", slog.Int("n", 1), slog.String("s", "x"))
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// In no second of any length are there more lines than twice the rate, and no line is lost from the count.
func TestSampler(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rate := rapid.IntRange(1, 50).Draw(t, "rate")
		var s Sampler
		now := rapid.Int64Range(0, 1<<40).Draw(t, "start")
		start, asked, written := now, uint64(0), uint64(0)
		var told uint64
		for range rapid.IntRange(1, 300).Draw(t, "lines") {
			now += rapid.Int64Range(0, 100).Draw(t, "step")
			asked++
			if dropped, ok := s.Take(now, rate); ok {
				written++
				told += dropped
			}
		}
		if most := uint64(rate) + uint64(now-start)*uint64(rate)/second + 1; written > most {
			t.Fatalf("%d lines of %d a second in %d ms", written, rate, now-start)
		}
		if written < min(asked, uint64(rate)) {
			t.Fatalf("%d lines of %d, %d may come at once", written, asked, rate)
		}
		if now += second; true {
			dropped, ok := s.Take(now, rate)
			if !ok || told+dropped+written != asked {
				t.Fatalf("%d asked, %d written, %d told as dropped", asked, written, told+dropped)
			}
		}
		if _, ok := s.Take(now, 0); !ok {
			t.Fatal("0 is all")
		}
	})
}

func TestClient(t *testing.T) {
	for _, c := range []struct {
		addr, masked, full string
	}{
		{"203.0.113.77", "203.0.113.0/24", "203.0.113.77"},
		{"::ffff:203.0.113.77", "203.0.113.0/24", "203.0.113.77"},
		{"2001:db8:1:2:3::4", "2001:db8:1::/48", "2001:db8:1:2:3::4"},
		{"fe80::1%eth0", "fe80::/48", "fe80::1"},
	} {
		a := netip.MustParseAddr(c.addr)
		if m, f := (Client{Addr: a}).LogValue().String(), (Client{Addr: a, Full: true}).LogValue().String(); m != c.masked || f != c.full {
			t.Errorf("%s: %s, %s", c.addr, m, f)
		}
	}
	if v := (Client{}).LogValue().String(); v != "" {
		t.Errorf("nobody is %q", v)
	}
}
